"""The coordinator: it takes a campaign from the store to its end; it alone writes what was measured."""

from __future__ import annotations

import math
import time

from orchestrator.campaigns.running.leases import LEASE_SECONDS, bury_the_dead, claim, this_owner
from orchestrator.campaigns.running.listener import Listener, Nobody
from orchestrator.campaigns.running.outcome import Outcome
from orchestrator.campaigns.running.run import CampaignRun
from orchestrator.campaigns.running.signals import StopSignals
from orchestrator.campaigns.running.stopping import StopError
from orchestrator.campaigns.scheduling.staffing import Staffing
from orchestrator.errors import LeaseLostError, StorageError, TunefleetError
from orchestrator.fleet.options import FleetOptions
from orchestrator.storage import CampaignRequest, CampaignRow, Storage

__all__ = ["coordinate", "follow"]

_IDLE_SECONDS = 1.0
#: Seconds for which a campaign of another engine waits before no more are begun ahead of it.
ENGINE_PATIENCE_SECONDS = 300.0
_WIND_UP_SECONDS = 10.0
_HERE = FleetOptions()


def follow(
    store: Storage,
    campaign_id: int,
    *,
    fleet: FleetOptions = _HERE,
    listener: Listener | None = None,
    began: float | None = None,
) -> Outcome:
    """Run a campaign in this process until it is done, paused, cancelled or failed.

    Ctrl-C and SIGTERM pause it, within seconds.

    Parameters
    ----------
    began : float, optional
        When its time began to run, on the monotonic clock, where that was before this call.

    Raises
    ------
    UsageError
        Where a live coordinator has it, or it is over.
    TunefleetError
        What made it fail; its state says ``failed``.
    """
    listener = listener or Nobody()
    if began is None:
        began = time.monotonic()
    claim(store, campaign_id, listener)
    return _Coordinator(store, fleet, listener).follow(campaign_id, began)


def coordinate(
    store: Storage,
    *,
    fleet: FleetOptions = _HERE,
    listener: Listener | None = None,
    until_idle: bool = False,
    at_once: int = 4,
) -> None:
    """Run submitted campaigns until interrupted: the highest priority first, of one priority the oldest.

    A campaign whose coordinator died is taken up again where the store says it stands.

    Parameters
    ----------
    until_idle : bool, optional
        Return when none is left.
    at_once : int, optional
        Campaigns that are run side by side, at most. They share one fleet, so they are of one engine; one of
        another engine has its turn when these are done, and where it has waited for
        `ENGINE_PATIENCE_SECONDS` no more of theirs are begun before it.
    """
    _Coordinator(store, fleet, listener or Nobody(), several=True).coordinate(at_once, until_idle)


