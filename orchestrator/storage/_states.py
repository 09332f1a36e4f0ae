"""Which states of a campaign may follow which, and what a request makes of a campaign nobody runs."""

from __future__ import annotations

from orchestrator.storage.rows import BEGUN_STATES, CampaignRequest, CampaignState

__all__ = ["NEXT_STATES", "after_request"]

_S = CampaignState
_STOPS = frozenset({_S.PAUSED, _S.FAILED, _S.CANCELLED})

NEXT_STATES: dict[CampaignState, frozenset[CampaignState]] = {
    _S.QUEUED: _STOPS | {_S.EXTRACTING},
    # Whoever takes an interrupted campaign over plans it anew, so the way back to extracting is open
    # throughout. Nothing to tune, or nothing to verify: both stages may be passed over.
    _S.EXTRACTING: _STOPS | {_S.QUEUED, _S.TUNING, _S.VERIFYING, _S.DONE},
    _S.TUNING: _STOPS | {_S.QUEUED, _S.EXTRACTING, _S.VERIFYING, _S.DONE},
    _S.VERIFYING: _STOPS | {_S.QUEUED, _S.EXTRACTING, _S.TUNING, _S.DONE},
    _S.PAUSED: frozenset({_S.QUEUED, _S.EXTRACTING, _S.FAILED, _S.CANCELLED}),
    # What made it fail may have been mended.
    _S.FAILED: frozenset({_S.QUEUED, _S.EXTRACTING, _S.CANCELLED}),
    _S.DONE: frozenset(),
    _S.CANCELLED: frozenset(),
}
"""Legal transitions. Staying in a state is always legal."""


def after_request(state: CampaignState, request: CampaignRequest) -> CampaignState | None:
    """Say where a request takes a campaign that nobody runs; None where it asks for nothing possible."""
    if state in (_S.DONE, _S.CANCELLED):
        return None
    if request is CampaignRequest.CANCEL:
        return _S.CANCELLED
    if request is CampaignRequest.PAUSE:
        return None if state is _S.FAILED else _S.PAUSED
    # Interrupted ones go to the queue as well, where the next coordinator finds them.
    return _S.QUEUED if state in BEGUN_STATES | {_S.QUEUED, _S.PAUSED, _S.FAILED} else None
