"""A model, compiled without records, held against onnxruntime before anything is spent on it."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from orchestrator.builds.agreement import SEEDS, Held, hold_against, without_lent
from orchestrator.builds.costs import BUILD_FACTOR, Costs
from orchestrator.builds.fastest import Quiet
from orchestrator.builds.pace import (
    DEAR_SECONDS,
    REPEATS,
    SIDE_SECONDS,
    UNTUNED_SECONDS,
    UNTUNED_TWICE_SECONDS,
)
from orchestrator.builds.untuned import UntunedTimes
from orchestrator.campaigns.running.inside import seen_inside
from orchestrator.errors import DisagreementError, EngineTimeoutError
from orchestrator.models.extraction import ExtractedModel
from orchestrator.storage import NewInside
from orchestrator.toolbox import Toolbox
from workers.messages import CompiledModel, RecordChoice

__all__ = ["KEPT_BYTES", "Checked", "check_model"]

#: Bytes of the largest untuned library that is kept for the comparison after the last trial: the weights of a
#: larger one would take that memory from the searches.
KEPT_BYTES = 128 * 2**20
# Of timing onnxruntime, which is quick, also where the library was too slow to leave any time for it.
_LATE_SECONDS = 10.0
_DEAR = "before the tuning, for a run of it is long"
_LARGE = "before the tuning, for the library is too large to be kept until its end"


@dataclass(frozen=True)
class Checked:
    """What is known of a model before it is tuned.

    Attributes
    ----------
    compiled : CompiledModel or None
        Its library without records.
    times : UntunedTimes or None
        What a run of that takes, where it is not to be run again.
    costs : Costs or None
        What its end will be estimated by.
    remark : str
        What was left out, where something was.
    library_s, reference_s : float or None
        Median seconds of a run of that library, and of onnxruntime; None where they weren't timed.
    insides : dict of str to NewInside
        What its kernels take inside that library, by the hash of the workload; those that were timed.
    """

    compiled: CompiledModel | None = None
    times: UntunedTimes | None = None
    costs: Costs | None = None
    remark: str = ""
    library_s: float | None = None
    reference_s: float | None = None
    insides: dict[str, NewInside] = field(default_factory=dict)

    def light(self) -> Checked:
        """Return what is kept during the tuning: no library that takes much of the searches' memory."""
        large = self.compiled is not None and len(self.compiled.library) > KEPT_BYTES
        return replace(self, compiled=None) if large else self


