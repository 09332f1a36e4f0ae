"""In which layout a model was taken apart, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.documents.text import instant

if TYPE_CHECKING:
    from orchestrator.models.lookup import StoredModel
    from orchestrator.storage import LayoutDecisionRow, LayoutRow, Storage

__all__ = ["ShownLayout", "layout_of", "layouts_of_campaign", "tried_document"]


@dataclass(frozen=True)
class ShownLayout:
    """The layout of a model's tasks on a device class.

    Attributes
    ----------
    reason : str
        Why it is that; empty where somebody named it.
    tried : LayoutDecisionRow or None
        What was decided between it and another one.
    alternative : str
        One that is estimated to take about as long, and that it wasn't tried out against.
    """

    device_class: str
    layout: str
    reason: str
    tried: LayoutDecisionRow | None = None
    alternative: str = ""

    def __str__(self) -> str:
        parts = [self.tried.reason if self.tried else "", self.reason]
        if self.alternative:
            parts.append(f"not tried out against {self.alternative}, which is close")
        told = "; ".join(part for part in parts if part)
        return f"{self.layout}: {told}" if told else self.layout


def tried_document(row: LayoutDecisionRow | None) -> dict[str, Any] | None:
    """Return what ``--json`` says of a decision between two layouts."""
    if row is None:
        return None
    return {
        "chosen": row.chosen,
        "other": row.other,
        "chosen_s": row.chosen_s,
        "other_s": row.other_s,
        "reason": row.reason,
        "decided_at": instant(row.created_at),
    }


def layout_of(store: Storage, model: StoredModel) -> ShownLayout | None:
    """Return the layout of a model's tasks; None where nothing is known about it."""
    from orchestrator.models.extraction import AUTO, split_version

    version, asked = split_version(model.engine_version)
    here = [
        row
        for row in store.extractions.layouts(model.id, model.engine)
        if row.device_class == model.device_class and row.layout
    ]
    found = [row for row in here if row.engine_version == model.engine_version]
    if not found:
        return None
    row = found[-1]
    tried = store.layouts.decided(model.id, model.device_class, version)
    own = [one for one in here if one.engine_version == version]
    if tried is not None and own and row.layout == tried.chosen and asked in (AUTO, own[-1].alternative):
        # What the engine thought of both stands with its own choice.
        return ShownLayout(row.device_class, row.layout, own[-1].reason, tried)
    return ShownLayout(row.device_class, row.layout, row.reason, None, row.alternative)


def layouts_of_campaign(
    rows: Iterable[LayoutRow], decisions: Iterable[LayoutDecisionRow], asked: str
) -> list[ShownLayout]:
    """Return the layouts in which a campaign tunes a model, one for each of its device classes.

    Parameters
    ----------
    rows : iterable of LayoutRow
        What the model was extracted in, the first one first.
    decisions : iterable of LayoutDecisionRow
        The campaign's own about this model.
    asked : str
        The layout that the campaign was to use, or ``auto``.
    """
    from orchestrator.models.extraction import AUTO, split_version

    found: dict[str, ShownLayout] = {}
    for row in rows:
        if row.layout and split_version(row.engine_version)[1] == asked:
            found[row.device_class] = ShownLayout(
                row.device_class, row.layout, row.reason, None, row.alternative
            )
    for tried in decisions if asked == AUTO else ():
        own = found.get(tried.device_class)
        if own is not None:
            found[tried.device_class] = replace(own, layout=tried.chosen, tried=tried, alternative="")
    return list(found.values())
