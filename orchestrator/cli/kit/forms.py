"""Whether a model is faster in another precision here: timed once, and remembered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.kit.aim import Aim
from orchestrator.errors import EngineError, ModelError
from workers.messages import Precision

if TYPE_CHECKING:
    from orchestrator.cli.kit.session import Session

__all__ = ["faster_form"]


def faster_form(
    session: Session,
    float32: Path,
    other: Path,
    shapes: Mapping[str, tuple[int, ...]],
    precision: Precision,
    aim: Aim,
) -> tuple[Path, str]:
    """Return the file of a model in the precision that is faster on all targets that are this machine.

    Both forms are built and timed in turns where the command takes its time anyway. What was found for a file
    and a device class is found again by every command after that, until models or engines change.

    Returns
    -------
    Path
        `other` too where nothing was timed: where no target is this machine, or where a command only looks.
    str
        Why, for people.
    """
    from orchestrator.conversion.faster import find_times, keep_times, times_key

    kind = precision.value
    said = []
    with session.toolbox(aim.engine) as tools:
        for target in aim.targets:
            device = tools.resolve_target(target)
            if device.unfit:
                continue
            key = times_key(tools, float32, other, shapes, device.device_class)
            times = find_times(key)
            if times is None and aim.timed:
                from orchestrator.builds.forms import time_forms
                from orchestrator.models.request import ModelRequest

                first, second = (
                    ModelRequest(path=str(one.absolute()), shapes=dict(shapes)) for one in (float32, other)
                )
                try:
                    with session.storage() as store, session.steps() as steps:
                        times = time_forms(store, tools, first, second, device, steps)
                except (EngineError, ModelError) as error:
                    return float32, f"float32: as {kind} it can't be built: {str(error).splitlines()[0]}"
                keep_times(key, times)
            if times is None:
                continue
            took = (
                f"{times.other_s * 1e3:.3g} ms in {kind} and {times.float32_s * 1e3:.3g} in float32 "
                f"({times.ratio:.2f})"
            )
            if times.ratio >= 1:
                return float32, f"float32, which is faster on {device.device_class}: it takes {took}"
            said.append(f"it takes {took} on {device.device_class}")
    return other, f"{kind}: {'; '.join(said)}" if said else f"{kind}: which is faster was not timed"
