"""Database URLs: what is accepted, what a person gets to see, where the default is."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, quote_plus

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
# Options of libpq, by part of their names: password, sslpassword, passfile, oauth_client_secret.
_SECRET_OPTION = re.compile("password|passfile|secret", re.IGNORECASE)
# What is meant for a server though it has no "://": libpq's own form, and a URL with a slash too few.
_CONNINFO = re.compile(r"(^|\s)(password|user|host|hostaddr|dbname|service)\s*=", re.IGNORECASE)
_NEARLY_URL = re.compile(r"(sqlite|postgres(ql)?)(\+\w+)?:", re.IGNORECASE)
_HOW_TO_WRITE = "write sqlite:///PATH or postgresql://USER@HOST/NAME"


def default_path() -> Path:
    """Where the records are kept unless a URL says otherwise: a file in the user's data folder.

    Raises
    ------
    UsageError
        No home folder is known.
    """
    folder = Path(user_data_dir("tunefleet", appauthor=False))
    if not folder.is_absolute():
        # A "~" that stands for nobody's home would become a folder of that name here.
        raise UsageError("no home folder is known (HOME isn't set): set HOME, or name a database with --db")
    return folder / "tunefleet.db"


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
        if _CONNINFO.search(url) or _NEARLY_URL.match(url):
            raise UsageError(
                f"{safe_url(url)} is not a database URL; {_HOW_TO_WRITE}, and ./ before a file of that name"
            )
        return URL.create("sqlite", database=os.path.abspath(os.path.expanduser(url)))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The exception may quote the URL, and with it a password.
        raise UsageError(f"{safe_url(url)} is not a database URL; {_HOW_TO_WRITE}") from None
    if _is_torn(parsed):
        raise UsageError(
            f"{safe_url(url)}: an @, a : or a / in a user's name or a password is written %40, %3A or %2F"
        )
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
        text = url
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            return _without_guess(text)
        if _is_torn(url):
            return _without_guess(text)
    hidden = {key: "***" for key in url.query if _SECRET_OPTION.search(key)}
    # Rendering quotes the asterisks of an option.
    return url.update_query_dict(hidden).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")


def _is_torn(url: URL) -> bool:
    """Whether a user's name or a password was cut where it has an @, a : or a /, and passes for the rest."""
    return "@" in (url.host or "") or bool(re.search(":.*@", url.database or ""))


def _without_guess(text: str) -> str:
    """Hide a password in what can't be read as a URL: all there is between the scheme and the last @."""
    text = re.sub(r"^([\w+]*:/*)?.*@", r"\1***@", text, flags=re.DOTALL)
    return re.sub(r"(?i)(password\s*=\s*)('(\\.|[^'\\])*'|[^&\s]*)", r"\1***", text)


def secrets_of(url: URL) -> tuple[str, ...]:
    """Every secret in a URL, plain and quoted, to be struck from what a driver says about it."""
    found = {str(url.password)} if url.password else set()
    for key, value in url.query.items():
        if _SECRET_OPTION.search(key):
            found.update([value] if isinstance(value, str) else value)
    forms = {form for secret in found for form in (secret, quote(secret, safe=""), quote_plus(secret))}
    # The longest first: one may be part of another.
    return tuple(sorted(filter(None, forms), key=len, reverse=True))


def sqlite_path(url: URL) -> Path | None:
    """The file of a SQLite URL; None for a server."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
