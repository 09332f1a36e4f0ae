"""Where a model's time goes: each kernel of its library timed inside it, beside onnxruntime's nodes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from orchestrator.builds.agreement import agreeing
from orchestrator.builds.choose_records import choose_records
from orchestrator.builds.counterparts import Gap, counterparts, gaps
from orchestrator.builds.coverage import Coverage
from orchestrator.builds.fastest import Chosen
from orchestrator.builds.pace import SIDE_SECONDS
from orchestrator.builds.sound import with_sound_records
from orchestrator.errors import TargetError
from orchestrator.models.extraction import extract_model
from orchestrator.models.request import ModelRequest
from orchestrator.storage import Storage
from orchestrator.toolbox import Toolbox
from workers.messages import Call, CompiledModel, Kernel, Origin, Profile

__all__ = ["RUNS", "TURNS", "ProfileReport", "profile_model"]

#: Runs of the model in each turn of each side.
RUNS = 20
#: Times that both are profiled, one after the other.
TURNS = 3


@dataclass(frozen=True)
class ProfileReport:
    """Where a model's time goes.

    Attributes
    ----------
    run_s : float
        Median seconds of one inference that nobody looked into.
    reference_run_s : float
        The same of onnxruntime.
    gaps : tuple of Gap
        The library's kernels, task by task, those first that lose most against onnxruntime.
    nodes : tuple of Kernel
        onnxruntime's.
    unmatched_s : float
        Seconds of those nodes that no task is held against.
    calls, reference_calls : tuple of Call
        One inference of each, call by call.
    workloads : dict of str to str
        Hash of the workload of each kernel in `calls` that is a task's.
    model_id : int
        Of the store.
    """

    model: str
    model_id: int
    device_class: str
    threads: int
    tasks_total: int
    tasks_tuned: int
    run_s: float
    reference_run_s: float
    gaps: tuple[Gap, ...]
    nodes: tuple[Kernel, ...]
    unmatched_s: float
    calls: tuple[Call, ...]
    reference_calls: tuple[Call, ...]
    workloads: dict[str, str]
    origin: Origin | None = None

    @property
    def kernels_s(self) -> float:
        """Seconds of all kernels in one inference."""
        return sum(gap.seconds for gap in self.gaps)

    @property
    def between_s(self) -> float:
        """What a run takes beside its kernels: calls, memory. Less than nothing is noise."""
        return self.run_s - self.kernels_s

    @property
    def reference_kernels_s(self) -> float:
        """Seconds of all of onnxruntime's nodes in one inference."""
        return sum(node.seconds for node in self.nodes)


def profile_model(
    store: Storage,
    tools: Toolbox,
    request: ModelRequest,
    *,
    target: str = "auto",
    turns: int = TURNS,
    runs: int = RUNS,
    seed: int = 1,
    layout: str | None = None,
    weigh_layouts: bool = True,
    stale: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> ProfileReport:
    """Build a model with the best records, and time its kernels and onnxruntime's nodes in turns, here.

    Parameters
    ----------
    turns, runs : int, optional
        Times that both are looked into, and inferences in each; the medians count.
    layout, weigh_layouts, stale : str and bool, optional
        As for :func:`.build.build_model`.

    Raises
    ------
    ModelError, UsageError, EngineError
        Where the model can't be imported, its engine can't look into libraries, or TVM fails.
    TargetError
        The target can't run on this machine.
    DisagreementError
        The library computes something else than onnxruntime.
    """
    device = tools.resolve_target(target)
    if device.unfit:
        raise TargetError(f"target {device.target} can't be run here: {device.unfit}")
    model = extract_model(store, tools, request, device, say=say, layout=layout)
    prepared = model.prepared

    def compiled_with(coverage: Coverage) -> tuple[Chosen, CompiledModel]:
        say(f"compiling {prepared.name} with {coverage.tuned} of {len(coverage.tasks)} tasks tuned")
        choice = choose_records(store, tools, model, coverage, weigh_layouts=weigh_layouts, say=say)
        compiled = choice.compiled or tools.compile(prepared, device.target, choice.plan).result()
        return choice, compiled

    coverage, (choice, compiled) = with_sound_records(
        store, tools, model, compiled_with, stale=stale, say=say
    )
    # Times of what computes something else say nothing. `bench` names the record at fault.
    compiled = agreeing(
        tools,
        prepared,
        device.target,
        compiled,
        choice.plan,
        threads=device.cores,
        explain=not coverage.records,
        say=say,
    )
    coverage = coverage.as_compiled(compiled)
    drawn = tools.random_inputs(prepared.inputs, seed)
    inputs = {spec.name: drawn[spec.name] for spec in prepared.inputs}
    ours: list[Profile] = []
    theirs: list[Profile] = []
    run_s: list[float] = []
    reference_s: list[float] = []
    for turn in range(turns):
        say(f"timing the kernels of {prepared.name}, turn {turn + 1} of {turns}")
        ours.append(tools.profile(prepared, compiled, inputs, device.target, runs))
        theirs.append(tools.reference_profile(prepared, inputs, device.cores, runs))
        run = tools.run(
            compiled, inputs, device.target, repeats=runs, settle_s=2 * SIDE_SECONDS, least_s=SIDE_SECONDS
        )
        run_s.append(statistics.median(run.times))
        reference_s.append(
            statistics.median(tools.reference_timing(prepared, inputs, device.cores, runs).times)
        )
    kernels, nodes = _over_turns(ours), _over_turns(theirs)
    matched = {node.name for same in counterparts(kernels, nodes).values() for node in same}
    marks = {task.workload_hash: "" for task in coverage.tasks}
    marks |= {t.workload_hash: " (lent)" if t.lent else " (untuned)" for t in coverage.missing}
    found = gaps(
        kernels,
        nodes,
        {task.workload_hash: task.name + marks[task.workload_hash] for task in coverage.tasks},
        {task.workload_hash: task.flops for task in coverage.tasks},
        {task.workload_hash: task.best_s for task in coverage.tasks if not task.borrowed_from},
    )
    return ProfileReport(
        model=prepared.name,
        model_id=model.id,
        device_class=device.device_class,
        threads=device.cores,
        tasks_total=len(coverage.tasks),
        tasks_tuned=coverage.tuned,
        run_s=statistics.median(run_s),
        reference_run_s=statistics.median(reference_s),
        gaps=tuple(found),
        nodes=_by_time(nodes),
        unmatched_s=sum(node.seconds for node in nodes if node.name not in matched),
        calls=ours[len(ours) // 2].calls,
        reference_calls=theirs[len(theirs) // 2].calls,
        workloads={kernel.name: kernel.workload for kernel in kernels if kernel.workload},
        origin=prepared.origin,
    )


def _by_time(kernels: Sequence[Kernel]) -> tuple[Kernel, ...]:
    """Return kernels, the dearest first."""
    return tuple(sorted(kernels, key=lambda kernel: -kernel.seconds))


def _over_turns(turns: Sequence[Profile]) -> list[Kernel]:
    """Return kernels with the median of what they took in each turn."""
    times: dict[str, list[float]] = {}
    for turn in turns:
        for kernel in turn.kernels:
            times.setdefault(kernel.name, []).append(kernel.seconds)
    return [replace(kernel, seconds=statistics.median(times[kernel.name])) for kernel in turns[0].kernels]
