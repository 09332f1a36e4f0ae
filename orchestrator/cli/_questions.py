"""Commands that ask the record store: history, slowest, failures, compare, and what `best` lists of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from orchestrator.cli import _options as options
from orchestrator.cli._command import command
from orchestrator.cli._requests import require_engine
from orchestrator.cli._session import Session
from orchestrator.cli._stored import device_class_named, device_of_workload, stored_model, tune_command
from orchestrator.errors import NotFoundError, UsageError

__all__ = ["register", "stored_best"]

_MaybeModel = Annotated[
    Path | None,
    typer.Argument(metavar="MODEL.onnx", help="An ONNX file, or --workload.", show_default=False),
]
_First = Annotated[
    str, typer.Argument(metavar="ID", help="Number or name of the earlier one.", show_default=False)
]
_Second = Annotated[
    str, typer.Argument(metavar="ID", help="Number or name of the later one.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    models, campaigns = options.PANELS.MODELS, options.PANELS.CAMPAIGNS
    command(
        app,
        "history",
        panel=models,
        examples=("history model.onnx", "history --workload 3f0a91 --device znver4 --json"),
    )(history)
    command(
        app, "slowest", panel=models, examples=("slowest model.onnx", "slowest model.onnx --top 3 --json")
    )(slowest)
    command(
        app,
        "failures",
        panel=campaigns,
        examples=("failures", "failures model.onnx", "failures --campaign 3 --json"),
    )(failures)
    command(app, "compare", panel=campaigns, examples=("compare 3 5", "compare nightly-1 nightly-2 --json"))(
        compare
    )


def stored_best(
    session: Session,
    device: str | None,
    engine: str | None,
    pattern: str | None,
    order: str,
    limit: int,
) -> None:
    """Show the best of every workload that is stored: what ``best`` does without a model."""
    from orchestrator.cli._answers import stored_best_document, stored_best_table
    from orchestrator.storage import BestOrder

    known = [one.value for one in BestOrder]
    if order not in known:
        raise UsageError(f"--sort {order!r} is none of {', '.join(known)}")
    _require_known(engine)
    with session.storage(create=False) as store:
        device_class = None if device is None else device_class_named(store, device, engine).name
        rows = store.stored_best(
            device_class=device_class,
            engine=engine,
            name_pattern=pattern,
            order=BestOrder(order),
            # One more, to know whether there are more.
            limit=limit + 1 if limit else None,
        )
    shown = rows[:limit] if limit else rows
    session.emit(stored_best_document(shown, more=len(rows) > len(shown)), kind="best-stored")
    if shown:
        session.show(stored_best_table(shown))
    else:
        session.say(
            "no trial of such a workload succeeded; `tunefleet best` lists all"
            if device or engine or pattern
            else "nothing is stored yet; `tunefleet tune MODEL.onnx` finds something"
        )
    if len(rows) > len(shown):
        session.say("there are more; --limit 0 lists all of them", style="dim")


def history(
    session: Session,
    model: _MaybeModel = None,
    workload: options.Workload = None,
    device: options.Device = None,
    engine: options.StoredEngine = None,
    input_shape: options.InputShapes = None,
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="The last N; 0 for all.")] = 0,
) -> None:
    """Show how the best time went down, trial by trial.

    One row for each trial that was the best of its workload when it was recorded. Of a model: what the
    best times of its tasks added up to at that moment, in one run.
    """
    from orchestrator.cli._answers import history_document, history_line, history_table

    _one_of(model, workload)
    if workload is not None and input_shape:
        raise UsageError("--input-shape is for a model, and --workload names none")
    _require_known(engine)
    with session.storage(create=False) as store:
        last = limit or None
        if workload is not None:
            row = store.find_workload(workload)
            name, total, flops = row.name, 1, row.flops
            device_class = device_of_workload(store, row.hash, device, f"{row.name} ({row.hash[:12]})")
            points = store.improvements(row.hash, device_class, last=last)
        else:
            assert model is not None
            found = stored_model(session, store, model, input_shape, device, engine)
            name, device_class, flops = found.name, found.device_class, None
            points = store.model_improvements(found.id, device_class, found.engine_version, last=last)
            shares = store.slowest_tasks(found.id, device_class, found.engine_version, limit=1)
            total = shares.tasks_total
            if not points:
                raise NotFoundError(
                    f"no trial of {name} succeeded on {device_class}; "
                    f"`{tune_command(session, model, input_shape, engine=found.engine)}` measures some"
                )
        if not points:
            raise NotFoundError(
                f"no trial of {name} succeeded on {device_class}; "
                f"`{session.command_line('failures', '--workload', str(workload))}` says why"
            )
    session.emit(history_document(name, device_class, total, points, of_model=model is not None))
    session.show(history_table(points, total, flops), history_line(points, total, name, device_class))


def slowest(
    session: Session,
    model: options.Model,
    device: options.Device = None,
    engine: options.StoredEngine = None,
    input_shape: options.InputShapes = None,
    top: Annotated[int, typer.Option("--top", min=0, metavar="N", help="The N slowest; 0 for all.")] = 10,
) -> None:
    """Show where a model's time goes: its slowest tasks, by the best that is stored.

    share is a task's part of what all best times add up to in one run, sum that of it and all above it.
    """
    from orchestrator.cli._answers import slowest_document, slowest_line, slowest_table

    _require_known(engine)
    with session.storage(create=False) as store:
        found = stored_model(session, store, model, input_shape, device, engine)
        shares = store.slowest_tasks(found.id, found.device_class, found.engine_version, limit=top or None)
    tune = tune_command(session, model, input_shape, engine=found.engine)
    if not shares.tasks_timed:
        raise NotFoundError(
            f"no task of {found.name} has a time on {found.device_class}; `{tune}` finds some"
        )
    session.emit(slowest_document(found, shares))
    session.show(slowest_table(shares), slowest_line(found, shares))
    untimed = shares.tasks_total - shares.tasks_timed
    if untimed:
        session.say(
            f"{untimed} of {shares.tasks_total} tasks have no time and no share; to tune them:\n  {tune}",
            style="yellow",
        )


def failures(
    session: Session,
    model: _MaybeModel = None,
    workload: options.Workload = None,
    campaign: Annotated[
        str | None,
        typer.Option(
            "--campaign",
            metavar="ID",
            help="Only trials that this campaign measured: its number or name.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = None,
    engine: options.StoredEngine = None,
    input_shape: options.InputShapes = None,
) -> None:
    """Count how trials failed, with what most of them said.

    Of everything stored, or of a model, a workload, a campaign, a device. share is the part of all trials
    there; `tunefleet trials ID --state STATE` lists each.
    """
    from orchestrator.cli._answers import failures_document, failures_lines, failures_table

    if model is not None and workload is not None:
        raise UsageError("name a MODEL.onnx or a --workload, not both")
    if input_shape and model is None:
        raise UsageError("--input-shape is for a model, and none is named")
    _require_known(engine)
    with session.storage(create=False) as store:
        campaign_id = None if campaign is None else store.get_campaign(campaign).id
        workload_hash = None if workload is None else store.find_workload(workload).hash
        device_class = None if device is None else device_class_named(store, device, engine).name
        model_id = None
        if model is not None:
            model_id = stored_model(session, store, model, input_shape, device, engine, any_device=True).id
        found = store.failures(
            device_class=device_class,
            engine=engine,
            workload_hash=workload_hash,
            model_id=model_id,
            campaign_id=campaign_id,
        )
    session.emit(failures_document(found))
    if any(one.failed for one in found):
        session.show(failures_table(found))
    if found:
        session.show(*failures_lines(found))
    elif any(part is not None for part in (campaign, workload, device, model, engine)):
        session.say("no such trial is stored; `tunefleet failures` counts all of them")
    else:
        session.say("no trial is stored yet; `tunefleet tune MODEL.onnx` measures some")


def compare(session: Session, first: _First, second: _Second) -> None:
    """Show what changed between two campaigns: on which tasks the best got better, and by how much.

    best is what was stored when a campaign ended, whoever measured it; trials are those it measured
    itself. Tasks with the largest change in a run's time come first.
    """
    from orchestrator.cli._answers import Comparison, compare_blocks, compare_document
    from orchestrator.cli._snapshot import read_snapshot

    with session.storage(create=False) as store:
        sides = (read_snapshot(store, first), read_snapshot(store, second))
        ids = [side.campaign.id for side in sides]
        if ids[0] == ids[1]:
            raise UsageError(f"both are campaign {ids[0]}; name two")
        comparison = Comparison(
            *sides,
            tuple(store.compare_tasks(ids[0], ids[1])),
            tuple(store.verifications_after(ids[0])),
            tuple(store.verifications_after(ids[1])),
        )
    session.emit(compare_document(comparison))
    session.show(*compare_blocks(comparison))
    if not comparison.common:
        session.write(Text("they have no task in common: nothing compares"))


def _one_of(model: Path | None, workload: str | None) -> None:
    if (model is None) == (workload is None):
        raise UsageError("name a MODEL.onnx or a --workload, one of them")


def _require_known(engine: str | None) -> None:
    if engine is not None:
        require_engine(engine, installed=False)
