"""A campaign's page as one file, to send around: it asks for nothing, neither here nor elsewhere."""

from __future__ import annotations

from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from markupsafe import Markup

from orchestrator.documents.details import read_details
from orchestrator.service.pages.campaign import campaign_values
from orchestrator.service.pages.charts import chart_data
from orchestrator.service.pages.render import render
from orchestrator.service.parts import make_parts
from orchestrator.service.settings import ServiceSettings
from orchestrator.storage import Storage

__all__ = ["report_of"]

_STATIC = Path(__file__).parent / "static"
# The trials of more tasks would make a file that no mail takes.
_MOST_TASKS = 40


def report_of(store: Storage, campaign: int | str) -> str:
    """Return the page of a campaign, whole.

    Raises
    ------
    NotFoundError
    """
    details = read_details(store, campaign)
    lines = details.snapshot.lines()[:_MOST_TASKS]
    charts = chart_data(store, details, None)
    shown = {line.row.id for line in lines}
    charts["tasks"] = [task for task in charts["tasks"] if task["id"] in shown]
    charts["all_tasks"] = {i: chart_data(store, details, i)["task"] for i in shown}
    values = {
        **campaign_values(make_parts(store, ServiceSettings(db=None, files=Path())), details),
        "report": True,
        "charts": charts,
        "version": version("tunefleet"),
        "written_at": datetime.now(timezone.utc),
        "styles": [_read("vendor/uPlot.min.css"), _read("tunefleet.css")],
        "scripts": [_read("vendor/uPlot.iife.min.js"), _read("charts.js")],
    }
    return render("report.html", values)


def _read(name: str) -> Markup:
    # Our own files, and none of them has the end of its element in it.
    return Markup((_STATIC / name).read_text(encoding="utf-8"))
