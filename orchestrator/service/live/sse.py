"""Server-sent events: one reader of the store for all who look at the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from anyio import to_thread
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from orchestrator.service.access.identity import Identity, still_let_in
from orchestrator.service.parts import Parts

__all__ = ["Event", "Look", "stream"]

_LOOK_SECONDS = 1.0
#: So often something is sent, so that neither end takes the other for dead.
_ALIVE_SECONDS = 15.0
#: So often it is asked whether the reader's token is worth something still.
_LET_IN_SECONDS = 15.0


@dataclass(frozen=True)
class Event:
    """An event with its data as text."""

    name: str
    data: str


@dataclass(frozen=True)
class Look:
    """What was seen at one moment.

    Attributes
    ----------
    events : tuple of Event
        Those are sent whose data changed.
    last : bool
        Nothing will change any more.
    """

    events: tuple[Event, ...]
    last: bool = False


def stream(parts: Parts, who: Identity, look: Callable[[], Look]) -> StreamingResponse:
    """Answer with events, from now until nothing will change any more, or the reader or the service is gone.

    Parameters
    ----------
    who : Identity
        The reader. When their token was revoked or has expired, the stream ends within seconds.
    look : callable
        Reads the store; in a thread, once a second. What it raises ends the stream with an event ``error``.
    """
    return StreamingResponse(
        _events(parts, who, look),
        media_type="text/event-stream",
        # A proxy that gathers what it gets would hold everything back.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(parts: Parts, who: Identity, look: Callable[[], Look]) -> AsyncIterator[bytes]:
    before: dict[str, str] = {}
    quiet_s = 0.0
    let_in_at = time.monotonic()
    while not parts.ending.is_set():
        try:
            if time.monotonic() - let_in_at >= _LET_IN_SECONDS:
                if not await to_thread.run_sync(still_let_in, parts, who):
                    return
                let_in_at = time.monotonic()
            seen = await to_thread.run_sync(look)
        except Exception:
            # The browser asks again by itself, and what it is then answered says what is wrong.
            yield format_sse_event(data_str="the store can't be read", event="error")
            return
        news = [event for event in seen.events if before.get(event.name) != event.data]
        for event in news:
            before[event.name] = event.data
            yield format_sse_event(data_str=event.data, event=event.name)
        if news:
            quiet_s = 0.0
        elif quiet_s >= _ALIVE_SECONDS:
            quiet_s = 0.0
            yield b": still here\n\n"
        if seen.last:
            yield format_sse_event(data_str="", event="end")
            return
        await asyncio.sleep(_LOOK_SECONDS)
        quiet_s += _LOOK_SECONDS
