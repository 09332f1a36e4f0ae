"""How much is done in vain before something is given up."""

from __future__ import annotations

from workers.messages import TrialState

__all__ = ["MAX_ATTEMPTS", "MAX_MOVES", "SAYS_NOTHING"]

#: How often a piece of work is given out again when the worker, not the work, was at fault.
MAX_ATTEMPTS = 3
#: The same, where the worker's node or its actor is gone: the work is innocent, but an end has to come.
MAX_MOVES = 20
#: What says nothing about a candidate that was measured before: another time it is fast enough, or there.
SAYS_NOTHING = (TrialState.DEVICE_LOST, TrialState.BUILD_TIMEOUT, TrialState.RUN_TIMEOUT)
