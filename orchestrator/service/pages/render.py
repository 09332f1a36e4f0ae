"""Pages from templates, with numbers as people read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from orchestrator.documents.ratios import percent_text, quotient, ratio_text, speed_text
from orchestrator.documents.snapshot import NO_LIMIT
from orchestrator.documents.text import age, amount, device_text, duration, instant, latency, plural

__all__ = ["environment", "error_page", "json_for_html", "page", "render"]

_TEMPLATES = Path(__file__).parents[1] / "templates"


@cache
def environment() -> Environment:
    """Return the templates, with what they write numbers with."""
    found = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "ago": _ago,
        "amount": amount,
        "device": device_text,
        "duration": duration,
        "latency": latency,
        "percent": percent_text,
        "first_line": lambda text: (text.strip().splitlines() or [""])[0],
        "at": _at,
    }
    found.globals |= {
        "plural": plural,
        "ratio": ratio_text,
        "quotient": quotient,
        "speed": speed_text,
        "no_limit": NO_LIMIT,
        "json_for_html": json_for_html,
    }
    return found


def render(template: str, values: Mapping[str, Any]) -> str:
    """Render a template."""
    return environment().get_template(template).render(**values)


def page(request: Request, template: str, values: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
    """Answer with a page."""
    return HTMLResponse(render(template, {"path": request.url.path, "who": None, **values}), status)


def error_page(
    request: Request, status: int, text: str, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """Answer with a page that says what was wrong; where a token is needed, with the form to log in."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    values = {
        "path": request.url.path,
        "who": None,
        "status": status,
        "title": HTTPStatus(status).phrase,
        "text": text,
        "login": status == HTTPStatus.UNAUTHORIZED,
        "next_path": asked if request.method == "GET" else "/",
        "wrong": "",
    }
    return HTMLResponse(render("error.html", values), status, dict(headers or {}))


def json_for_html(value: Any) -> Markup:
    """Write JSON that may stand in a page: nothing in it ends the element around it."""
    text = json.dumps(value, allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


def _ago(then: datetime | None) -> Markup:
    """Write how long ago something was, and when for those who point at it."""
    if then is None:
        return Markup("-")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(instant(then), _utc(then), age(then))


def _at(then: datetime | None) -> Markup:
    """Write when something was."""
    if then is None:
        return Markup("-")
    return Markup('<time datetime="{}">{}</time>').format(instant(then), escape(_utc(then)))


def _utc(then: datetime) -> str:
    return then.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
