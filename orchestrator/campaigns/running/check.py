"""A model, compiled without records, held against onnxruntime before anything is spent on it."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping
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
from workers.messages import Array, CompiledModel, RecordChoice

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
    check = _Check(tools, model, limit_at, run_limit_s, quiet, say, go_on)
    name = model.prepared.name
    left_out = f"{name} was not compared with onnxruntime before it was tuned: "
    say(f"compiling {name} untuned, to see that it is right")
    try:
        check.compile()
    except EngineTimeoutError:
        if time.monotonic() < limit_at:
            raise
        remark = f"{left_out}compiling it took more than {check.compile_s:.0f} s; give it more time"
        costs = Costs(check.compile_s, 0.0, UNTUNED_SECONDS, 0.0, 0.0)
        return Checked(costs=costs, remark=remark, reference_s=check.reference_alone(limit_at))
    say(f"checking what {name} computes against onnxruntime")
    alone = settled()
    asked = time.monotonic()
    try:
        first = check.held(SEEDS[0], alone=alone)
    except EngineTimeoutError:
        ran_s = min(run_limit_s, time.monotonic() - asked)
        in_time = "in time" if ran_s < run_limit_s else f"within {run_limit_s:.0f} s"
        note = f"no run of it ended {in_time}"
        costs = Costs(check.compile_s, 0.0, ran_s, 0.0, 0.0)
        times, remark = UntunedTimes((), note), f"{left_out}untuned, {note}"
        reference_s = check.reference_alone(check.runs_end_at)
        return Checked(check.compiled, times, costs, remark, reference_s=reference_s)
    costs = _costs(check.compile_s, first)
    dear, large = first.one_s >= DEAR_SECONDS, len(check.compiled.library) > KEPT_BYTES
    second = None
    if not dear or (not alone and first.one_s <= UNTUNED_TWICE_SECONDS):
        # The first has shown that it is right: there may be no more time.
        with contextlib.suppress(EngineTimeoutError):
            second = check.held(SEEDS[1], alone=dear or large)
            # What was still being started took part in the first.
            costs = _costs(check.compile_s, first, second)
    found = check.timed(costs, dear=dear, large=large)
    if not dear and not large:
        return found
    note = _DEAR if dear else _LARGE
    if second is None and not alone:
        note += "; while workers were started"
    return replace(found, times=UntunedTimes(((second or first).one_s,), note))


class _Check:
    """The check of one model, see :func:`check_model`.

    Attributes
    ----------
    compiled : CompiledModel
        Without what it was lent, where that was wrong.
    compile_s, runs_end_at : float
        Seconds that compiling it took, also where it was not done then; and when it has to be built again.
    """

    compiled: CompiledModel

    def __init__(
        self,
        tools: Toolbox,
        model: ExtractedModel,
        limit_at: float,
        run_limit_s: float,
        quiet: Quiet,
        say: Callable[[str], None],
        go_on: Callable[[], None],
    ) -> None:
        self._tools, self._prepared, self._device = tools, model.prepared, model.device
        self._limit_at, self._run_limit_s = limit_at, run_limit_s
        self._quiet, self._say, self._go_on = quiet, say, go_on
        self.compile_s = 0.0
        self.runs_end_at = limit_at

    def compile(self) -> None:
        """Compile it, in time for what follows."""
        began = time.monotonic()
        try:
            with self._tools.no_later_than(self._limit_at):
                chosen = RecordChoice("untuned")
                self.compiled = self._tools.compile(self._prepared, self._device.target, chosen).result()
        finally:
            self.compile_s = time.monotonic() - began
            self.runs_end_at = self._limit_at - BUILD_FACTOR * self.compile_s

    def held(self, seed: int, *, alone: bool) -> Held:
        """Hold it against onnxruntime; without what it is lent, where it disagrees with that."""
        try:
            return self._held_as_it_is(seed, alone)
        except DisagreementError:
            if not self.compiled.lent:
                raise
            untuned, target = RecordChoice("untuned"), self._device.target
            self.compiled = without_lent(self._tools, self._prepared, target, untuned, say=self._say)
            return self._held_as_it_is(seed, alone)

    def _held_as_it_is(self, seed: int, alone: bool) -> Held:
        self._go_on()
        return hold_against(
            self._tools,
            self._prepared,
            self._device.target,
            self.compiled,
            seed,
            threads=self._device.cores,
            explain=not self.compiled.lent,
            limit_at=self.runs_end_at,
            run_limit_s=min(self._run_limit_s, self.runs_end_at - time.monotonic()),
            say=self._say,
            **({"quiet": self._quiet} if alone else {}),
        )

    def timed(self, costs: Costs, *, dear: bool, large: bool) -> Checked:
        """Time onnxruntime, and what is quick of the library and its kernels, as far as there is time."""
        library_s, reference_s = costs.one_s, None
        insides: dict[str, NewInside] = {}
        # Where the time is short already, nothing is held against these.
        with (
            contextlib.suppress(EngineTimeoutError),
            self._tools.no_later_than(self.runs_end_at),
            self._quiet(),
        ):
            inputs = self._inputs()
            reference_s = self._reference_s(inputs, 2 if costs.reference_s >= DEAR_SECONDS else REPEATS)
            ordered = {spec.name: inputs[spec.name] for spec in self._prepared.inputs}
            target = self._device.target
            if not dear and not large:
                run = self._tools.run(
                    self.compiled,
                    ordered,
                    target,
                    repeats=REPEATS,
                    settle_s=2 * SIDE_SECONDS,
                    least_s=SIDE_SECONDS,
                )
                library_s = statistics.median(run.times)
            if not dear and self.compiled.lent:
                insides = seen_inside(self._tools, self._prepared, self.compiled, ordered, target, library_s)
        return Checked(
            self.compiled, None, costs, library_s=library_s, reference_s=reference_s, insides=insides
        )

    def reference_alone(self, ends_at: float) -> float | None:
        """Time onnxruntime, where the library has none; None where there is no time for that either."""
        ends_at = max(ends_at, time.monotonic() + _LATE_SECONDS)
        with contextlib.suppress(EngineTimeoutError), self._tools.no_later_than(ends_at), self._quiet():
            return self._reference_s(self._inputs(), 2)
        return None

    def _inputs(self) -> dict[str, Array]:
        return self._tools.random_inputs(self._prepared.inputs, SEEDS[0])

    def _reference_s(self, inputs: Mapping[str, Array], turns: int) -> float:
        found = self._tools.reference_timing(self._prepared, inputs, self._device.cores, turns)
        return statistics.median(found.times)


def _costs(compile_s: float, *held: Held) -> Costs:
    return Costs(
        compile_s,
        min(each.run_s - each.one_s for each in held),
        min(each.one_s for each in held),
        min(each.reference_s for each in held),
        min(each.judge_s for each in held),
    )
