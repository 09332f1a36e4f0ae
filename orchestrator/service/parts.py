"""What the answers of one service have in their hands."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import Request

from orchestrator.service.access.attempts import Attempts
from orchestrator.service.builds import Builds
from orchestrator.service.live.recent import Recent
from orchestrator.service.refusals import RefusedError
from orchestrator.service.settings import ServiceSettings
from orchestrator.service.uploads.elsewhere import UploadsElsewhere
from orchestrator.service.uploads.folder import Uploads
from orchestrator.storage import Storage

__all__ = ["Parts", "make_parts", "one_of_few", "parts_of"]

# As many at once leave the machine to others.
_HEAVY = 2
_PATIENCE_SECONDS = 10.0


@dataclass
class Parts:
    """The store, and what the answers share beside it.

    Attributes
    ----------
    recent : Recent
        What was read of the store within the last second or so: many look at the same.
    submitting : threading.Lock
        Held from counting a token's campaigns to storing or resuming one more.
    heavy : threading.Semaphore
        Held by what takes seconds of a core, see :func:`one_of_few`.
    ending : threading.Event
        Is set when the service ends.
    """

    store: Storage
    settings: ServiceSettings
    uploads: Uploads
    builds: Builds
    attempts: Attempts = field(default_factory=Attempts)
    recent: Recent = field(default_factory=Recent)
    submitting: threading.Lock = field(default_factory=threading.Lock)
    heavy: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_HEAVY))
    ending: threading.Event = field(default_factory=threading.Event)


def make_parts(store: Storage, settings: ServiceSettings) -> Parts:
    """Return what the answers of a service have in their hands."""
    uploads = Uploads(settings.files)
    if settings.uploads:
        uploads = UploadsElsewhere(settings.uploads, settings.files)
    return Parts(store, settings, uploads, Builds(settings.db))


def parts_of(request: Request) -> Parts:
    """Return the parts of the service that was asked."""
    parts = request.app.state.parts
    assert isinstance(parts, Parts)
    return parts


@contextmanager
def one_of_few(parts: Parts) -> Iterator[None]:
    """Do what takes seconds of a core while few others do.

    Raises
    ------
    RefusedError
        They are at it already.
    """
    if not parts.heavy.acquire(timeout=_PATIENCE_SECONDS):
        raise RefusedError(
            429, "the service is busy with such requests: ask again in a moment", {"Retry-After": "5"}
        )
    try:
        yield
    finally:
        parts.heavy.release()
