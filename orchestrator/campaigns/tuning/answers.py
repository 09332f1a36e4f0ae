"""What the machine of a campaign is told of a completion."""

from __future__ import annotations

from orchestrator.campaigns.tuning.actions import Build, Learn, Measure, OpenSearch, Propose
from orchestrator.campaigns.tuning.events import Built, Event, Failed, Learned, Measured, Opened, Proposed
from orchestrator.fleet.completions import (
    CandidateBuilt,
    CandidateMeasured,
    CandidatesProposed,
    Completion,
    ResultsLearned,
    SearchOpened,
    WorkFailed,
)
from workers.messages import Measurement, TrialState

__all__ = ["Assigned", "event_of"]

#: What is done on cores and devices.
Assigned = OpenSearch | Propose | Learn | Build | Measure


def event_of(action: Assigned, completion: Completion) -> Event:
    """Return what came of an action, as an event."""
    match action, completion:
        case OpenSearch(task), SearchOpened():
            return Opened(task)
        case Propose(task), CandidatesProposed(_, candidates):
            return Proposed(task, candidates)
        case Learn(task), ResultsLearned():
            return Learned(task)
        case Build(token=token), CandidateBuilt(_, result):
            if result.state is not TrialState.OK:
                return Built(token, result.build_s, Measurement(result.state, message=result.message))
            return Built(token, result.build_s)
        case Measure(token=token), CandidateMeasured(_, measurement):
            return Measured(token, measurement)
        case _, WorkFailed(_, error, lost, moved):
            token = action.token if isinstance(action, Build | Measure) else ""
            return Failed(action.task, str(error), lost, token, moved)
    raise AssertionError(f"{type(completion).__name__} is no answer to {type(action).__name__}")
