"""What the service refuses, and the answers that errors become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from orchestrator.errors import (
    EngineError,
    LeaseLostError,
    NotFoundError,
    StorageError,
    TunefleetError,
    UsageError,
)

__all__ = ["RefusedError", "refused_by_the_disk", "status_of"]


# The first one that an error is counts.
_STATUS: dict[type[TunefleetError], int] = {
    NotFoundError: 404,
    UsageError: 400,
    LeaseLostError: 409,
    StorageError: 503,
    # Most of the time it isn't installed where the service runs.
    EngineError: 409,
}


class RefusedError(TunefleetError):
    """Something that the service doesn't do, with the status of its answer.

    Parameters
    ----------
    status : int
        Of HTTP.
    text : str
        For the person who reads it.
    headers : mapping, optional
        That go with the answer.
    """

    exit_code = 2

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = dict(headers or {})


@contextmanager
def refused_by_the_disk() -> Iterator[None]:
    """Refuse what can't be written: the disk is full, most of the time.

    Raises
    ------
    RefusedError
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise RefusedError(507, f"the server has no room for this: {why}; tell who runs it") from None


def status_of(error: TunefleetError) -> int:
    """Return HTTP's status for an error."""
    if isinstance(error, RefusedError):
        return error.status
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
