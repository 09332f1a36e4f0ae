"""Where a model's time went, as it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["ProfileRow"]


@dataclass(frozen=True)
class ProfileRow:
    """What was seen of a model's library from inside.

    Attributes
    ----------
    document : dict
        See :func:`orchestrator.documents.profile.profile_document`.
    """

    id: int
    model_id: int
    device_class: str
    document: dict[str, Any]
    created_at: datetime
