"""A model in float32 and in another precision, both built with what is stored, and timed in turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from orchestrator.builds.coverage import coverage_of
from orchestrator.builds.only_if_faster import held_in_turns
from orchestrator.conversion.faster import FormTimes
from orchestrator.models.extraction import extract_model
from orchestrator.models.request import ModelRequest
from orchestrator.storage import Storage
from orchestrator.toolbox import Toolbox
from workers.messages import CompiledModel, DeviceInfo, PreparedModel, RecordChoice

__all__ = ["time_forms"]


def time_forms(
    store: Storage,
    tools: Toolbox,
    float32: ModelRequest,
    other: ModelRequest,
    device: DeviceInfo,
    say: Callable[[str], None] = lambda _: None,
) -> FormTimes:
    """Build both forms of a model with the best records of their tasks, lent schedules elsewhere; time them.

    Before anything is tuned that says which is faster from the first second; after that, which is by now.

    Parameters
    ----------
    device : DeviceInfo
        This machine.

    Raises
    ------
    ModelError, EngineError
        One of them can't be lowered or compiled.
    """

    def built(request: ModelRequest) -> tuple[PreparedModel, CompiledModel]:
        model = extract_model(store, tools, request, device, say=say)
        say(f"compiling {model.prepared.name}, to see which precision is faster")
        choice = RecordChoice("each task's best", coverage_of(store, model).records)
        return model.prepared, tools.compile(model.prepared, device.target, choice).result()

    prepared, first = built(float32)
    _, second = built(other)
    held = held_in_turns(tools, first, second, prepared, device, say, called="both precisions")
    before, now = (statistics.median(side.tuned_s) for side in (held.before, held.now))
    return FormTimes(before, now, 1 + held.change.middle)
