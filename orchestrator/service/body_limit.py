"""How large a body may be that is read whole, which is done before it is asked who sends it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.service.refusals import RefusedError

__all__ = ["BodyLimit"]


class BodyLimit:
    """Refuses bodies that are larger.

    Parameters
    ----------
    most : int
        Bytes.
    streamed : frozenset of str
        Paths whose bodies are looked at as they come, by who knows what their sender may.
    refuse : callable
        Makes an answer of an error.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        most: int,
        streamed: frozenset[str],
        refuse: Callable[[Request, Exception], Response],
    ) -> None:
        self._app = app
        self._most = most
        self._streamed = streamed
        self._refuse = refuse
        self._text = f"this body is larger than {most:,} bytes, the most that is taken here"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in self._streamed:
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > self._most:
            answer = self._refuse(Request(scope), RefusedError(413, self._text))
            await answer(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._most:
                # The one kind of error that FastAPI lets through where it reads a body.
                raise HTTPException(413, self._text)
            return message

        await self._app(scope, counted, send)
