"""A model argument that is not tuned as it is: of a framework, or wanted in another precision."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.kit.aim import Aim
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.forms import faster_form
from orchestrator.cli.kit.options import DEFAULT_ENGINE
from orchestrator.cli.kit.precision_options import PrecisionOptions
from orchestrator.errors import EngineError, TargetError
from workers.messages import DeviceInfo, Precision

if TYPE_CHECKING:
    from orchestrator.cli.kit.session import Session

__all__ = ["converted_file", "precise_file"]

# What a device multiplies each precision's numbers by, the fastest precision first.
_INSTRUCTIONS: Mapping[Precision, tuple[str, Callable[[DeviceInfo], str]]] = {
    Precision.INT8: ("integers", lambda device: device.integers),
    Precision.BF16: ("bfloat16", lambda device: device.bfloats),
}


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

    ``auto`` is what all targets have an instruction for and what is faster, see :mod:`.forms`, else float32;
    and what is asked for by name is said to be slower where there is no instruction. For what is raised see
    :func:`orchestrator.conversion.to_precision`.
    """
    settings = how.settings(shapes)
    if settings is None:
        return path
    from orchestrator.conversion import to_precision

    if settings.precision is Precision.AUTO:
        lacking = _lacking(session, aim)
        settings = replace(settings, among=tuple(one for one, why in lacking.items() if not why))
        if not settings.among:
            session.say(f"{path.name}: float32: {'; '.join(lacking.values())}", style="dim")
            return path
    elif settings.precision in _INSTRUCTIONS:
        # What is wrong with a target or an engine is said by what needs it: the store may know all.
        with contextlib.suppress(TargetError, EngineError):
            why = _lacking(session, aim)[settings.precision]
            if why:
                words = f"{settings.precision.value} is slower than float32 here: {why}"
                session.say(f"{path.name}: {words}", style="yellow")
    with session.toolbox(DEFAULT_ENGINE) as tools, session.steps() as steps:
        found = to_precision(tools, path, settings, steps)
    earlier = " (converted before)" if found.remembered else ""
    session.say(f"{path.name}: {found.found.precision.value}{earlier}: {found.found.reason}", style="dim")
    if found.path == path:
        return path
    session.say(f"{path.name}: kept as {found.path}", style="dim")
    if settings.precision is Precision.AUTO:
        faster, told = faster_form(session, path, found.path, shapes, found.found.precision, aim)
        session.say(f"{path.name}: {told}", style="dim")
        return faster
    return found.path


def _lacking(session: Session, aim: Aim) -> dict[Precision, str]:
    """Say of each precision on which target it is no faster than float32; nothing where it is on all."""
    with session.toolbox(aim.engine) as tools:
        devices = {target: tools.resolve_target(target) for target in aim.targets}
    return {
        precision: next(
            (
                f"the {aim.engine} engine knows no instruction for {numbers} on target {target}"
                for target, device in devices.items()
                if not instruction(device)
            ),
            "",
        )
        for precision, (numbers, instruction) in _INSTRUCTIONS.items()
    }