class _Coordinator:
    """The campaigns that this process runs side by side."""

    def __init__(
        self, store: Storage, fleet: FleetOptions, listener: Listener, *, several: bool = False
    ) -> None:
        self._store, self._options, self._listener, self._several = store, fleet, listener, several
        self._runs: list[CampaignRun] = []
        self._signals = StopSignals(self._heard_signal)
        self._looked_at = -math.inf
        self._foreign: tuple[int, float] | None = None
        self._staffing = Staffing(
            store, fleet.ray_address, fleet.slots, halted=self._halt, say=listener.activity
        )

    def follow(self, campaign_id: int, began: float) -> Outcome:
        """Run one campaign."""
        with self._signals.taken():
            run = self._take_on(self._store.campaigns.get(campaign_id), began)
            try:
                while run.alive:
                    self._step()
            finally:
                self._wind_up()
        if run.error is not None:
            raise run.error
        assert run.outcome is not None
        return run.outcome

    def coordinate(self, at_once: int, until_idle: bool) -> None:
        """Run those that wait, until interrupted or, where that is wanted, until none is left."""
        idle = False
        bury_the_dead(self._store)
        with self._signals.taken():
            try:
                while True:
                    self._reap()
                    more = not self._signals.interrupted and self._take_more(at_once)
                    if self._runs:
                        idle = False
                        self._step()
                        continue
                    if self._signals.interrupted:
                        raise KeyboardInterrupt
                    if more:
                        continue
                    if until_idle:
                        return
                    if not idle:
                        self._staffing.close()
                        self._listener.activity("waiting for campaigns")
                        idle = True
                    time.sleep(_IDLE_SECONDS)
            finally:
                self._wind_up()

    # -- its campaigns

    def _take_on(self, row: CampaignRow, began: float | None = None) -> CampaignRun:
        prefix = f"campaign {row.id}: " if self._several else ""
        run = CampaignRun(self._store, row, self._staffing, self._options, self._listener, prefix, began)
        self._runs.append(run)
        run.start()
        return run

    def _take_more(self, at_once: int) -> bool:
        """Take a campaign that waits, where there is room; say whether there was one."""
        now = time.monotonic()
        if self._runs and now < self._looked_at + _IDLE_SECONDS:
            return False
        self._looked_at = now
        try:
            row = self._next(at_once, now)
        except StorageError:
            if not self._runs:
                raise
            return False  # those that run have more patience with it
        if row is None:
            return False
        self._looked_at = -math.inf  # there may be another
        self._listener.activity(f"campaign {row.id} ({row.name})")
        self._take_on(row)
        return True

    def _next(self, at_once: int, now: float) -> CampaignRow | None:
        engine = None
        if self._runs:
            engine = self._runs[0].row.engine
            first = self._store.leases.peek_next()
            if first is None or self._gives_way_to(first, engine, now):
                return None
            if len(self._runs) >= at_once:
                self._make_room(first)
                return None
        return self._store.leases.claim_next(this_owner(), LEASE_SECONDS, engine=engine)

    def _gives_way_to(self, first: CampaignRow, engine: str, now: float) -> bool:
        """Say whether none is to be begun, so that a campaign of another engine has its turn."""
        if first.engine == engine:
            self._foreign = None
            return False
        if self._foreign is None or self._foreign[0] != first.id:
            self._foreign = (first.id, now)
        waited = now - self._foreign[1]
        return waited > ENGINE_PATIENCE_SECONDS or first.priority > max(run.priority for run in self._runs)

    def _make_room(self, first: CampaignRow) -> None:
        """Send the campaign of the least priority, the youngest of these, back to the queue."""
        if first.engine != self._runs[0].row.engine or any(run.displaced_by for run in self._runs):
            return
        last = min(self._runs, key=lambda run: (run.priority, -run.row.id))
        if last.priority < first.priority:
            last.displace(first)

    def _reap(self) -> None:
        """Forget the campaigns that came to their end; a fault of this program ends all of them."""
        for run in [run for run in self._runs if not run.alive]:
            self._runs.remove(run)
            error, name = run.error, f"campaign {run.row.id} ({run.row.name})"
            if run.to_go_on:
                self._store.campaigns.request(run.row.id, CampaignRequest.RESUME)
            elif isinstance(error, LeaseLostError):
                pass
            elif isinstance(error, TunefleetError):
                # It is written in the campaign; the others may fare better. Where it is the store that is
                # wrong, who looks for the next campaign finds that too.
                self._listener.activity(f"{name} failed: {error}")
            elif error is not None:
                raise error

    def _step(self) -> None:
        self._halt()
        if self._staffing.staffed and not any(run.may_tune for run in self._runs):
            self._staffing.close()
        self._staffing.step()

    def _wind_up(self) -> None:
        """End what is left, however it came to this."""
        for run in self._runs:
            if run.alive:
                run.interrupt("the coordinator stopped")
        self._staffing.stop(StopError())
        until = time.monotonic() + _WIND_UP_SECONDS
        for run in self._runs:
            run.join(max(0.0, until - time.monotonic()))

    # -- being stopped

    def _heard_signal(self) -> None:
        self._listener.activity("stopping; once more to stop at once")
        self._staffing.wake()

    def _halt(self) -> bool:
        """Pass an interrupt on; say whether there was one."""
        if self._signals.interrupted:
            for run in self._runs:
                run.interrupt()
        return self._signals.interrupted
