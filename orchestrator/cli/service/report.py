"""``report``: a campaign's page as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import short_path
from orchestrator.cli.service.extra import require_service
from orchestrator.files import writable, write

__all__ = ["report"]


@command("report", panel=options.PANELS.CAMPAIGNS, examples=("report 3 -o report.html",))
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
    require_service("fastapi", "uvicorn", "jinja2", "prometheus_client")
    from orchestrator.service.report import report_of

    session.leave_stdout_to(output)
    with session.storage(create=False) as store:
        path = writable(output, read=[] if store.path is None else [store.path])
        content = report_of(store, campaign).encode()
        campaign_id = store.campaigns.get(campaign).id
    write(path, content)
    session.emit({"campaign_id": campaign_id, "file": str(path), "size_bytes": len(content)})
    session.write(Text(f"wrote {short_path(str(path))}"))
