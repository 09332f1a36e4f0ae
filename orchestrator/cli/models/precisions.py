"""What became of a model in another precision: for people, and as a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from orchestrator.cli.kit.facts import facts
from orchestrator.cli.kit.text import finite, plural

if TYPE_CHECKING:
    from orchestrator.conversion import Precise

__all__ = ["precision_document", "precision_report"]


def precision_document(done: Precise | None) -> dict[str, Any] | None:
    """What a model computes with; None where that wasn't asked for."""
    if done is None:
        return None
    found = done.found
    return {
        "precision": found.precision.value,
        "why": found.reason,
        "tool": found.tool,
        "metric": found.metric.value,
        "max_error": found.max_error,
        "error": None if found.error is None else finite(found.error),
        "calibration_sha256": found.calibration_sha256 or None,
        "samples_calibrated": found.calibrated,
        "samples_compared": found.compared,
        "held_back": found.held_back,
        "layers": found.layers,
        "layers_in_float32": list(found.kept),
        "share": found.share,
    }


def precision_report(done: Precise) -> list[RenderableType]:
    """The same in two columns."""
    found = done.found
    pairs: list[tuple[str, RenderableType]] = [
        ("precision", found.precision.value),
        ("because", found.reason),
    ]
    if found.tool:
        pairs.append(("made by", found.tool))
    if found.calibrated:
        pairs.append(("calibrated", f"on {plural(found.calibrated, 'sample')}"))
    if found.compared:
        others = "other samples" if found.held_back else "samples"
        pairs.append(("compared", f"on {found.compared} {others}, with float32 in onnxruntime"))
    if found.kept:
        pairs.append(("in float32", ", ".join(found.kept)))
    if done.remembered:
        pairs.append(("converted", "earlier, from the same content"))
    return [facts(pairs), ""]
