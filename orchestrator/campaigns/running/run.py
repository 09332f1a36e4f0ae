"""One campaign in its own thread, from the plan to the comparison."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence

from orchestrator.builds.bench import BenchReport
from orchestrator.campaigns.planning.plan import CampaignPlan
from orchestrator.campaigns.running.clock import CampaignClock
from orchestrator.campaigns.running.fetched import fetched
from orchestrator.campaigns.running.heartbeat import Heartbeat
from orchestrator.campaigns.running.leases import this_owner
from orchestrator.campaigns.running.listener import Listener
from orchestrator.campaigns.running.outcome import Outcome
from orchestrator.campaigns.running.stages import Stages
from orchestrator.campaigns.running.stopping import StopError, Stopping
from orchestrator.campaigns.scheduling.staffing import Staffing
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.errors import EngineLostError, LeaseLostError, StorageError, TunefleetError
from orchestrator.fleet.options import FleetOptions
from orchestrator.storage import CampaignRequest, CampaignRow, CampaignState, Storage
from orchestrator.toolbox import Toolbox

__all__ = ["CampaignRun"]


class CampaignRun:
    """One run of one campaign by this process, which holds its lease.

    Parameters
    ----------
    prefix : str
        What its activities begin with where several campaigns run.
    began : float, optional
        When it began, on the monotonic clock, where that was before now.

    Attributes
    ----------
    may_tune : bool
        It may still want a fleet.
    displaced_by : int or None
        The campaign that it makes room for.
    """

    def __init__(
        self,
        store: Storage,
        row: CampaignRow,
        staffing: Staffing,
        options: FleetOptions,
        listener: Listener,
        prefix: str,
        began: float | None = None,
    ) -> None:
        self._store, self._id, self._options, self._listener = store, row.id, options, listener
        self._staffing, self._prefix = staffing, prefix
        self.row = row
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.may_tune = True
        self.displaced_by: int | None = None
        self._began = time.monotonic() if began is None else began
        self._stopping = Stopping()
        self._heart = Heartbeat(store, row.id, row.priority, self._stopping)
        self._thread = threading.Thread(target=self._live, name=f"campaign-{row.id}", daemon=True)

    # -- for the coordinator's thread

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """It has not come to its end."""
        return self._thread.is_alive()

    @property
    def priority(self) -> int:
        """That it has by now."""
        return self._heart.priority

    def interrupt(self, why: str = "interrupted") -> None:
        """Have it pause, within seconds."""
        self._stopping.interrupt(why)

    def displace(self, by: CampaignRow) -> None:
        """Have it make room for another, and wait for its turn again."""
        self.displaced_by = by.id
        self.interrupt(f"made room for campaign {by.id}, of priority {by.priority}")

    @property
    def to_go_on(self) -> bool:
        """It was paused for this process's sake, not a person's."""
        outcome = self.outcome
        return (
            outcome is not None
            and outcome.interrupted
            and self._stopping.request is None
            and outcome.campaign.state is CampaignState.PAUSED
        )

    def join(self, seconds: float) -> None:
        """Wait for its end."""
        self._thread.join(seconds)

    # -- its life

    def _live(self) -> None:
        try:
            self.outcome = self._carry_out()
        except BaseException as error:
            self.error = error
        finally:
            self.may_tune = False
            self._staffing.wake()

    def _carry_out(self) -> Outcome:
        """Go through the stages, and leave the campaign in the state that this comes to."""
        stopping, stages = self._stopping, None
        clock: CampaignClock | None = None
        plan: CampaignPlan | None = None
        reports: list[BenchReport] = []
        try:
            spec = fetched(CampaignSpec.of(self.row.spec))
            clock = CampaignClock(spec.time_s, self.row.active_s, self._began)
            with Toolbox(spec.engine) as tools, self._staffing.cores.beside(tools):
                self._heart.start(self._began)
                stages = Stages(
                    self._store,
                    self._id,
                    spec,
                    tools,
                    self._staffing,
                    self._options,
                    stopping,
                    clock,
                    self._say,
                    self._changed,
                )
                with stopping.long_wait(tools), clock.part("planning"):
                    self._enter(CampaignState.EXTRACTING)
                    plan = stages.plan()
                tuned = plan
                if (not plan.complete or plan.undecided) and not stopping.stopped:
                    tuned = self._check_and_tune(stages, plan, tools, clock)
                self.may_tune = False
                if not stopping.stopped:
                    with stopping.long_wait(tools):
                        self._enter(CampaignState.VERIFYING)
                        reports = stages.verify(tuned)
        except StopError:
            pass
        except LeaseLostError:
            stopping.lease_lost = True
        except TunefleetError as error:
            # What it waited for was ended to break the wait off.
            if not (stopping.broke_off and isinstance(error, EngineLostError)):
                self._give_up(CampaignState.FAILED, str(error))
                raise
        except BaseException:
            # A fault of this program, not of the campaign: it can be resumed.
            self._give_up(CampaignState.PAUSED, "the coordinator stopped")
            raise
        finally:
            self._heart.end()
        if stopping.lease_lost:
            raise LeaseLostError(
                f"campaign {self._id} was taken over by another coordinator; what was measured here is stored"
            )
        row = self._rest(stages, plan, reports)
        self._changed()
        return Outcome(
            row,
            tuple(reports),
            stages.measured if stages is not None else 0,
            plan.stored if plan is not None else 0,
            plan.missing if plan is not None else 0,
            bool(stopping.interrupted),
            _remarks(stages) if stages is not None else (),
            stages.more_time if stages is not None else None,
            {} if clock is None else dict(clock.parts_s),
            stages.revalidated if stages is not None else 0,
        )

    def _check_and_tune(
        self, stages: Stages, plan: CampaignPlan, tools: Toolbox, clock: CampaignClock
    ) -> CampaignPlan:
        with stages.staffed(plan, lambda: self.priority) as request:
            with self._stopping.long_wait(tools), clock.part("checking"):
                stages.check(plan, request)
            if not self._stopping.stopped:
                self._enter(CampaignState.TUNING)
                return stages.tune(plan, request)
        return plan

    def _enter(self, state: CampaignState) -> None:
        self._store.campaigns.transition(self._id, state, owner=this_owner())
        self._changed()

    def _give_up(self, state: CampaignState, message: str) -> None:
        self._heart.end()
        with contextlib.suppress(StorageError):
            self._store.campaigns.transition(self._id, state, message=message, owner=this_owner())

    def _rest(
        self, stages: Stages | None, plan: CampaignPlan | None, reports: Sequence[BenchReport]
    ) -> CampaignRow:
        """Put the campaign into the state in which this run leaves it."""

        def rest(state: CampaignState, message: str = "") -> CampaignRow:
            return self._store.campaigns.transition(self._id, state, message=message, owner=this_owner())

        stopping = self._stopping
        if stopping.request is CampaignRequest.CANCEL:
            return self._store.campaigns.transition(self._id, CampaignState.CANCELLED, owner=this_owner())
        if stopping.request is CampaignRequest.PAUSE or stopping.interrupted:
            return rest(CampaignState.PAUSED, stopping.interrupted or "paused on request")
        wrong = [report for report in reports if not report.outputs_agree]
        if wrong:
            names = "; ".join(f"{report.model}: {report.disagreement}" for report in wrong)
            return rest(CampaignState.FAILED, f"wrong outputs of the tuned library: {names}")
        message = "nothing to measure: all trials were stored"
        if plan is not None and not plan.complete and stages is not None:
            message = f"measured {stages.measured} trials"
        if stages is not None and stages.revalidated:
            message += f", and {stages.revalidated} of another toolchain anew"
        if stages is not None and stages.measured_again:
            message += f", and {stages.measured_again} of the best again"
        if stages is not None:
            message = "; ".join([message, *_remarks(stages)])
        return rest(CampaignState.DONE, message)

    # -- talking

    def _say(self, text: str) -> None:
        if self._stopping.in_long_wait:
            self._stopping.go_on()
        self._listener.activity(self._prefix + text)

    def _changed(self) -> None:
        self._listener.changed(self._id)


def _remarks(stages: Stages) -> tuple[str, ...]:
    """Say what was left out, or is late."""
    uncompared = "; ".join(stages.uncompared)
    return (*([f"not compared with onnxruntime: {uncompared}"] if uncompared else []), *stages.remarks)
