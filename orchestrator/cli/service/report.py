"""``report``: a campaign's page as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.extras import require
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import short_path
from orchestrator.files import writable, write, writing

__all__ = ["report"]


@command(
    "report", panel=options.PANELS.CAMPAIGNS, examples=("report 3 -o report.html",), place=Place.ANYWHERE
)
def report(
    session: Session,
    campaign: options.Campaign,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="The page to write.", show_default=False),
    ],
) -> None:
    """Write a campaign's page, its curve and its trials with it, as one HTML file to send around.

    It is what the page of `tunefleet serve` shows, at this moment, and needs neither it nor a network.
    """
    session.leave_stdout_to(output)
    if (server := session.server()) is not None:
        from orchestrator.remote.campaigns import campaign_part

        path = writable(output)
        with server:
            part = campaign_part(server, campaign)
            campaign_id = server.get("show", "campaigns", part)["campaign"]["id"]
            with writing(path) as file:
                size = server.download("campaigns", campaign_id, "report", into=file).size_bytes
        _say_written(session, campaign_id, path, size)
        return
    require("service", "fastapi", "uvicorn", "jinja2", "prometheus_client")
    from orchestrator.service.report import report_of

    with session.storage(create=False) as store:
        path = writable(output, read=[] if store.path is None else [store.path])
        content = report_of(store, campaign).encode()
        campaign_id = store.campaigns.get(campaign).id
    write(path, content)
    _say_written(session, campaign_id, path, len(content))


def _say_written(session: Session, campaign_id: int, path: Path, size_bytes: int) -> None:
    session.emit({"campaign_id": campaign_id, "file": str(path), "size_bytes": size_bytes})
    session.write(Text(f"wrote {short_path(str(path))}"))
