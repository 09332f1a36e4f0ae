"""``tokens``: who may do what through the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.parsing import parse_duration
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import age, amount, instant, when
from orchestrator.errors import UsageError
from orchestrator.storage import NewAuditEntry, NewToken, TokenScope

if TYPE_CHECKING:
    from orchestrator.storage import Storage, TokenRow

__all__ = ["create", "list_tokens", "revoke"]

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose, or what for.", show_default=False)]
_DAY_SECONDS = 86400


@command(
    "create",
    document="tokens-create",
    examples=("tokens create ada", "tokens create ci --expires 90d --scope submit"),
)
def create(
    session: Session,
    name: _Name,
    scope: Annotated[
        TokenScope,
        typer.Option(
            "--scope", help="To look; to submit too, and steer what was submitted with it; everything."
        ),
    ] = TokenScope.READ,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="90d, 12h; never, if left out.", show_default=False),
    ] = None,
    device_seconds: Annotated[
        float | None,
        typer.Option(
            "--device-seconds-a-day",
            min=0,
            metavar="N",
            help="Seconds of measurements that its campaigns may take in 24 hours.",
            show_default=False,
        ),
    ] = None,
    campaigns: Annotated[
        int | None,
        typer.Option(
            "--campaigns-at-once",
            min=0,
            metavar="N",
            help="Campaigns of it that may wait or run at once.",
            show_default=False,
        ),
    ] = None,
    upload: Annotated[
        int | None,
        typer.Option(
            "--upload-limit",
            min=0,
            metavar="MIB",
            help="Size of a file that it may upload.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a token, and show it: this once, for the store keeps nothing but its digest."""
    from orchestrator.service.access.secrets import new_token

    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise UsageError(f"a token can't be named {name!r}: write a word or two")
    token, digest = new_token()
    asked = NewToken(
        name,
        digest,
        scope,
        expires_s=None if expires is None else _seconds(expires),
        device_seconds_a_day=device_seconds,
        campaigns_at_once=campaigns,
        upload_bytes=None if upload is None else upload * 2**20,
    )
    with session.storage() as store:
        row = store.tokens.create(asked)
        _note(store, "create token", row)
    session.emit({"token": token, **_document(row)})
    session.write(Text(token))
    session.say(f"this is all that is ever seen of the token {row.name!r}, which may {_MAY[row.scope]}")


@command("list", document="tokens-list", examples=("tokens list",))
def list_tokens(session: Session) -> None:
    """List the tokens that were made: what they are for, and when each was last used."""
    with session.storage(create=False) as store:
        rows = store.tokens.all()
    session.emit({"tokens": [_document(row) for row in rows]})
    if not rows:
        session.say("there is none; `tunefleet tokens create NAME` makes one")
        return
    numbers = ("device-seconds a day", "campaigns at once", "upload")
    grid = Grid("name", "scope", "state", "used", "expires", *numbers, right=numbers, flexible=("name",))
    for row in rows:
        grid.add(
            row.name,
            row.scope.value,
            _state(row),
            age(row.last_used_at),
            when(row.expires_at),
            "-" if row.device_seconds_a_day is None else amount(row.device_seconds_a_day),
            "-" if row.campaigns_at_once is None else amount(row.campaigns_at_once),
            "-" if row.upload_bytes is None else f"{amount(row.upload_bytes / 2**20)} MiB",
            style="" if row.live else "dim",
        )
    session.show(grid.table())


@command("revoke", document="tokens-revoke", examples=("tokens revoke ada",))
def revoke(session: Session, name: _Name) -> None:
    """Make a token worth nothing, from now on. Campaigns that came with it go on."""
    with session.storage(create=False) as store:
        row = store.tokens.revoke(name)
        _note(store, "revoke token", row)
    session.emit(_document(row))
    session.show(f"the token {row.name!r} is worth nothing any more")


_MAY = {
    TokenScope.READ: "look",
    TokenScope.SUBMIT: "look, upload and submit, and steer what it submitted",
    TokenScope.ADMIN: "do everything",
}


def _note(store: Storage, action: str, row: TokenRow) -> None:
    """Have what was done to a token in the audit, beside what is done with it."""
    store.audit.note(NewAuditEntry(action, row.name, who="(command)", detail={"scope": row.scope.value}))


def _seconds(text: str) -> float:
    """Read a span of time, of days too."""
    days = text.strip().removesuffix("d")
    if days != text.strip() and days.isdecimal() and int(days) > 0:
        return float(days) * _DAY_SECONDS
    return parse_duration(text)


def _state(row: TokenRow) -> str:
    if row.live:
        return "live"
    return "revoked" if row.revoked_at is not None else "expired"


def _document(row: TokenRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "scope": row.scope.value,
        "state": _state(row),
        "created_at": instant(row.created_at),
        "expires_at": instant(row.expires_at),
        "revoked_at": instant(row.revoked_at),
        "last_used_at": instant(row.last_used_at),
        "device_seconds_a_day": row.device_seconds_a_day,
        "campaigns_at_once": row.campaigns_at_once,
        "upload_bytes": row.upload_bytes,
    }
