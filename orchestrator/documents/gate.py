"""Libraries held against what they were before, as documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from orchestrator.documents.text import instant

if TYPE_CHECKING:
    from orchestrator.builds.gate import Held, Side
    from orchestrator.storage import VerificationRow

__all__ = ["campaigns_gate_document", "held_document"]

Model = tuple[str, str, "VerificationRow | None", "VerificationRow | None"]


def held_document(held: Held | None) -> dict[str, Any] | None:
    """A library held against an earlier one."""
    if held is None:
        return None
    return {
        "verdict": held.verdict.value,
        "allowed": held.allowed,
        "by": "reference_ratio" if held.by_ratio else "tuned_s",
        "change": held.change.middle,
        "change_least": held.change.least,
        "change_most": held.change.most,
        "too_noisy": held.too_noisy,
        "before": {
            **_side(held.before),
            "same_file": held.before.model_id == held.now.model_id,
            "campaign_id": held.before.campaign_id,
            "created_at": instant(held.before.taken_at),
        },
        "now": _side(held.now),
    }


def campaigns_gate_document(models: Iterable[Model], allowed: float) -> dict[str, Any]:
    """The models that two campaigns share, each held against itself.

    Parameters
    ----------
    models : iterable
        Name, device class, and the comparison that each campaign left.
    allowed : float
        See :class:`orchestrator.builds.gate.Held`.

    Returns
    -------
    dict
        ``models`` has what became of each; ``models_wrong`` the names of those whose outputs are wrong after
        the second campaign, ``models_untold`` of those of which one has no comparison, or too few turns.
    """
    from orchestrator.builds.gate import Side, hold

    held: list[dict[str, Any]] = []
    wrong: list[str] = []
    untold: list[str] = []
    for name, device_class, before, after in _versions_joined(models):
        if after is not None and after.details.get("agree") is False:
            wrong.append(name)
            continue
        found = None
        if before is not None and after is not None:
            found = held_document(hold(Side.of_row(before), Side.of_row(after), allowed))
        if found is None:
            untold.append(name)
        else:
            held.append({"model": name, "device_class": device_class, **found})
    return {"models": held, "models_wrong": wrong, "models_untold": untold}


def _side(side: Side) -> dict[str, Any]:
    return {
        "tuned_s": side.tuned_median_s,
        "reference_s": side.reference_median_s,
        "turns": len(side.tuned_s),
    }


def _versions_joined(models: Iterable[Model]) -> list[Model]:
    """Put what the campaigns call by one name side by side, where the file was another in each."""
    models = list(models)
    joined = []
    for name, device_class, before, after in models:
        others = [row for row in models if row[:2] == (name, device_class)]
        if before is not None and after is None and len(others) == 2:
            continue  # beside its later version
        if before is None and after is not None and len(others) == 2:
            before = next((row[2] for row in others if row[2] is not None), None)
        joined.append((name, device_class, before, after))
    return joined
