"""Who asks: by a token in a header or a cookie, or, on a loopback before the first, whoever is here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from orchestrator.service.access.secrets import digest_of
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.refusals import RefusedError
from orchestrator.service.settings import is_loopback
from orchestrator.storage import NewAuditEntry, TokenRow, TokenScope

__all__ = [
    "COOKIE",
    "Admin",
    "Identity",
    "Reader",
    "Submitter",
    "identify",
    "refuse_other_sites",
    "still_let_in",
    "token_named",
]

COOKIE = "tunefleet_token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_RANK = {scope: rank for rank, scope in enumerate(TokenScope)}


@dataclass(frozen=True)
class Identity:
    """Who asks.

    Attributes
    ----------
    token : TokenRow or None
        None where none is needed: on a loopback, before the first was made.
    address : str
        Where from.
    """

    token: TokenRow | None
    address: str

    @property
    def scope(self) -> TokenScope:
        """What they may do."""
        return TokenScope.ADMIN if self.token is None else self.token.scope

    @property
    def name(self) -> str:
        """Who they are, for the audit."""
        return "(no token)" if self.token is None else self.token.name

    def may(self, scope: TokenScope) -> bool:
        """Whether they may do what a scope is for."""
        return _RANK[self.scope] >= _RANK[scope]

    @property
    def may_submit(self) -> bool:
        """Whether they may upload and submit."""
        return self.may(TokenScope.SUBMIT)

    @property
    def may_administer(self) -> bool:
        """Whether they may do everything."""
        return self.may(TokenScope.ADMIN)

    def entry(self, action: str, subject: str = "", **detail: object) -> NewAuditEntry:
        """Return an entry of the audit for what they do."""
        token_id = None if self.token is None else self.token.id
        return NewAuditEntry(action, subject, token_id, self.name, self.address, dict(detail))


def identify(request: Request) -> Identity:
    """Say who asks.

    Raises
    ------
    RefusedError
        They have no token, or one that is worth nothing; or another site's page asks through their browser.
    """
    parts = parts_of(request)
    address = request.client.host if request.client else ""
    header = request.headers.get("authorization", "")
    kind, _, text = header.partition(" ")
    if header:
        if kind.lower() != "bearer" or not text.strip():
            raise RefusedError(
                401,
                "the header Authorization is not of the form 'Bearer TOKEN'",
                {"WWW-Authenticate": "Bearer"},
            )
        return Identity(token_named(parts, text.strip(), address), address)
    # From here on a browser may be asked by a page of somebody else, who can't set a header.
    refuse_other_sites(request)
    cookie = request.cookies.get(COOKIE)
    if cookie:
        return Identity(token_named(parts, cookie, address), address)
    if _open_to(parts, address):
        # A name that leads here, but isn't this machine's own, is a page that wants to be of our origin.
        if not is_loopback(urlsplit(f"//{request.headers.get('host', '')}").hostname or ""):
            raise RefusedError(403, "without tokens, this service answers to the names of this machine alone")
        return Identity(None, address)
    text = "this needs a token: log in, or send 'Authorization: Bearer TOKEN'"
    if not parts.store.tokens.any_live():
        text = (
            "this needs a token, and none is worth anything: `tunefleet tokens create NAME --scope admin`, "
            "where the database is, makes a new one"
        )
    raise RefusedError(401, text, {"WWW-Authenticate": "Bearer"})


def _open_to(parts: Parts, address: str) -> bool:
    """Whether somebody needs no token: on this machine, with no proxy that others come through, before the
    first token was made. That the last one is gone opens nothing."""
    here = parts.settings.loopback and not parts.settings.proxies and is_loopback(address)
    return here and not parts.store.tokens.any()


def still_let_in(parts: Parts, identity: Identity) -> bool:
    """Whether somebody who was let in would be once more."""
    if identity.token is None:
        return _open_to(parts, identity.address)
    return parts.store.tokens.get(identity.token.id).live


def token_named(parts: Parts, text: str, address: str) -> TokenRow:
    """Return the token that a text is.

    Raises
    ------
    RefusedError
        It is none, or worth nothing any more.
    """
    found = parts.store.tokens.find(digest_of(text))
    if found is not None and found.live:
        parts.store.tokens.used(found.id)
        return found
    wait_s = parts.attempts.failed(address)
    if wait_s:
        seconds = str(math.ceil(wait_s))
        raise RefusedError(
            429, f"too many failed logins from {address}: wait {seconds} s", {"Retry-After": seconds}
        )
    # Whether one expired or never was is said to nobody who only guesses; who holds an old one has its name.
    why = "this token is not known here, or was revoked, or has expired"
    raise RefusedError(401, f"{why}: ask for a new one", {"WWW-Authenticate": "Bearer"})


def refuse_other_sites(request: Request) -> None:
    """Refuse what a page of another site has a browser ask for.

    Raises
    ------
    RefusedError
    """
    if request.method in _SAFE:
        return
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    if site not in ("same-origin", "none") or (origin is not None and urlsplit(origin).netloc != host):
        raise RefusedError(403, f"a page of another site ({origin or site}) asked for this: nothing was done")


def _with(scope: TokenScope) -> object:
    def require(identity: Annotated[Identity, Depends(identify)]) -> Identity:
        if not identity.may(scope):
            raise RefusedError(
                403, f"the token {identity.name!r} is for {identity.scope.value}; this takes {scope.value}"
            )
        return identity

    return Depends(require)


Reader = Annotated[Identity, _with(TokenScope.READ)]
Submitter = Annotated[Identity, _with(TokenScope.SUBMIT)]
Admin = Annotated[Identity, _with(TokenScope.ADMIN)]
