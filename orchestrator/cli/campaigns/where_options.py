"""Where campaigns run, as it can be told to ``tune``, ``coordinator`` and ``resume``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.cli.campaigns.tracker import chosen_tracker
from orchestrator.cli.kit import options
from orchestrator.cli.kit.session import Session

if TYPE_CHECKING:
    from orchestrator.fleet.options import FleetOptions

__all__ = ["WhereOptions"]


@dataclass(frozen=True)
class WhereOptions:
    """Options of a command that runs campaigns in its own process."""

    ray_address: options.RayAddress = None
    slots: options.Slots = None
    tracker: options.Tracker = None
    serve_tracker: options.ServeTracker = None

    def refuse_served(self, session: Session) -> None:
        """Refuse them where a service is asked: its own coordinator has them.

        Raises
        ------
        UsageError
        """
        session.refuse_served(
            ray_address=self.ray_address,
            slots=self.slots,
            tracker=self.tracker,
            serve_tracker=self.serve_tracker,
        )

    @contextlib.contextmanager
    def fleet(
        self, session: Session, *, keys: Sequence[str] = (), engine: str = options.DEFAULT_ENGINE
    ) -> Iterator[FleetOptions]:
        """Give where campaigns run; a tracker that is served here lives as long as this.

        Parameters
        ----------
        keys : sequence of str, optional
            Of boards that have to be there before anything is begun.

        Raises
        ------
        UsageError, EngineError
            See :func:`.tracker.chosen_tracker`.
        """
        from orchestrator.fleet.options import FleetOptions

        with chosen_tracker(
            session, self.tracker, self.serve_tracker, self.ray_address, keys=keys, engine=engine
        ) as tracker:
            yield FleetOptions(self.ray_address, self.slots, tracker)
