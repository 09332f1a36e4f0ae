"""A deployable library from the best records."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestrator.builds.agreement import SEEDS, agreeing
from orchestrator.builds.choose_records import choose_records
from orchestrator.builds.coverage import Coverage
from orchestrator.builds.fastest import Chosen
from orchestrator.builds.gate import Held, Verdict
from orchestrator.builds.label import Label, labelled
from orchestrator.builds.measured import measured_kernels
from orchestrator.builds.only_if_faster import earlier_library, held_in_turns
from orchestrator.builds.params import require_weights_inside, write_params
from orchestrator.builds.rest import RestTimes, rest_label, rest_path, rest_times
from orchestrator.builds.sound import with_sound_records
from orchestrator.builds.wrong_outputs import WrongRecord, name_wrong_records
from orchestrator.devices.targets import resolve_boards
from orchestrator.errors import DisagreementError, EngineError, IncompleteError
from orchestrator.files import writable, write
from orchestrator.models.extraction import ExtractedModel, extract_model
from orchestrator.models.request import ModelRequest
from orchestrator.storage import Storage
from orchestrator.toolbox import Toolbox
from workers.messages import CompiledModel, Origin

__all__ = ["BuildReport", "build_model"]


@dataclass(frozen=True)
class BuildReport:
    """What was built.

    Attributes
    ----------
    library, params : pathlib.Path, pathlib.Path or None
        The files written; weights are in the library where `params` is None.
    changes : tuple of str
        What was changed in the model to import it.
    plan, why : str
        Which records were applied: each task's best, or what the engine chose; and why.
    plans_s : dict of str to float
        Seconds of one inference after each plan that was compared, by its name.
    rest : pathlib.Path or None
        The ONNX file with what follows the library, where the model was cut.
    rest_times : RestTimes or None
        What both parts take in onnxruntime.
    origin : Origin or None
        What the model was converted from.
    held : Held or None
        It held against the library that was there, where it was to be the faster one.
    written : bool
        The files were written: they are not where it isn't.
    wrong : tuple of WrongRecord
        Records that computed something else, and that it was built again without.
    """

    model: str
    library: pathlib.Path
    params: pathlib.Path | None
    target: str
    device_class: str
    coverage: Coverage
    changes: tuple[str, ...]
    plan: str = ""
    why: str = ""
    plans_s: dict[str, float] = field(default_factory=dict)
    rest: pathlib.Path | None = None
    rest_times: RestTimes | None = None
    origin: Origin | None = None
    held: Held | None = None
    written: bool = True
    wrong: tuple[WrongRecord, ...] = ()


def build_model(
    store: Storage,
    tools: Toolbox,
    request: ModelRequest,
    output: str | os.PathLike[str],
    *,
    target: str = "auto",
    params: str | os.PathLike[str] | None = None,
    require_complete: bool = False,
    layout: str | None = None,
    weigh_layouts: bool = True,
    allowed: Sequence[str] = (),
    stale: bool = True,
    board: str | None = None,
    unchecked: bool = False,
    only_if_faster: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> BuildReport:
    """Compile a model with the best stored record of each of its tasks that can be used.

    Parameters
    ----------
    output : path
        The shared library to write.
    params : path, optional
        Write the weights there (``.npz``) instead of into the library.
    require_complete : bool, optional
        Refuse to build where a task has no record.
    layout : str, optional
        See :func:`.extraction.extract_model`.
    weigh_layouts : bool, optional
        Weigh layouts between the tasks, where the engine can; see :func:`.choose_records.choose_records`.
    allowed : sequence of str, optional
        Device classes to borrow records from; see :func:`.coverage.coverage_of`.
    stale : bool, optional
        Take records of another toolchain where a task has none of this.
    board : str, optional
        Key of the device it is for, where that registered itself at a tracker.
    unchecked : bool, optional
        Don't run the library to compare its outputs with onnxruntime's. Where this machine can't run it, that
        is left out in any case.
    only_if_faster : bool, optional
        Time it in turns with the library that is there, and write nothing where it isn't the faster one.
        Where none is there, it is written.

    Raises
    ------
    IncompleteError
        With the list of what is missing.
    DisagreementError
        The library computes something else than onnxruntime, and no single record is at fault. Nothing is
        written.
    ModelError, TargetError, UsageError, EngineError
        Where the model, the target or an output path can't be used, or TVM can't compile the model.
    """
    library = writable(output, read=[request.path])
    weights = None if params is None else writable(params, read=[request.path])
    device = resolve_boards(tools, {board: target})[board] if board else tools.resolve_target(target)
    model = extract_model(store, tools, request, device, say=say, layout=layout)
    prepared = model.prepared
    rest = None if prepared.rest is None else rest_path(library, request.path)
    if weights is None:
        require_weights_inside(model.prepared)
    earlier = earlier_library(tools, library, weights, prepared, device) if only_if_faster else None

    def compiled_with(coverage: Coverage) -> tuple[Chosen, CompiledModel]:
        if require_complete and coverage.missing:
            raise _incomplete(model, coverage)
        say(f"compiling {model.prepared.name} with {coverage.tuned} of {len(coverage.tasks)} tasks tuned")
        choice = choose_records(store, tools, model, coverage, weigh_layouts=weigh_layouts, say=say)
        compiled = choice.compiled
        if compiled is None or weights is not None:
            compiled = tools.compile(
                model.prepared, device.target, choice.plan, params_beside=weights is not None
            ).result()
        return choice, compiled

    def right() -> tuple[Coverage, Chosen, CompiledModel]:
        coverage, (choice, compiled) = with_sound_records(
            store, tools, model, compiled_with, allowed=allowed, stale=stale, say=say
        )
        lost = set(choice.plan.records) - set(compiled.tuned)
        if lost:
            # Extraction and compilation saw different kernels: silence would ship an untuned library (TVM
            # #19385).
            raise EngineError(
                f"{len(lost)} records of {prepared.name} were not applied, because the compiled model has "
                f"no such kernel: {', '.join(sorted(key[:12] for key in lost))}. "
                "Nothing was written; please report this."
            )
        if unchecked or device.unfit or board:
            return coverage, choice, compiled
        held = functools.partial(
            agreeing,
            tools,
            prepared,
            device.target,
            compiled,
            choice.plan,
            threads=device.cores,
            params_beside=weights is not None,
            say=say,
        )
        try:
            return coverage, choice, held(explain=not coverage.records)
        except DisagreementError:
            if not coverage.records:
                raise
            try:
                found = name_wrong_records(store, tools, model, coverage, choice.plan, SEEDS, say=say)
            except EngineError as error:  # it is wrong all the same, whatever a part of its records does
                found = ()
                say(f"the record at fault was not found: {str(error).splitlines()[0]}")
            if not found:
                return coverage, choice, held()
        wrong.extend(found)
        # Without them: what is stored of them is a failure now.
        return right()

    wrong: list[WrongRecord] = []
    coverage, choice, compiled = right()
    coverage = coverage.as_compiled(compiled)
    label = Label(
        model=model.prepared.name,
        model_sha256=model.prepared.sha256,
        engine=tools.engine,
        target=device.target,
        device_class=device.device_class,
        inputs=model.prepared.inputs,
        outputs=model.prepared.outputs,
        params_beside=weights is not None,
        tasks_total=len(coverage.tasks),
        tasks_tuned=coverage.tuned,
        tasks_lent=coverage.lent,
        plan=choice.plan.name,
        records_key=coverage.key,
        versions=tools.versions(),
        rest=None if rest is None or prepared.rest is None else rest_label(prepared.rest, rest),
        origin=prepared.origin,
        measurements=measured_kernels(store, coverage, choice.plan),
    )
    held = None if earlier is None else held_in_turns(tools, earlier, compiled, prepared, device, say)
    written = held is None or held.verdict is Verdict.FASTER
    times = rest_times(tools, prepared, device.cores)
    # Before the library: without it that is of no use.
    if written and rest is not None and prepared.rest is not None:
        write(rest, prepared.rest.onnx)
    if written:
        write(library, labelled(compiled.library, label))
    if written and weights is not None:
        write_params(weights, compiled)
    return BuildReport(
        model.prepared.name,
        library,
        weights,
        device.target,
        device.device_class,
        coverage,
        model.prepared.changes,
        choice.plan.name,
        choice.why,
        choice.times_s,
        rest,
        times,
        prepared.origin,
        held,
        written,
        tuple(wrong),
    )


def _incomplete(model: ExtractedModel, coverage: Coverage) -> IncompleteError:
    lines = [f"  {task.name} ({task.workload_hash[:12]})" for task in coverage.missing]
    lines += [
        f"    record {aside.trial_id} can't be used: {aside.reason}"
        for task in coverage.missing
        for aside in task.set_aside
    ]
    names = "\n".join(lines)
    return IncompleteError(
        f"{len(coverage.missing)} of {len(coverage.tasks)} tasks of {model.prepared.name} have no record "
        f"on {model.device.device_class}:\n{names}"
    )
