"""``failures``: how trials failed, how many, and what they said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.arguments import require_known
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.device_column import DeviceColumn
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.served import served_model
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stored import device_class_named, stored_model
from orchestrator.cli.kit.text import age, amount, device_text, plural
from orchestrator.documents.failures import failures_document
from orchestrator.documents.ratios import percent_text
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.storage import DeviceClassFailures

__all__ = ["failures"]


@command(
    "failures",
    panel=options.PANELS.CAMPAIGNS,
    examples=("failures", "failures model.onnx", "failures --campaign 3 --json"),
    place=Place.ANYWHERE,
)
def failures(
    session: Session,
    conversion: ConversionOptions,
    model: options.MaybeModel = None,
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
    if model is not None and workload is not None:
        raise UsageError("name a MODEL.onnx or a --workload, not both")
    if input_shape and model is None:
        raise UsageError("--input-shape is for a model, and none is named")
    if (server := session.server()) is not None:
        from orchestrator.remote.rows.answers import failures_of

        with server:
            served = None
            if model is not None:
                served = served_model(session, server, model, input_shape, conversion).id
            document = server.get(
                *("failures", "failures"),
                device=device,
                engine=engine,
                workload=workload,
                model=served,
                campaign=campaign,
            )
        found = failures_of(document)
    else:
        found = _here(session, conversion, model, workload, campaign, device, engine, input_shape)
    session.emit(failures_document(found))
    if any(one.failed for one in found):
        session.show(_table(found))
    if found:
        session.show(*_lines(found))
    elif any(part is not None for part in (campaign, workload, device, model, engine)):
        session.say("no such trial is stored; `tunefleet failures` counts all of them")
    else:
        session.say("no trial is stored yet; `tunefleet tune MODEL.onnx` measures some")


def _here(
    session: Session,
    conversion: ConversionOptions,
    model: Path | None,
    workload: str | None,
    campaign: str | None,
    device: str | None,
    engine: str | None,
    input_shape: list[str] | None,
) -> list[DeviceClassFailures]:
    """Count what a database here has."""
    require_known(engine)
    with session.storage(create=False) as store:
        campaign_id = None if campaign is None else store.campaigns.get(campaign).id
        workload_hash = None if workload is None else store.workloads.resolve(workload).hash
        device_class = None if device is None else device_class_named(store, device, engine).name
        model_id = None
        if model is not None:
            model_id = stored_model(
                session, store, model, input_shape, device, engine, conversion, any_device=True
            ).id
        return store.answers.failures(
            device_class=device_class,
            engine=engine,
            workload_hash=workload_hash,
            model_id=model_id,
            campaign_id=campaign_id,
        )


def _table(found: Sequence[DeviceClassFailures]) -> Table:
    """How trials failed, one class a row."""
    device = DeviceColumn(one.device_class for one in found)
    right = ("trials", "share", "tasks")
    grid = Grid(
        *device.heading,
        "failure",
        *right,
        "last",
        "most of them said",
        right=right,
        flexible=("device", "most of them said"),
    )
    for one in found:
        for row in one.classes:
            said = row.message.strip().splitlines()[:1]
            grid.add(
                *device.cell(one.device_class),
                row.state.value,
                amount(row.trials),
                percent_text(row.share),
                amount(row.workloads),
                age(row.last_at),
                said[0] if said else "-",
            )
    return grid.table()


def _lines(found: Sequence[DeviceClassFailures]) -> Iterable[RenderableType]:
    """Say for each device how many of its trials failed."""
    if any(one.failed for one in found):
        yield ""
    for one in found:
        line = (
            f"{device_text(one.device_class)}: {amount(one.failed)} of {plural(one.trials, 'trial')} failed"
        )
        if one.failed:
            line += f" ({percent_text(one.failed / one.trials)})"
        yield Text(line, style="bold")
