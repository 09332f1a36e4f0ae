"""Commands about one model: tasks, best, build, bench."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from orchestrator.cli import _options as options
from orchestrator.cli._command import FAILED, command
from orchestrator.cli._questions import stored_best
from orchestrator.cli._requests import boards_of, model_request, require_engine, weighs_layouts
from orchestrator.cli._session import Session
from orchestrator.cli._stored import DEFAULT_ENGINE, device_class_named, device_info, tune_command
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.fleet import Toolbox
    from orchestrator.storage import Storage, TrialRow

__all__ = ["register"]

_AllowDevice = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-device",
        metavar="CLASS",
        help="Borrow the records of this device class for tasks that have none on their own. Repeat it for "
        "several, the first choice first.",
        show_default=False,
    ),
]
_ForBoard = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="KEY",
        help="For what a campaign tuned with --device KEY, and --target as there.",
        show_default=False,
    ),
]
_TopK = Annotated[int, typer.Option("--top", min=1, metavar="K", help="The K fastest of each task.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    panel = options.PANELS.MODELS
    command(
        app, "tasks", panel=panel, examples=("tasks model.onnx", "tasks model.onnx --tasks conv2d --json")
    )(tasks)
    command(
        app,
        "best",
        panel=panel,
        examples=(
            "best model.onnx --no-trace",
            "best model.onnx --tasks conv2d --top 3",
            "best --workload 3f0a91 --json",
            "best --device znver4 --sort slowest --limit 0",
        ),
    )(best)
    command(
        app,
        "build",
        panel=panel,
        examples=(
            "build model.onnx -o model.so",
            "build model.onnx -o model.so --params model.npz --require-complete",
        ),
    )(build)
    command(
        app,
        "bench",
        panel=panel,
        examples=(
            "bench model.onnx",
            "bench model.onnx --json",
            "bench model.onnx --device rpi4 --target 'llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72 "
            "-num-cores=4' --tracker 10.0.0.10:9190",
        ),
    )(bench)
    command(
        app,
        "run",
        panel=panel,
        examples=(
            "run model.so --check model.onnx",
            "run model.so --input x=image.npy -o outputs.npz --repeat 100",
        ),
    )(run)


def tasks(
    session: Session,
    model: options.Model,
    input_shape: options.InputShapes = None,
    target: options.Target = "auto",
    pattern: options.TaskPattern = None,
    engine: options.Engine = "metaschedule",
) -> None:
    """List what would be tuned in a model, and what is stored for it.

    A task is a computation that TVM compiles as one kernel. calls is how often one inference runs it, MFLOP
    the work of one call; `tunefleet best --workload` takes what the last column says.
    """
    from orchestrator.builds import coverage_of
    from orchestrator.campaigns.extraction import extract_model
    from orchestrator.cli._documents import tasks_document
    from orchestrator.cli._tables import coverage_table
    from orchestrator.fleet import Toolbox

    wants = _wanted(pattern)
    require_engine(engine)
    request = model_request(model, input_shape)
    with session.storage() as store, Toolbox(engine) as tools, session.steps() as steps:
        steps("looking for the target")
        device = tools.resolve_target(target)
        extracted = extract_model(store, tools, request, device, say=steps)
        coverage = _narrowed(coverage_of(store, extracted), wants)
    session.emit(tasks_document(extracted, coverage))
    session.show(coverage_table(coverage), Text(f"\n{_coverage_line(coverage)}", style="bold"))


def best(
    session: Session,
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL.onnx", help="An ONNX file, or --workload.", show_default=False),
    ] = None,
    workload: options.Workload = None,
    top: _TopK = 1,
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
) -> None:
    """Show the best configurations found, with their schedules as readable traces.

    The fastest stored ones of each task of a model, or of one workload, whoever measured them. With
    neither: the best time of every workload that is stored, without schedules.
    """
    if model is not None and workload is not None:
        raise UsageError("name a MODEL.onnx or a --workload, not both")
    if target is not None and device is not None:
        raise UsageError("--target and --device both choose the device; give one of them")
    wants = _wanted(pattern)
    if workload is not None:
        _best_of_workload(session, workload, target, device, top, no_trace)
    elif model is not None:
        _best_of_model(session, model, input_shape, target, device, wants, engine, top, no_trace)
    else:
        if target is not None or input_shape or top != 1:
            raise UsageError("--target, --input-shape and --top are for a model or a workload; name one")
        stored_best(session, device, engine, pattern, sort, limit)


def _best_of_workload(
    session: Session, prefix: str, target: str | None, device: str | None, top: int, no_trace: bool
) -> None:
    from orchestrator.fleet import Toolbox

    with session.storage(create=False) as store:
        row = store.find_workload(prefix)
        # It starts a process only when it is asked something.
        with Toolbox(row.engine) as tools:
            device_class = None if target is None else tools.resolve_target(target).device_class
            if device is not None:
                device_class = device_class_named(store, device, row.engine).name
            found = store.best(row.hash, device_class, top)
            if not found:
                where = f" on {device_class}" if device_class else ""
                raise NotFoundError(f"no trial of {row.name} ({row.hash[:12]}) succeeded{where}")
            _show_best(session, store, tools, [(row.hash, row.name, None, row.flops, found)], no_trace)


def _best_of_model(
    session: Session,
    model: Path,
    shapes: list[str] | None,
    target: str | None,
    device: str | None,
    wants: Callable[[str], bool],
    engine: str | None,
    top: int,
    no_trace: bool,
) -> None:
    from orchestrator.builds import coverage_of
    from orchestrator.campaigns.extraction import extract_model
    from orchestrator.fleet import Toolbox

    request = model_request(model, shapes)
    if engine is not None:
        require_engine(engine)
    with session.storage() as store:
        named = None if device is None else device_class_named(store, device, engine)
        engine = named.engine if named else engine or DEFAULT_ENGINE
        require_engine(engine)
        with Toolbox(engine) as tools:
            with session.steps() as steps:
                steps("looking for the target")
                place = device_info(named) if named else tools.resolve_target(target or "auto")
                extracted = extract_model(store, tools, request, place, say=steps)
            coverage = _narrowed(coverage_of(store, extracted), wants)
            groups = [
                (
                    task.workload_hash,
                    task.name,
                    task.weight,
                    task.flops,
                    store.best(task.workload_hash, place.device_class, top),
                )
                for task in coverage.tasks
            ]
            if not any(found for *_, found in groups):
                raise NotFoundError(
                    f"nothing is stored for {extracted.prepared.name} on {place.device_class}; "
                    f"`{tune_command(session, model, shapes, target or 'auto', engine)}` finds something"
                )
            _show_best(session, store, tools, groups, no_trace)


def _show_best(
    session: Session,
    store: Storage,
    tools: Toolbox,
    groups: Sequence[tuple[str, str, int | None, float, Sequence[TrialRow]]],
    no_trace: bool,
) -> None:
    from orchestrator.cli._documents import trial_document
    from orchestrator.cli._grid import Grid
    from orchestrator.cli._text import age, device_text, gflops, latency

    documents: list[dict[str, Any]] = []
    several = len({trial.device_class for *_, found in groups for trial in found}) > 1
    right = ("calls", "best", "GFLOP/s", "trial")
    device = ("device",) if several else ()
    grid = Grid("task", *right, "recorded", "workload", *device, right=right, flexible=("task", "device"))
    schedules: list[tuple[Text, str]] = []
    with session.steps() as steps:
        for workload_hash, name, weight, flops, found in groups:
            trials = []
            calls = "-" if weight is None else str(weight)
            for trial in found:
                schedule = None
                if not no_trace:
                    steps(f"reading the schedule of {name}")
                    schedule = _schedule(store, tools, trial)
                    head = Text(f"{name}  {latency(trial.cost_s)}", style="bold")
                    head.append(f"  trial {trial.id}, workload {workload_hash[:12]}", style="not bold dim")
                    schedules.append((head, schedule))
                trials.append(trial_document(trial, schedule=schedule, traced=True))
                speed = gflops(flops, trial.cost_s)
                grid.add(
                    name,
                    calls,
                    latency(trial.cost_s),
                    f"{speed:.1f}" if speed else "-",
                    str(trial.id),
                    age(trial.created_at),
                    workload_hash[:12],
                    *([device_text(trial.device_class)] if several else []),
                )
            if not found:
                grid.add(name, calls, "-", "-", "-", "untuned", workload_hash[:12], *["-"] * several)
            documents.append(
                {
                    "name": name,
                    "workload_hash": workload_hash,
                    "weight": weight,
                    "flops": flops,
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
    return tools.describe(store.get_workload(trial.workload_hash), Candidate(trial.candidate, trial.trace))


def build(
    session: Session,
    model: options.Model,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="The shared library to write.", show_default=False
        ),
    ],
    params: Annotated[
        Path | None,
        typer.Option(
            "--params",
            metavar="FILE",
            help="Write the weights there (.npz), not into the library.",
            show_default=False,
        ),
    ] = None,
    require_complete: Annotated[
        bool, typer.Option("--require-complete", help="Fail where a task has no record, and list those.")
    ] = False,
    input_shape: options.InputShapes = None,
    target: options.Target = "auto",
    engine: options.Engine = "metaschedule",
    layout: options.TunedLayout = None,
    layout_tuning: options.LayoutTuning = "auto",
    allow_device: _AllowDevice = None,
    device: _ForBoard = None,
) -> None:
    """Build a library from the best that is stored.

    It runs with the TVM runtime and numpy alone. Tasks without a record are compiled untuned; the table
    says which, how old each record is, and what its task takes of one run.
    """
    from orchestrator.builds import build_model
    from orchestrator.cli._documents import build_document
    from orchestrator.cli._tables import build_table
    from orchestrator.cli._text import plural, short_path
    from orchestrator.fleet import Toolbox

    require_engine(engine)
    if device is not None:
        boards_of([device], [target])
    request = model_request(model, input_shape)
    with session.storage() as store, Toolbox(engine) as tools, session.steps() as steps:
        report = build_model(
            store,
            tools,
            request,
            output,
            target=target,
            params=params,
            require_complete=require_complete,
            layout=layout,
            together=weighs_layouts(layout_tuning),
            allowed=allow_device or (),
            board=device,
            say=steps,
        )
    session.emit(build_document(report))
    session.show(build_table(report.coverage), Text(f"\n{_coverage_line(report.coverage)}", style="bold"))
    if report.coverage.borrowed:
        session.say(
            f"{plural(report.coverage.borrowed, 'record')} borrowed, measured on another device than this",
            style="yellow",
        )
    session.write(*(Text(f"on import: {change}") for change in report.changes))
    if report.plans_s:
        session.write(Text(f"kept {report.why}"))
    session.write(Text(f"wrote {short_path(str(report.library))}"))
    if report.params is not None:
        session.write(Text(f"wrote {short_path(str(report.params))}"))
    if report.coverage.missing:
        few = f"{len(report.coverage.missing)} of {len(report.coverage.tasks)} tasks are untuned and slow"
        how = tune_command(session, model, input_shape, target, engine, device)
        session.say(f"{few}; to tune them:\n  {how}", style="yellow")


def bench(
    session: Session,
    model: options.Model,
    input_shape: options.InputShapes = None,
    target: options.Target = "auto",
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, metavar="N", help="Turns of all three; the medians count.")
    ] = 5,
    seed: Annotated[
        int, typer.Option("--seed", min=1, max=2**31 - 1, metavar="N", help="Of the random inputs.")
    ] = 1,
    engine: options.Engine = "metaschedule",
    layout: options.TunedLayout = None,
    layout_tuning: options.LayoutTuning = "auto",
    allow_device: _AllowDevice = None,
    device: options.Board = None,
    tracker: options.Tracker = None,
) -> int:
    """Time a model untuned, tuned and in onnxruntime, in turns, and compare the outputs.

    With --device, untuned and tuned run on that device, and onnxruntime here, for its outputs alone. Exit
    code 1 says that the tuned model's outputs are not onnxruntime's.
    """
    from orchestrator.builds import bench_model
    from orchestrator.campaigns.spec import tracker_address
    from orchestrator.cli._documents import bench_document
    from orchestrator.cli._tables import bench_table
    from orchestrator.fleet import Toolbox

    require_engine(engine)
    if device is not None:
        boards_of([device], [target])
    request = model_request(model, input_shape)
    with session.storage() as store, Toolbox(engine) as tools, session.steps() as steps:
        report = bench_model(
            store,
            tools,
            request,
            target=target,
            rounds=rounds,
            seed=seed,
            layout=layout,
            together=weighs_layouts(layout_tuning),
            allowed=allow_device or (),
            board=device,
            tracker=None if device is None else tracker_address(tracker),
            say=steps,
        )
    session.emit({"report": bench_document(report)})
    session.show(bench_table(report))
    if not report.outputs_agree:
        session.error(
            f"the tuned {report.model} computes something else than onnxruntime: {report.disagreement}"
        )
        return FAILED
    if not report.tasks_tuned:
        how = tune_command(session, model, input_shape, target, engine, device)
        session.say(f"nothing of it is tuned yet: {how}", style="yellow")
    return 0


def run(
    session: Session,
    library: Annotated[
        Path, typer.Argument(metavar="LIB.so", help="What `tunefleet build` wrote.", show_default=False)
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=FILE.npy",
            help="Values of an input; random ones, if left out. Repeat it for several.",
            show_default=False,
        ),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option("--inputs", metavar="FILE.npz", help="Inputs by name.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.npz", help="Keep the outputs.", show_default=False),
    ] = None,
    params: Annotated[
        Path | None,
        typer.Option(
            "--params",
            metavar="FILE.npz",
            help="The weights, where `build` wrote them beside the library.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check",
            metavar="MODEL.onnx",
            help="Compare with what onnxruntime makes of the same inputs.",
            show_default=False,
        ),
    ] = None,
    repeat: Annotated[
        int, typer.Option("--repeat", min=0, metavar="N", help="Times measured; 0 for none.")
    ] = 10,
    number: Annotated[
        int, typer.Option("--number", min=1, metavar="N", help="Inferences that make one time, its mean.")
    ] = 1,
    seed: Annotated[
        int, typer.Option("--seed", min=1, max=2**31 - 1, metavar="N", help="Of the random inputs.")
    ] = 1,
    device: options.Board = None,
    tracker: options.Tracker = None,
) -> int:
    """Run a built library, here or on a board: its outputs, its latency, and whether they are right.

    Exit code 1 says that the outputs are not onnxruntime's.
    """
    from orchestrator.builds import read_label, run_library
    from orchestrator.campaigns.spec import tracker_address
    from orchestrator.cli._documents import run_document
    from orchestrator.cli._tables import run_table
    from orchestrator.fleet import Toolbox

    files = dict(_named_file(text) for text in inputs or ())
    if len(files) < len(inputs or ()):
        raise UsageError("--input names an input twice")
    engine = read_label(library).engine
    require_engine(engine)
    with Toolbox(engine) as tools, session.steps() as steps:
        report = run_library(
            tools,
            library,
            params=params,
            inputs=files,
            archive=archive,
            seed=seed,
            repeats=repeat,
            number=number,
            check=check,
            output=output,
            device=device,
            tracker=None if device is None else tracker_address(tracker),
            say=steps,
        )
    session.emit(run_document(report))
    session.show(run_table(report))
    if report.saved is not None:
        session.write(Text(f"wrote {report.saved}"))
    if report.check is not None and not report.check.same_model:
        session.say(
            f"{library.name} was not built from this {Path(report.check.path).name}: the file is another",
            style="yellow",
        )
    if report.check is not None and not report.check.agree:
        session.error(f"{library.name} computes something else than onnxruntime: {report.check.reason}")
        return FAILED
    return 0


def _named_file(text: str) -> tuple[str, str]:
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise UsageError(f"--input {text!r} is not of the form NAME=FILE.npy")
    return name, file


def _wanted(pattern: str | None) -> Callable[[str], bool]:
    if pattern is None:
        return lambda _: True
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--tasks {pattern!r} is not a pattern: {error}") from None
    return lambda name: found.search(name) is not None


def _narrowed(coverage: Any, wants: Callable[[str], bool]) -> Any:
    from dataclasses import replace

    kept = tuple(task for task in coverage.tasks if wants(task.name))
    if coverage.tasks and not kept:
        raise NotFoundError(
            f"no task has such a name; there are: {', '.join(task.name for task in coverage.tasks)}"
        )
    return replace(coverage, tasks=kept)


def _coverage_line(coverage: Any) -> str:
    from orchestrator.cli._text import latency, plural

    total = len(coverage.tasks)
    line = f"{coverage.tuned} of {plural(total, 'task')} tuned"
    if coverage.tuned:
        those = "they" if coverage.tuned == total else "those"
        line += f"; {those} add up to {latency(coverage.expected_s)} a run"
    return line
