"""Actors: which classes they are of, how they are made on their node, and their errors as this project's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.errors import EngineError, EngineLostError, TunefleetError
from orchestrator.fleet.ray.cluster import START_SECONDS
from workers.actors import BuildActor, MeasureActor, SearchActor

__all__ = ["ActorClasses", "make_actor", "plain_error"]

# Calls an actor may have under way: pausing must not queue behind searches.
_CONCURRENCY = 64


@dataclass(frozen=True)
class ActorClasses:
    """What a node's actors are made of. Others than these have the same methods, and work in their way."""

    search: type[object] = SearchActor
    build: type[object] = BuildActor
    measure: type[object] = MeasureActor


def make_actor(
    actor: type[object], node: str, *args: object, gpus: float = 0, calls: int = _CONCURRENCY
) -> Any:
    """Make an actor on a node. Ray has no types for what it makes: its methods are the class's, remote."""
    return (
        ray.remote(actor)
        .options(
            # The coordinator counts cores itself; an actor only has to be on its node.
            num_cpus=0,
            num_gpus=gpus,
            max_concurrency=calls,
            max_restarts=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        .remote(*args)
    )


def plain_error(error: Exception, who: str) -> TunefleetError:
    """Return an error of this project for one of Ray's."""
    if isinstance(error, ray.exceptions.RayTaskError):
        cause = error.cause if isinstance(error.cause, Exception) else error
        return cause if isinstance(cause, TunefleetError) else TunefleetError(str(cause))
    if isinstance(error, ray.exceptions.GetTimeoutError):
        return EngineError(
            f"{who} did not start within {START_SECONDS:.0f} s; `tunefleet doctor` looks for the reason"
        )
    if isinstance(error, ray.exceptions.RayError):
        return EngineLostError(f"{who} died: {(str(error).strip().splitlines() or ['no message'])[0]}")
    return error if isinstance(error, TunefleetError) else TunefleetError(f"{type(error).__name__}: {error}")
