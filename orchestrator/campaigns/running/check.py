"""A model, compiled without records, held against onnxruntime before anything is spent on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.builds.agreement import SEEDS, Held, hold_against
from orchestrator.builds.costs import Costs
from orchestrator.builds.fastest import Quiet
from orchestrator.builds.pace import DEAR_SECONDS, UNTUNED_SECONDS, UNTUNED_TWICE_SECONDS
from orchestrator.builds.untuned import UntunedTimes
from orchestrator.errors import EngineTimeoutError
from orchestrator.models.extraction import ExtractedModel
from orchestrator.toolbox import Toolbox
from workers.messages import CompiledModel, RecordChoice

__all__ = ["Checked", "check_model"]

# An untuned library that is compiled before the first trial is kept for the comparison after the last, unless
# its weights would take that memory from the searches meanwhile.
_KEPT_BYTES = 128 * 2**20
_EARLIER = "before the tuning, for a run of it is long"
_LARGE = "before the tuning, for the library is too large to be kept until its end"


@dataclass(frozen=True)
class Checked:
    """What is known of a model before it is tuned.

    Attributes
    ----------
    untuned : CompiledModel, UntunedTimes or None
        Its library without records; or what that takes, where it is not to be run again.
    costs : Costs or None
        What its end will be estimated by.
    remark : str
        What was left out, where something was.
    """

    untuned: CompiledModel | UntunedTimes | None = None
    costs: Costs | None = None
    remark: str = ""


def check_model(
    tools: Toolbox,
    model: ExtractedModel,
    *,
    settled: Callable[[], bool],
    quiet: Quiet,
    say: Callable[[str], None],
    go_on: Callable[[], None],
) -> Checked:
    """Compile a model without records, and run it beside onnxruntime.

    A fleet may be starting meanwhile. A model that is wrong is not to wait for that; what is timed is.

    Parameters
    ----------
    settled : callable
        Says that nothing is being started on these cores.
    quiet : callable
        Makes a context within which nothing else uses them; waits for what is being started.
    go_on : callable
        Raises where it is to stop.

    Raises
    ------
    DisagreementError
        TVM computes something else than the model.
    """
    prepared, device = model.prepared, model.device
    say(f"compiling {prepared.name} untuned, to see that it is right")
    began = time.monotonic()
    compiled = tools.compile(prepared, device.target, RecordChoice("untuned")).result()
    compile_s = time.monotonic() - began

    def held(seed: int, alone: bool) -> Held:
        go_on()
        return hold_against(
            tools,
            prepared,
            device.target,
            compiled,
            seed,
            threads=device.cores,
            run_limit_s=UNTUNED_SECONDS,
            say=say,
            **({"quiet": quiet} if alone else {}),
        )

    say(f"checking what {prepared.name} computes against onnxruntime")
    alone = settled()
    try:
        first = held(SEEDS[0], alone)
    except EngineTimeoutError:
        note = f"a run did not end within {UNTUNED_SECONDS:.0f} s"
        costs = Costs(compile_s, 0.0, UNTUNED_SECONDS, 0.0, 0.0)
        remark = f"{prepared.name} was not compared with onnxruntime before it was tuned: untuned, {note}"
        return Checked(UntunedTimes((), note), costs, remark)
    costs = Costs(compile_s, first.run_s - first.one_s, first.one_s, first.reference_s, first.judge_s)
    times = [first.one_s] if alone else []
    if first.one_s < DEAR_SECONDS:
        large = len(compiled.library) > _KEPT_BYTES
        second = held(SEEDS[1], large)
        return Checked(UntunedTimes((second.one_s,), _LARGE) if large else compiled, costs)
    if not alone and first.one_s <= UNTUNED_TWICE_SECONDS:
        times = [held(SEEDS[1], True).one_s]
    if times:
        return Checked(UntunedTimes(tuple(times), _EARLIER), costs)
    return Checked(UntunedTimes((first.one_s,), f"{_EARLIER}; while workers were started"), costs)
