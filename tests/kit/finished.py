"""Calls that an engine's process would answer later, answered at once by a stand-in."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from workers.messages import Baton

__all__ = ["TimedAtOnce", "finished"]


def finished(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """Call it, and return a future of what came of it."""
    future: Future[Any] = Future()
    try:
        future.set_result(call(*args, **kwargs))
    except Exception as error:
        future.set_exception(error)
    return future


class TimedAtOnce:
    """What takes turns with something else has them all at once."""

    def seconds_left(self, limit_s: float) -> float:
        return limit_s

    def begin_run(self: Any, *args: Any, baton: Baton, **kwargs: Any) -> Future[Any]:
        return finished(self.run, *args, **kwargs)

    def begin_reference_timing(self: Any, *args: Any, baton: Baton, **kwargs: Any) -> Future[Any]:
        return finished(self.reference_timing, *args, **kwargs)
