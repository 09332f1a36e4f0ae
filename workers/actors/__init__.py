"""The actors that search, build and measure. Each starts and supervises an engine process.

They are plain classes, so that they can be tried without Ray; :mod:`orchestrator.fleet.ray` makes them
remote.
"""

from workers.actors.build import BuildActor
from workers.actors.measure import MeasureActor, state_of
from workers.actors.search import SearchActor

__all__ = ["BuildActor", "MeasureActor", "SearchActor", "state_of"]
