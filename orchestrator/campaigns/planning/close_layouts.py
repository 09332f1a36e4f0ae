"""The layout that came close to a model's own, and what was decided between both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orchestrator.campaigns.planning.tryouts import Tryout
from orchestrator.models.extraction import (
    AUTO,
    ExtractedModel,
    extract_model,
    layout_version,
    split_version,
)
from orchestrator.storage import Storage
from orchestrator.storage.rows import LayoutDecisionRow, NewLayoutDecision
from orchestrator.toolbox import Toolbox

__all__ = ["follow_decision", "other_layout"]


def other_layout(
    store: Storage,
    tools: Toolbox,
    model: ExtractedModel,
    say: Callable[[str], None] = lambda _: None,
) -> Tryout | None:
    """Extract a model in the layout that came close to its own; None where there is nothing to try.

    Raises
    ------
    ModelError, EngineError
        It can't be had in that layout.
    """
    if not model.alternative:
        return None
    other = extract_model(store, tools, model.request, model.device, model.prepared, say, model.alternative)
    tryout = Tryout(model, other, model.prepared.layout)
    return tryout if tryout.needed else None


def follow_decision(
    store: Storage, engine: str, model: ExtractedModel, campaign_id: int | None
) -> Tryout | None:
    """Return what was decided about a model's layout, by this campaign or an earlier one; None where nothing.

    Parameters
    ----------
    model : ExtractedModel
        As ``auto`` has it by now.
    """
    row = _decision(store, model, campaign_id)
    if row is None:
        return None
    version, layout = split_version(model.engine_version)
    # The other one is there since it was tried out.
    bound_to = layout_version(version, row.other if layout == AUTO else AUTO)
    found = store.extractions.find(model.id, engine, model.device.target, bound_to)
    if found is None:
        return None
    left_out = replace(
        model,
        prepared=replace(model.prepared, layout=found.layout),
        tasks=found.tasks,
        engine_version=bound_to,
        layout_reason=found.layout_reason,
        alternative=found.alternative,
    )
    first, other = (model, left_out) if layout == AUTO else (left_out, model)
    names = ("chosen", "other", "chosen_s", "other_s", "reason")
    known = NewLayoutDecision(
        model.id, model.device.device_class, version, **{name: getattr(row, name) for name in names}
    )
    return Tryout(first, other, model.prepared.layout, decided=True, known=known)


def _decision(store: Storage, model: ExtractedModel, campaign_id: int | None) -> LayoutDecisionRow | None:
    device_class = model.device.device_class
    version = split_version(model.engine_version)[0]
    row = store.layouts.decided(model.id, device_class, version)
    if row is not None or campaign_id is None:
        return row
    for own in store.layouts.of_campaign(campaign_id):
        if (own.model_id, own.device_class, own.engine_version) == (model.id, device_class, version):
            return own
    return None
