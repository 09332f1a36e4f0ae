"""In which layout a model was taken apart, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.models.lookup import StoredModel
    from orchestrator.storage import LayoutRow, Storage

__all__ = ["layout_of", "layout_text"]


def layout_of(store: Storage, model: StoredModel) -> LayoutRow | None:
    """Return the layout of a model's tasks; None where nothing is known about it."""
    rows = store.extractions.layouts(model.id, model.engine)
    of_these = (model.device_class, model.engine_version)
    found = [row for row in rows if (row.device_class, row.engine_version) == of_these and row.layout]
    return found[-1] if found else None


def layout_text(row: LayoutRow) -> str:
    """Say which it is, and why where the engine chose it."""
    return f"{row.layout}: {row.reason}" if row.reason else row.layout
