"""Tokens: who may ask the service for what."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, and_, case, or_, select, update
from sqlalchemy.exc import IntegrityError

from orchestrator.errors import NotFoundError, UsageError
from orchestrator.storage._group import Group
from orchestrator.storage._ids import insert_row, storable
from orchestrator.storage._tables import Token
from orchestrator.storage._types import db_now
from orchestrator.storage.rows import NewToken, TokenRow, TokenScope

__all__ = ["Tokens"]

# Whoever looks at a dashboard asks every second; when a token was last used need not be known so well.
_USED_SECONDS = 60.0


class Tokens(Group):
    """Tokens. They are never deleted, so that what was done with one can be told."""

    def create(self, token: NewToken) -> TokenRow:
        """Store a token by its digest.

        Raises
        ------
        UsageError
            There is one of that name.
        """
        values = {
            "name": storable(token.name),
            "digest": token.digest,
            "scope": token.scope.value,
            "expires_at": None if token.expires_s is None else db_now(token.expires_s),
            "device_seconds_a_day": token.device_seconds_a_day,
            "campaigns_at_once": token.campaigns_at_once,
            "upload_bytes": token.upload_bytes,
        }

        def work(connection: Connection) -> TokenRow:
            try:
                with connection.begin_nested():
                    token_id = insert_row(connection, Token, values)
            except IntegrityError:
                raise UsageError(
                    f"there is a token {token.name!r} already; revoked ones keep their name: choose another"
                ) from None
            return _token_row(connection.execute(_tokens().where(Token.id == token_id)).one())

        return self._database.write(work)

    def find(self, digest: str) -> TokenRow | None:
        """Look a token up by its digest, also one that is worth nothing; None where there is none."""
        query = _tokens().where(Token.digest == digest)
        row = self._database.read(lambda c: c.execute(query).one_or_none())
        return None if row is None else _token_row(row)

    def get(self, token_id: int) -> TokenRow:
        """Return a token by its number, also one that is worth nothing."""
        query = _tokens().where(Token.id == token_id)
        return _token_row(self._database.read(lambda c: c.execute(query).one()))

    def all(self) -> list[TokenRow]:
        """Return every token that was ever made, the first one first."""
        query = _tokens().order_by(Token.id)
        return [_token_row(row) for row in self._database.read(lambda c: c.execute(query).all())]

    def any(self) -> bool:
        """Whether a token was ever made, be it worth something or not."""
        query = select(Token.id).limit(1)
        return self._database.read(lambda c: c.execute(query).first()) is not None

    def any_live(self) -> bool:
        """Whether there is a token that is worth something."""
        query = select(Token.id).where(_live()).limit(1)
        return self._database.read(lambda c: c.execute(query).first()) is not None

    def revoke(self, name: str) -> TokenRow:
        """Make a token worth nothing, from now on; to revoke one twice changes nothing.

        Raises
        ------
        NotFoundError
            There is none of that name.
        """

        def work(connection: Connection) -> TokenRow:
            change = update(Token).where(Token.name == name, Token.revoked_at.is_(None))
            connection.execute(change.values(revoked_at=db_now()))
            row = connection.execute(_tokens().where(Token.name == name)).one_or_none()
            if row is None:
                raise NotFoundError(f"there is no token {name!r}; `tunefleet tokens list` shows them")
            return _token_row(row)

        return self._database.write(work)

    def used(self, token_id: int) -> None:
        """Note that a token was used just now, to the minute."""
        old = or_(Token.last_used_at.is_(None), Token.last_used_at < db_now(-_USED_SECONDS))
        stale = and_(Token.id == token_id, old)
        query = select(Token.id).where(stale)
        # Asked with every request: only what is there to be changed is worth a write lock.
        if self._database.read(lambda c: c.execute(query).first()) is None:
            return
        self._database.write(lambda c: c.execute(update(Token).where(stale).values(last_used_at=db_now())))


def _live() -> Any:
    return and_(Token.revoked_at.is_(None), or_(Token.expires_at.is_(None), Token.expires_at > db_now()))


def _tokens() -> Select[Any]:
    columns = [c for c in Token.__table__.c if c.key != "digest"]
    return select(*columns, case((_live(), 1), else_=0).label("live"))


def _token_row(row: Any) -> TokenRow:
    values = dict(row._mapping)
    return TokenRow(**{**values, "scope": TokenScope(row.scope), "live": bool(row.live)})
