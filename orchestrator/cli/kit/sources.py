"""A model argument that is not tuned as it is: of a framework, or wanted in another precision."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.kit.aim import Aim
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.options import DEFAULT_ENGINE
from orchestrator.cli.kit.precision_options import PrecisionOptions
from orchestrator.errors import EngineError, TargetError
from workers.messages import Precision

if TYPE_CHECKING:
    from orchestrator.cli.kit.session import Session

__all__ = ["converted_file", "precise_file"]


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


def precise_file(
    session: Session, path: Path, shapes: Mapping[str, tuple[int, ...]], how: PrecisionOptions, aim: Aim
) -> Path:
    """Return the file of a model in the precision that is asked for: the same where none is.

    ``auto`` is float32 where a target has no instruction for integers, and ``int8`` is said to be slower
    there. For what is raised see :func:`orchestrator.conversion.to_precision`.
    """
    settings = how.settings(shapes)
    if settings is None:
        return path
    from orchestrator.conversion import to_precision

    if settings.precision is Precision.AUTO:
        slow = _without_integers(session, aim)
        if slow:
            session.say(f"{path.name}: float32: {slow}", style="dim")
            return path
    elif settings.precision is Precision.INT8:
        # What is wrong with a target or an engine is said by what needs it: the store may know all.
        with contextlib.suppress(TargetError, EngineError):
            slow = _without_integers(session, aim)
            if slow:
                session.say(f"{path.name}: int8 is slower than float32 here: {slow}", style="yellow")
    with session.toolbox(DEFAULT_ENGINE) as tools, session.steps() as steps:
        found = to_precision(tools, path, settings, steps)
    earlier = " (converted before)" if found.remembered else ""
    session.say(f"{path.name}: {found.found.precision.value}{earlier}: {found.found.reason}", style="dim")
    if found.path != path:
        session.say(f"{path.name}: kept as {found.path}", style="dim")
    return found.path


def _without_integers(session: Session, aim: Aim) -> str:
    """Say on which target integers are no faster than floats; nothing where they are on all."""
    with session.toolbox(aim.engine) as tools:
        devices = {target: tools.resolve_target(target) for target in aim.targets}
    for target, device in devices.items():
        if not device.integers:
            return f"the {aim.engine} engine knows no instruction for integers on target {target}"
    return ""
