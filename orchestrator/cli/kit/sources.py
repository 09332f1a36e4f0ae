"""A model argument that is no ONNX file: converted, where a framework's converter knows it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.options import DEFAULT_ENGINE

if TYPE_CHECKING:
    from orchestrator.cli.kit.session import Session

__all__ = ["converted_file"]


def converted_file(
    session: Session, named: Path, shapes: Mapping[str, tuple[int, ...]], how: ConversionOptions
) -> Path | None:
    """Return the ONNX file that a framework's model became; None where the argument is no such model.

    See :func:`orchestrator.conversion.find_source` and :func:`orchestrator.conversion.convert` for what is
    raised.
    """
    # Nearly every one: nothing is imported for it.
    if named.suffix == ".onnx" and not os.path.isdir(named):
        return None
    from orchestrator.conversion import ConversionSettings, convert, find_source

    source = find_source(str(named), how.framework)
    if source is None:
        return None
    settings = ConversionSettings(
        shapes=shapes, trust=how.trust, exporter=how.exporter, signature=how.signature
    )
    with session.toolbox(DEFAULT_ENGINE) as tools, session.steps() as steps:
        found = convert(tools, source, settings, steps)
    done = "was converted before" if found.remembered else "converted"
    session.say(f"{source.name}: {done}, by {found.kept.origin.exporter}: {found.path}", style="dim")
    return found.path
