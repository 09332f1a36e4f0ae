"""Untuned, tuned and reference side by side, in one run, in turns, outputs compared."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from orchestrator.builds.agreement import without_lent
from orchestrator.builds.choose_records import choose_records
from orchestrator.builds.costs import Costs
from orchestrator.builds.coverage import Coverage, coverage_of
from orchestrator.builds.fastest import Chosen
from orchestrator.builds.gate import Gate, Held, Side, Verdict
from orchestrator.builds.intervals import Interval
from orchestrator.builds.pace import THOROUGH_AGAIN, THOROUGH_SECONDS, TURNS, Pace
from orchestrator.builds.rest import rest_seconds
from orchestrator.builds.sound import with_sound_records
from orchestrator.builds.turns import take_turns
from orchestrator.builds.untuned import UntunedTimes, untuned_of
from orchestrator.builds.wrong_outputs import WrongRecord, name_wrong_records
from orchestrator.devices.boards import wait_for_board
from orchestrator.devices.targets import resolve_boards
from orchestrator.errors import EngineError, EngineTimeoutError, NotFoundError, TargetError
from orchestrator.models.extraction import ExtractedModel, extract_model
from orchestrator.models.request import ModelRequest
from orchestrator.storage import NewVerification, Storage, VerificationRow, toolchain_key
from orchestrator.toolbox import Toolbox
from workers.messages import CompiledModel, Endpoint, Origin, RecordChoice

__all__ = ["BenchReport", "bench_model", "verify"]

# Of what is begun when its last moment is over: the outputs are compared in any case.
_LATE_SECONDS = 60.0


@dataclass(frozen=True)
class BenchReport:
    """Latencies of one model on one device.

    Attributes
    ----------
    untuned_s, tuned_s : float
        Seconds of one inference: the median of all runs, and that of the turns' medians. The first is None
        where not even one ended within a minute.
    reference_s : float or None
        The median of the turns' medians of onnxruntime; None where the model was timed on a board, and
        onnxruntime asked here for its outputs alone.
    max_abs, max_rel : float
        Largest difference of any output element from the reference's, absolute and as part of that output's
        largest value.
    outputs_agree : bool
        Within the tolerance of :func:`workers.models.judge`.
    remembered : bool
        Nothing was measured: the same library was measured before.
    remark : str
        Why more than the usual difference was allowed, where it was.
    plan, why : str
        Which records the tuned library was compiled with, and why those.
    rest_s : float or None
        Median seconds of what follows the library in onnxruntime, where the model was cut; in none of the
        other times.
    runs : dict of str to int
        Of how many runs each figure is: ``untuned``, ``tuned`` and ``reference``.
    turns : int
        In how many turns they were taken.
    side : Side or None
        What each turn took, for the intervals.
    timing_note : str
        How many turns were taken again for slow minutes, and what still moved when it was timed; empty where
        there is nothing of that.
    untuned_note : str
        How `untuned_s` was taken, where that was not in turns with the others.
    origin : Origin or None
        What the model was converted from, another precision's file included.
    held : Held or None
        The tuned library held against an earlier one, where that was asked for and there is one.
    wrong : tuple of WrongRecord
        Records that computed something else, and that it was built again without.
    """

    model: str
    path: str
    device_class: str
    threads: int
    tasks_total: int
    tasks_tuned: int
    untuned_s: float | None
    tuned_s: float
    reference_s: float | None
    max_abs: float
    max_rel: float
    outputs_agree: bool
    disagreement: str
    remembered: bool = False
    remark: str = ""
    plan: str = ""
    why: str = ""
    rest_s: float | None = None
    runs: dict[str, int] = field(default_factory=dict)
    turns: int = 0
    side: Side | None = None
    timing_note: str = ""
    untuned_note: str = ""
    origin: Origin | None = None
    held: Held | None = None
    wrong: tuple[WrongRecord, ...] = ()

    @property
    def speedup(self) -> float | None:
        """How many times faster than untuned."""
        return None if self.untuned_s is None else self.untuned_s / self.tuned_s

    @property
    def reference_ratio(self) -> float | None:
        """Tuned latency as a multiple of the reference's: the median of the turns' where there are any."""
        if self.ratio is not None:
            return self.ratio.middle
        return None if self.reference_s is None else self.tuned_s / self.reference_s

    @property
    def ratio(self) -> Interval | None:
        """How sure `reference_ratio` is; None where onnxruntime was not timed beside it."""
        return None if self.side is None else self.side.sure_ratio


def bench_model(
    store: Storage,
    tools: Toolbox,
    request: ModelRequest,
    *,
    target: str = "auto",
    rounds: int = TURNS,
    seed: int = 1,
    layout: str | None = None,
    weigh_layouts: bool = True,
    allowed: Sequence[str] = (),
    stale: bool = True,
    board: str | None = None,
    tracker: tuple[str, int] | None = None,
    allowed_slowdown: float | None = None,
    against: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> BenchReport:
    """Build a model untuned and tuned, run both beside onnxruntime, and store what came out.

    Parameters
    ----------
    layout : str, optional
        See :func:`.extraction.extract_model`.
    allowed, stale : sequence of str and bool, optional
        See :func:`.coverage.coverage_of`.
    board, tracker : str and tuple of (str, int), optional
        Key of a device to run both on, and the TVM RPC tracker where it registered itself; left out, this
        machine.
    allowed_slowdown : float, optional
        Hold the tuned library against an earlier one, and say whether it takes longer by more than this part
        of its time: see :mod:`.gate`.
    against : int, optional
        The campaign whose last comparison of the model that is; left out, the latest of another library.

    Raises
    ------
    ModelError, TargetError, UsageError, EngineError
        Where the model can't be imported, its target can't run here, the tracker knows no such device, or TVM
        fails.
    NotFoundError
        The campaign named by `against` compared no such model on that device class.
    """
    endpoint = None
    if board is None:
        device = tools.resolve_target(target)
    else:
        device = resolve_boards(tools, {board: target})[board]
        # Before the model is imported, which may take minutes.
        endpoint = wait_for_board(tools, board, tracker, device.kind, say)
    model = extract_model(store, tools, request, device, say=say, layout=layout)
    gate = None if allowed_slowdown is None else _gate(store, model, allowed_slowdown, against)
    return verify(
        store,
        tools,
        model,
        gate=gate,
        rounds=rounds,
        pace=lambda: Pace(side_s=THOROUGH_SECONDS, again=max(rounds, THOROUGH_AGAIN)),
        seed=seed,
        weigh_layouts=weigh_layouts,
        allowed=allowed,
        stale=stale,
        endpoint=endpoint,
        say=say,
    )


def _gate(store: Storage, model: ExtractedModel, allowed: float, against: int | None) -> Gate:
    """Look up what a library is held against."""
    device_class = model.device.device_class
    alike = store.models.alike(model.id)
    if against is None:
        return Gate(allowed, store.verifications.recent(alike, device_class))
    rows = store.verifications.after_campaign(against)
    found = [row for row in rows if row.model_id in alike and row.device_class == device_class]
    if not found:
        raise NotFoundError(
            f"campaign {against} compared no {model.prepared.name} with these inputs and outputs on "
            f"{device_class}; `tunefleet list` shows the campaigns"
        )
    return Gate(allowed, sorted(found, key=lambda row: alike.index(row.model_id)), pinned=True)


def verify(
    store: Storage,
    tools: Toolbox,
    model: ExtractedModel,
    *,
    rounds: int = TURNS,
    pace: Callable[[], Pace] = Pace,
    seed: int = 1,
    campaign_id: int | None = None,
    remember: bool = False,
    weigh_layouts: bool = True,
    allowed: Sequence[str] = (),
    stale: bool = True,
    endpoint: Endpoint | None = None,
    untuned: CompiledModel | None = None,
    untuned_times: UntunedTimes | None = None,
    costs: Costs | None = None,
    gate: Gate | None = None,
    built: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda _: None,
    quiet: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> BenchReport:
    """Compare a model's tuned library with the untuned one and the reference, and store the comparison.

    Parameters
    ----------
    remember : bool, optional
        Take the stored comparison where there is one of the same records.
    weigh_layouts : bool, optional
        See :func:`.choose_records.choose_records`.
    allowed, stale : sequence of str and bool, optional
        See :func:`.coverage.coverage_of`.
    endpoint : Endpoint, optional
        The device to run both libraries on, where that is not this machine. What onnxruntime computes is
        computed here all the same; what it takes here says nothing about the device, and is left out.
    rounds : int, optional
        Turns in which they are timed, at most.
    pace : callable, optional
        Says, when the libraries are built, when the rest is to be over. Building takes what it takes.
    untuned : CompiledModel, optional
        The model compiled without records, where that was done before.
    untuned_times : UntunedTimes, optional
        What it takes, where that is known and not to be taken again.
    costs : Costs, optional
        What it took to compile it, to be stored for whoever plans the next comparison; left out, what an
        earlier comparison knew.
    gate : Gate, optional
        What to hold the tuned library against.
    built : callable, optional
        Called when the libraries are built, before any of them runs.
    quiet : callable, optional
        Makes a context within which nothing else uses this machine's cores.
    """
    device, prepared = model.device, model.prepared
    if remember:
        toolchain = toolchain_key(tools.toolchain_of(device))
        key = coverage_of(store, model, allowed, toolchain=toolchain, stale=stale).key
        known = store.verifications.of_records(model.id, device.device_class, key)
        # What was wrong is looked at again: the record at fault may not have been found in time.
        if known is not None and known.details.get("agree"):
            return _report(model, known, remembered=True)
    if device.unfit and endpoint is None:
        raise TargetError(f"target {device.target} can't be run here: {device.unfit}")

    untuned_build: Future[CompiledModel] | None = None

    def compiled_with(coverage: Coverage) -> tuple[Chosen, CompiledModel, CompiledModel | UntunedTimes]:
        nonlocal untuned_build
        choice = choose_records(
            store,
            tools,
            model,
            coverage,
            weigh_layouts=weigh_layouts,
            endpoint=endpoint,
            say=say,
            quiet=quiet,
        )
        known = untuned_times or untuned or choice.untuned
        say(f"compiling {prepared.name}, tuned" + ("" if known else " and untuned"))
        # Side by side, where neither is there already.
        if known is None and untuned_build is None:
            untuned_build = tools.compile(prepared, device.target, RecordChoice("untuned"))
        tuned = choice.compiled
        if tuned is None and not coverage.records and not choice.plan.sequence:
            # Nothing of it is tuned: both are one library.
            tuned = untuned or choice.untuned
            tuned = tuned or (None if untuned_build is None else untuned_build.result())
        tuned = tuned or tools.compile(prepared, device.target, choice.plan).result()
        if known is None:
            assert untuned_build is not None
            known = untuned_build.result()
        return choice, tuned, known

    wrong: list[WrongRecord] = []
    note = ""
    while True:
        coverage, (choice, tuned, before) = with_sound_records(
            store, tools, model, compiled_with, allowed=allowed, stale=stale, say=say
        )
        built()
        until = pace()
        ends_at = max(until.limit_at, until.now() + _LATE_SECONDS)
        say(f"comparing {prepared.name} with onnxruntime")
        with tools.no_later_than(ends_at):
            began = until.now()
            inputs, expected = tools.reference_outputs(prepared, seed, device.cores)
            ordered = {spec.name: inputs[spec.name] for spec in prepared.inputs}
            reference_one_s = until.now() - began
            with quiet():
                began = until.now()
                first = tools.run(tuned, ordered, device.target, endpoint=endpoint)
                tuned_one_s = first.first_s or until.now() - began
            difference = tools.judge(prepared, inputs, first.outputs, expected)
            if tuned.lent and not difference.ok:
                tuned = without_lent(tools, prepared, device.target, choice.plan, say=say)
                with quiet():
                    first = tools.run(tuned, ordered, device.target, endpoint=endpoint)
                tuned_one_s = first.first_s or tuned_one_s
                difference = tools.judge(prepared, inputs, first.outputs, expected)
        if difference.ok or not coverage.records:
            break
        try:
            with tools.no_later_than(ends_at):
                found = name_wrong_records(
                    store, tools, model, coverage, choice.plan, (seed,), endpoint=endpoint, say=say
                )
        except EngineTimeoutError:
            note = "; there was no time to find the record at fault, for which `tunefleet bench` looks"
            break
        except EngineError as error:  # it is wrong all the same, whatever a part of its records does
            note = f"; the record at fault was not found ({str(error).splitlines()[0]})"
            break
        if not found:
            break
        # Without them: what is stored of them is a failure now.
        wrong += found
    why = choice.why
    if coverage.stale:
        why += f"; {coverage.stale} of them stale, measured with another toolchain"
    if coverage.set_aside:
        why += f"; {coverage.set_aside} set aside, for they can't be built"
    with tools.no_later_than(ends_at), quiet():
        turns = take_turns(
            tools,
            prepared,
            ordered,
            device.target,
            device.cores,
            tuned=tuned,
            tuned_one_s=tuned_one_s,
            untuned=before,
            reference_one_s=reference_one_s,
            rounds=rounds,
            pace=until,
            endpoint=endpoint,
            say=say,
        )
        rest_s = rest_seconds(tools, prepared, inputs, expected, device.cores, seed)
    medians = turns.medians
    middle = {name: statistics.median(values) for name, values in medians.items() if values}
    versions = tools.versions()
    details = {
        "times_s": turns.times,
        "turns_s": medians,
        "ratios": turns.ratios,
        "runs": turns.runs,
        "timing_note": turns.note,
        "known_kernel_s": turns.known_least_s,
        "agree": difference.ok,
        "disagreement": difference.reason + note if difference.reason else "",
        "remark": difference.remark,
        "plan": choice.plan.name,
        "why": why,
        "plans_s": choice.times_s,
        "threads": device.cores,
        "versions": versions,
        "turns": turns.taken,
        "untuned_note": turns.untuned_note,
        "untuned_of": untuned_of(model, versions),
        **({"wrong": [asdict(one) for one in wrong]} if wrong else {}),
        **_costs_document(store, model, costs),
        **({} if rest_s is None else {"rest_s": rest_s}),
    }
    held = None if gate is None else gate.held(model.id, coverage.key, details)
    store.verifications.put(
        NewVerification(
            model_id=model.id,
            device_class=device.device_class,
            records_key=coverage.key,
            untuned_s=statistics.median(turns.untuned_s) if turns.untuned_s else None,
            tuned_s=middle["tuned"],
            reference_s=middle.get("reference"),
            max_abs=difference.max_abs,
            max_rel=difference.max_rel,
            tasks_total=len(coverage.tasks),
            tasks_tuned=coverage.tuned,
            campaign_id=campaign_id,
            details={**details, **({"slower": True} if held and held.verdict is Verdict.SLOWER else {})},
        )
    )
    stored = store.verifications.of_records(model.id, device.device_class, coverage.key)
    assert stored is not None
    return replace(_report(model, stored), held=held)


def _costs_document(store: Storage, model: ExtractedModel, costs: Costs | None) -> dict[str, Any]:
    """Return what it took to compile a model; where that isn't said, as the latest comparison has it."""
    if costs is not None:
        return {"costs_s": costs.document()}
    earlier = store.verifications.recent([model.id], model.device.device_class)
    known = [row.details["costs_s"] for row in earlier if "costs_s" in row.details]
    return {"costs_s": known[0]} if known else {}


def _report(model: ExtractedModel, row: VerificationRow, *, remembered: bool = False) -> BenchReport:
    assert row.tuned_s is not None
    assert row.max_abs is not None
    assert row.max_rel is not None
    return BenchReport(
        model=model.prepared.name,
        path=model.request.path,
        device_class=row.device_class,
        threads=int(row.details["threads"]),
        tasks_total=row.tasks_total,
        tasks_tuned=row.tasks_tuned,
        untuned_s=row.untuned_s,
        tuned_s=row.tuned_s,
        reference_s=row.reference_s,
        max_abs=row.max_abs,
        max_rel=row.max_rel,
        outputs_agree=bool(row.details["agree"]),
        disagreement=str(row.details["disagreement"]),
        remark=str(row.details.get("remark", "")),
        plan=str(row.details.get("plan", "")),
        why=str(row.details.get("why", "")),
        remembered=remembered,
        rest_s=row.details.get("rest_s"),
        runs=row.runs,
        turns=row.turns,
        side=Side.of_row(row),
        timing_note=str(row.details.get("timing_note", "")),
        untuned_note=row.untuned_note,
        origin=model.prepared.origin,
        wrong=tuple(WrongRecord(**one) for one in row.details.get("wrong", ())),
    )