def check_model(
    tools: Toolbox,
    model: ExtractedModel,
    *,
    limit_at: float,
    run_limit_s: float,
    settled: Callable[[], bool],
    quiet: Quiet,
    say: Callable[[str], None],
    go_on: Callable[[], None],
) -> Checked:
    """Compile a model without records, and run it beside onnxruntime.

    A fleet may be starting meanwhile. A model that is wrong is not to wait for that; what is timed is.

    Parameters
    ----------
    limit_at : float
        When the campaign is to be over, on the monotonic clock; building is to fit in before.
    run_limit_s : float
        Seconds after which a run of the library is ended.
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

    def reference_alone(ends_at: float) -> float | None:
        ends_at = max(ends_at, time.monotonic() + _LATE_SECONDS)
        with contextlib.suppress(EngineTimeoutError), tools.no_later_than(ends_at), quiet():
            inputs = tools.random_inputs(prepared.inputs, SEEDS[0])
            return statistics.median(tools.reference_timing(prepared, inputs, device.cores, 2).times)
        return None

    left_out = f"{prepared.name} was not compared with onnxruntime before it was tuned: "
    say(f"compiling {prepared.name} untuned, to see that it is right")
    began = time.monotonic()
    try:
        with tools.no_later_than(limit_at):
            compiled = tools.compile(prepared, device.target, RecordChoice("untuned")).result()
    except EngineTimeoutError:
        if time.monotonic() < limit_at:
            raise
        compile_s = time.monotonic() - began
        remark = f"{left_out}compiling it took more than {compile_s:.0f} s; give it more time"
        costs = Costs(compile_s, 0.0, UNTUNED_SECONDS, 0.0, 0.0)
        return Checked(costs=costs, remark=remark, reference_s=reference_alone(limit_at))
    compile_s = time.monotonic() - began
    runs_end_at = limit_at - BUILD_FACTOR * compile_s

    def held(seed: int, alone: bool) -> Held:
        nonlocal compiled
        try:
            return held_as_it_is(seed, alone)
        except DisagreementError:
            if not compiled.lent:
                raise
            compiled = without_lent(tools, prepared, device.target, RecordChoice("untuned"), say=say)
            return held_as_it_is(seed, alone)

    def held_as_it_is(seed: int, alone: bool) -> Held:
        go_on()
        return hold_against(
            tools,
            prepared,
            device.target,
            compiled,
            seed,
            threads=device.cores,
            explain=not compiled.lent,
            limit_at=runs_end_at,
            run_limit_s=min(run_limit_s, runs_end_at - time.monotonic()),
            say=say,
            **({"quiet": quiet} if alone else {}),
        )

    say(f"checking what {prepared.name} computes against onnxruntime")
    alone = settled()
    asked = time.monotonic()
    try:
        first = held(SEEDS[0], alone)
    except EngineTimeoutError:
        ran_s = min(run_limit_s, time.monotonic() - asked)
        in_time = "in time" if ran_s < run_limit_s else f"within {run_limit_s:.0f} s"
        note = f"no run of it ended {in_time}"
        costs = Costs(compile_s, 0.0, ran_s, 0.0, 0.0)
        times, remark = UntunedTimes((), note), f"{left_out}untuned, {note}"
        return Checked(compiled, times, costs, remark, reference_s=reference_alone(runs_end_at))
    costs = _costs(compile_s, first)
    dear, large = first.one_s >= DEAR_SECONDS, len(compiled.library) > KEPT_BYTES
    second = None
    if not dear or (not alone and first.one_s <= UNTUNED_TWICE_SECONDS):
        # The first has shown that it is right: there may be no more time.
        with contextlib.suppress(EngineTimeoutError):
            second = held(SEEDS[1], dear or large)
            # What was still being started took part in the first.
            costs = _costs(compile_s, first, second)
    library_s, reference_s = costs.one_s, None
    insides: dict[str, NewInside] = {}
    # Where the time is short already, nothing is held against these.
    with contextlib.suppress(EngineTimeoutError), tools.no_later_than(runs_end_at), quiet():
        inputs = tools.random_inputs(prepared.inputs, SEEDS[0])
        few = 2 if costs.reference_s >= DEAR_SECONDS else REPEATS
        reference_s = statistics.median(tools.reference_timing(prepared, inputs, device.cores, few).times)
        ordered = {spec.name: inputs[spec.name] for spec in prepared.inputs}
        if not dear and not large:
            run = tools.run(
                compiled,
                ordered,
                device.target,
                repeats=REPEATS,
                settle_s=2 * SIDE_SECONDS,
                least_s=SIDE_SECONDS,
            )
            library_s = statistics.median(run.times)
        if not dear and compiled.lent:
            insides = seen_inside(tools, prepared, compiled, ordered, device.target, library_s)
    if not dear and not large:
        return Checked(compiled, None, costs, library_s=library_s, reference_s=reference_s, insides=insides)
    note = _DEAR if dear else _LARGE
    if second is None and not alone:
        note += "; while workers were started"
    times = UntunedTimes(((second or first).one_s,), note)
    return Checked(compiled, times, costs, library_s=library_s, reference_s=reference_s, insides=insides)


def _costs(compile_s: float, *held: Held) -> Costs:
    return Costs(
        compile_s,
        min(each.run_s - each.one_s for each in held),
        min(each.one_s for each in held),
        min(each.reference_s for each in held),
        min(each.judge_s for each in held),
    )
