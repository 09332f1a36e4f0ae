"""``best``: the best configs of a model's tasks or of a workload, with their schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from orchestrator.cli.answers.best import stored_best
from orchestrator.cli.kit import options
from orchestrator.cli.kit.arguments import model_request, require_engine
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.device_column import DeviceColumn
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stale import Stale, revalidate_model, say_stale, uses_stale
from orchestrator.cli.kit.stored import device_class_named, tune_command
from orchestrator.cli.kit.text import age, interval_text, latency
from orchestrator.cli.models.coverage import narrowed, wanted_tasks
from orchestrator.documents.intervals import level_with, times_interval
from orchestrator.documents.ratios import speed_text
from orchestrator.documents.trials import trial_document
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.models.request import ModelRequest
    from orchestrator.storage import Storage, TrialRow
    from orchestrator.toolbox import Toolbox

__all__ = ["best"]


@command(
    "best",
    panel=options.PANELS.MODELS,
    examples=(
        "best model.onnx --no-trace",
        "best model.onnx --tasks conv2d --top 3",
        "best --workload 3f0a91 --json",
        "best --device znver4 --sort slowest --limit 0",
    ),
)
def best(
    session: Session,
    conversion: ConversionOptions,
    model: options.MaybeModel = None,
    workload: options.Workload = None,
    top: Annotated[int, typer.Option("--top", min=1, metavar="K", help="The K fastest of each task.")] = 1,
    no_trace: Annotated[bool, typer.Option("--no-trace", help="Leave the schedules out.")] = False,
    input_shape: options.InputShapes = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="TARGET",
            help="Of this target's device only. Left out: 'auto' for a model, all devices for a workload.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = None,
    pattern: options.TaskPattern = None,
    engine: options.StoredEngine = None,
    sort: Annotated[
        str, typer.Option("--sort", metavar="latest|name|slowest", help="Without a model or workload.")
    ] = "latest",
    limit: Annotated[
        int, typer.Option("--limit", min=0, metavar="N", help="Without a model or workload: N; 0 for all.")
    ] = 20,
    stale: Stale = "use",
) -> None:
    """Show the best configurations found, with their schedules as readable traces.

    The fastest stored ones of each task of a model, or of one workload, whoever measured them. With
    neither: the best time of every workload that is stored, without schedules.
    """
    if model is not None and workload is not None:
        raise UsageError("name a MODEL.onnx or a --workload, not both")
    if target is not None and device is not None:
        raise UsageError("--target and --device both choose the device; give one of them")
    wants = wanted_tasks(pattern)
    takes_stale = uses_stale(stale)
    if stale == "revalidate" and model is None:
        raise UsageError(
            f"--stale revalidate is for a model; `{session.command_line('records', 'revalidate')}` measures "
            "the fastest of all workloads"
        )
    if workload is not None:
        _best_of_workload(session, workload, target, device, top, no_trace, takes_stale)
    elif model is not None:
        request = model_request(session, model, input_shape, conversion)
        tune = partial(tune_command, session, model, input_shape, conversion, target or "auto")
        _best_of_model(session, request, target, device, wants, engine, top, no_trace, tune, stale)
    else:
        if target is not None or input_shape or top != 1:
            raise UsageError("--target, --input-shape and --top are for a model or a workload; name one")
        stored_best(session, device, engine, pattern, sort, limit, stale=takes_stale)


def _best_of_workload(
    session: Session,
    prefix: str,
    target: str | None,
    device: str | None,
    top: int,
    no_trace: bool,
    stale: bool,
) -> None:
    with session.storage(create=False) as store:
        row = store.workloads.resolve(prefix)
        # It starts a process only when it is asked something.
        with session.toolbox(row.engine) as tools:
            device_class = None if target is None else tools.resolve_target(target).device_class
            if device is not None:
                device_class = device_class_named(store, device, row.engine).name
            found = store.trials.best(row.hash, device_class, max(2, top), stale=stale)
            if not found:
                where = f" on {device_class}" if device_class else ""
                raise NotFoundError(f"no trial of {row.name} ({row.hash[:12]}) succeeded{where}")
            shown = _first_of_each_class(found, top)
            group = (row.hash, row.name, None, row.flops, shown, level_with(found))
            _show_best(session, store, tools, [group], no_trace)
            say_stale(session, sum(trial.stale for trial in shown), len(shown))


def _best_of_model(
    session: Session,
    request: ModelRequest,
    target: str | None,
    device: str | None,
    wants: Callable[[str], bool],
    engine: str | None,
    top: int,
    no_trace: bool,
    tune: Callable[[str], str],
    stale: str,
) -> None:
    from orchestrator.builds import coverage_of
    from orchestrator.models.lookup import device_info, find_model
    from orchestrator.storage import toolchain_key

    if engine is not None:
        require_engine(engine)
    with session.storage() as store:
        named = None if device is None else device_class_named(store, device, engine)
        engine = named.engine if named else engine or options.DEFAULT_ENGINE
        require_engine(engine)
        with session.toolbox(engine) as tools:
            with session.steps() as steps:
                steps("looking for the target")
                if named is None:
                    place, version = tools.resolve_target(target or "auto"), tools.engine_version()
                else:
                    place, version = device_info(named), None
                found = find_model(store, tools, request, place, version=version, say=steps)
                if stale == "revalidate":
                    revalidate_model(session, store, tools, request, target=place.target, say=steps)
            # What is here is what counts, where this machine's device is meant.
            toolchain = None if named else toolchain_key(tools.toolchain_of(place))
            takes = uses_stale(stale)
            coverage = narrowed(coverage_of(store, found, toolchain=toolchain, stale=takes), wants)
            groups = []
            for task in coverage.tasks:
                # With the one that comes next, which may be level with it.
                best = store.trials.best(
                    task.workload_hash, place.device_class, max(2, top), toolchain=toolchain, stale=takes
                )
                named_as = (task.workload_hash, task.name, task.weight, task.flops)
                groups.append((*named_as, best[:top], level_with(best)))
            if not any(trials for *_, trials, _ in groups):
                raise NotFoundError(
                    f"nothing is stored for {found.name} on {place.device_class}; "
                    f"`{tune(engine)}` finds something"
                )
            _show_best(session, store, tools, groups, no_trace)
            say_stale(session, coverage.stale, coverage.tuned, request.path)


def _first_of_each_class(trials: Sequence[TrialRow], top: int) -> list[TrialRow]:
    """Leave out what was only asked for to know what comes next."""
    classes = dict.fromkeys(trial.device_class for trial in trials)
    return [one for name in classes for one in [t for t in trials if t.device_class == name][:top]]


def _show_best(
    session: Session,
    store: Storage,
    tools: Toolbox,
    groups: Sequence[tuple[str, str, int | None, float, Sequence[TrialRow], int | None]],
    no_trace: bool,
) -> None:
    documents: list[dict[str, Any]] = []
    device = DeviceColumn(trial.device_class for *_, found, _ in groups for trial in found)
    sure = {t.id: times_interval(t.times) for *_, found, _ in groups for t in found}
    between = ("between",) if any(sure.values()) else ()
    level = ("level with",) if any(rival for *_, rival in groups) else ()
    right = ("calls", "best", *between, "GFLOP/s", "trial", *level)
    grid = Grid(
        "task", *right, "recorded", "workload", *device.heading, right=right, flexible=("task", "device")
    )
    schedules: list[tuple[Text, str]] = []
    measured = store.measurements.of_trials([trial.id for *_, found, _ in groups for trial in found])
    with session.steps() as steps:
        for workload_hash, name, weight, flops, found, rival in groups:
            trials = []
            calls = "-" if weight is None else str(weight)
            for trial in found:
                schedule = None
                if not no_trace:
                    steps.briefly(f"reading the schedule of {name}")
                    schedule = _schedule(store, tools, trial)
                    head = Text(f"{name}  {latency(trial.cost_s)}", style="bold")
                    head.append(f"  trial {trial.id}, workload {workload_hash[:12]}", style="not bold dim")
                    schedules.append((head, schedule))
                trials.append(
                    trial_document(trial, measured.get(trial.id, []), schedule=schedule, traced=True)
                )
                grid.add(
                    name,
                    calls,
                    latency(trial.cost_s),
                    *(interval_text(sure[trial.id]) for _ in between),
                    speed_text(flops, trial.cost_s),
                    str(trial.id),
                    *(str(rival) if rival and trial is found[0] else "-" for _ in level),
                    age(trial.created_at) + (", stale" if trial.stale else ""),
                    workload_hash[:12],
                    *device.cell(trial.device_class),
                )
            if not found:
                grid.add(
                    name, calls, *("-" for _ in right[1:]), "untuned", workload_hash[:12], *device.cell(None)
                )
            documents.append(
                {
                    "name": name,
                    "workload_hash": workload_hash,
                    "weight": weight,
                    "flops": flops,
                    "level_with": rival,
                    "best": trials,
                }
            )
    session.emit({"tasks": documents})
    session.show(grid.table())
    for head, schedule in schedules:
        session.write(Text(""), head, Text(schedule.rstrip()))


def _schedule(store: Storage, tools: Toolbox, trial: TrialRow) -> str:
    from workers.messages import Candidate

    assert trial.trace is not None
    return tools.describe(store.workloads.get(trial.workload_hash), Candidate(trial.candidate, trial.trace))
