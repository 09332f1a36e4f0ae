"""``best``: the best configs of a model's tasks or of a workload, with their schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.answers.best import stored_best
from orchestrator.cli.kit import options
from orchestrator.cli.kit.aim import Aim
from orchestrator.cli.kit.arguments import model_request, require_engine
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.served import served_place
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stale import Stale, revalidate_model, say_stale, uses_stale
from orchestrator.cli.kit.stored import device_class_named, tune_command
from orchestrator.cli.models.best_tasks import best_documents, show_best
from orchestrator.cli.models.coverage import narrowed, wanted_tasks
from orchestrator.documents.best import BestTask, first_of_each_class
from orchestrator.documents.intervals import level_with
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.models.request import ModelRequest
    from orchestrator.remote.connection import Connection
    from orchestrator.storage import Storage
    from orchestrator.toolbox import Toolbox

__all__ = ["best"]

_SERVED_TOP = 100


@command(
    "best",
    panel=options.PANELS.MODELS,
    examples=(
        "best model.onnx --no-trace",
        "best model.onnx --tasks conv2d --top 3",
        "best --workload 3f0a91 --json",
        "best --device znver4 --sort slowest --limit 0",
    ),
    place=Place.ANYWHERE,
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
    if (workload is not None or model is not None) and (server := session.server()) is not None:
        session.refuse_served(target=target, engine=engine, stale=stale != "use")
        _served_best(session, server, conversion, model, workload, input_shape, device, wants, top, no_trace)
    elif workload is not None:
        _best_of_workload(session, workload, target, device, top, no_trace, takes_stale)
    elif model is not None:
        request = partial(model_request, session, model, input_shape, conversion)
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
            shown = first_of_each_class(found, top)
            task = BestTask(row.name, row.hash, None, row.flops, shown, level_with(found))
            _show(session, store, tools, [task], no_trace)
            say_stale(session, sum(trial.stale for trial in shown), len(shown))


def _best_of_model(
    session: Session,
    request_for: Callable[[Aim], ModelRequest],
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
        request = request_for(Aim.of(engine, [named.target if named else target or "auto"]))
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
            tasks = []
            for task in coverage.tasks:
                # With the one that comes next, which may be level with it.
                best = store.trials.best(
                    task.workload_hash, place.device_class, max(2, top), toolchain=toolchain, stale=takes
                )
                named_as = (task.name, task.workload_hash, task.weight, task.flops)
                tasks.append(BestTask(*named_as, best[:top], level_with(best)))
            if not any(task.best for task in tasks):
                raise NotFoundError(
                    f"nothing is stored for {found.name} on {place.device_class}; "
                    f"`{tune(engine)}` finds something"
                )
            _show(session, store, tools, tasks, no_trace)
            say_stale(session, coverage.stale, coverage.tuned, request.path)


def _show(
    session: Session, store: Storage, tools: Toolbox, tasks: Sequence[BestTask], no_trace: bool
) -> None:
    documents = best_documents(session, store, tools, tasks, no_trace)
    session.emit({"tasks": documents})
    show_best(session, documents)


def _served_best(
    session: Session,
    server: Connection,
    conversion: ConversionOptions,
    model: Path | None,
    workload: str | None,
    shapes: list[str] | None,
    device: str | None,
    wants: Callable[[str], bool],
    top: int,
    no_trace: bool,
) -> None:
    """Show what a service has of a model or of a workload."""
    with server, session.steps() as steps:
        place = served_place(session, server, model, workload, shapes, conversion)
        if not no_trace:
            steps("having the schedules written")
        most = min(top, _SERVED_TOP)
        answer = server.get("best", *place, "best", device=device, top=most, schedules=not no_trace)
    tasks = [task for task in answer["tasks"] if workload is not None or wants(task["name"])]
    if not any(task["best"] for task in tasks):
        raise NotFoundError(
            f"{server.url} has no result of such a task; `tunefleet history` shows what there is"
        )
    session.emit({"tasks": tasks})
    show_best(session, tasks)
    if most < top and any(len(task["best"]) == most for task in tasks):
        session.say(f"a service tells of the {most} fastest of each task; there may be more", style="dim")
    found = [trial for task in tasks for trial in task["best"]]
    say_stale(session, sum(trial["stale"] for trial in found), len(found))
