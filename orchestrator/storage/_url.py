"""Database URLs: what is accepted, what a person gets to see, where the default is."""

from __future__ import annotations

import os
import re
from pathlib import Path

from platformdirs import user_data_dir
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from orchestrator.errors import UsageError

__all__ = ["default_path", "parse_url", "safe_url", "secrets_of", "sqlite_path"]

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_SECRET_OPTIONS = frozenset({"password", "passfile", "sslpassword"})


def default_path() -> Path:
    """Where the records are kept unless a URL says otherwise: a file in the user's data folder."""
    return Path(user_data_dir("tunefleet", appauthor=False)) / "tunefleet.db"


def parse_url(url: str | None) -> URL:
    """Understand a database URL.

    Parameters
    ----------
    url : str or None
        ``sqlite:///PATH``, ``postgresql://USER@HOST/NAME``, the path of a SQLite file, or None for
        :func:`default_path`.

    Raises
    ------
    UsageError
        It is none of these, or an in-memory database, which nothing else could read.
    """
    if url is None:
        return URL.create("sqlite", database=str(default_path()))
    if "://" not in url:
        if not url.strip():
            raise UsageError("the database URL is empty; leave it out for the default file")
        return URL.create("sqlite", database=os.path.abspath(os.path.expanduser(url)))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The exception may quote the URL, and with it a password.
        raise UsageError(
            f"{safe_url(url)} is not a database URL; write sqlite:///PATH or postgresql://USER@HOST/NAME"
        ) from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise UsageError(f"{safe_url(url)}: only sqlite:// and postgresql:// databases are supported")
    parsed = parsed.set(drivername=driver)
    if driver == "sqlite":
        if not parsed.database or parsed.database == ":memory:" or "mode=memory" in url:
            raise UsageError("records need a SQLite file: an in-memory database can't be shared or kept")
        if parsed.query or parsed.host:
            raise UsageError(
                f"{safe_url(url)}: a SQLite URL is sqlite:///PATH (four slashes before an absolute "
                "path's name) with no options"
            )
        parsed = parsed.set(database=os.path.abspath(os.path.expanduser(parsed.database)))
    return parsed


def safe_url(url: str | URL) -> str:
    """Render a URL for people, logs and JSON: every password in it replaced by ``***``."""
    if isinstance(url, str):
        try:
            url = make_url(url)
        except (ArgumentError, ValueError):
            # Unreadable as a URL, so where a password would sit is a guess: hide all between scheme and host.
            return re.sub(r"(?i)(password)=[^&\s]*", r"\1=***", re.sub(r"//.*@", "//***@", str(url)))
    hidden = {key: "***" for key in url.query if key.lower() in _SECRET_OPTIONS}
    # Rendering quotes the asterisks of an option.
    return url.update_query_dict(hidden).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")


def secrets_of(url: URL) -> tuple[str, ...]:
    """Every secret in a URL, to be struck from what a driver says about it."""
    found = [str(url.password)] if url.password else []
    for key, value in url.query.items():
        if key.lower() in _SECRET_OPTIONS:
            found.extend([value] if isinstance(value, str) else value)
    return tuple(s for s in found if s)


def sqlite_path(url: URL) -> Path | None:
    """The file of a SQLite URL; None for a server."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
