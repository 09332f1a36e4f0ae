"""One campaign tuned on a fleet of its own, from its first search to its last result."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.campaigns.scheduling.job import TuningJob
from orchestrator.campaigns.scheduling.scheduler import Scheduler
from orchestrator.fleet.port import Fleet
from orchestrator.storage import Storage

__all__ = ["tune_alone"]


def tune_alone(
    store: Storage, fleet: Fleet, job: TuningJob, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Tune a campaign until it is done or `stopped` says so, on a fleet that was started.

    Raises
    ------
    StorageError
        Where the store would not take results for a minute: where those it never took are kept.
    LeaseLostError
        Where another coordinator has the campaign.
    """
    wrong: list[Exception | None] = []
    scheduler = Scheduler(store, fleet)
    scheduler.add(job, stopped, wrong.append)
    try:
        while scheduler.busy:
            scheduler.step()
    except Exception as error:
        scheduler.stop(error)
    if wrong[0] is not None:
        raise wrong[0]
