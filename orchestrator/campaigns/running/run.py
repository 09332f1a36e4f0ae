"""One campaign in its own thread, from the plan to the comparison."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from orchestrator.builds.bench import BenchReport, verify
from orchestrator.campaigns.planning.plan import CampaignPlan, make_plan
from orchestrator.campaigns.running.leases import LEASE_SECONDS, this_owner
from orchestrator.campaigns.running.listener import Listener
from orchestrator.campaigns.running.outcome import Outcome
from orchestrator.campaigns.scheduling.staffing import Job, Staffing
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.devices.address import tracker_address
from orchestrator.devices.boards import refuse_wrong_targets, wait_for_board
from orchestrator.devices.targets import resolve_boards, resolve_targets
from orchestrator.errors import (
    EngineError,
    EngineLostError,
    LeaseLostError,
    StorageError,
    TargetError,
    TunefleetError,
    UsageError,
)
from orchestrator.fleet.options import FleetOptions
from orchestrator.models.extraction import ExtractedModel
from orchestrator.storage import CampaignRequest, CampaignRow, CampaignState, NewTask, Storage, TaskState
from orchestrator.toolbox import Toolbox
from workers.messages import DeviceInfo

__all__ = ["CampaignRun", "StopError"]

_HEARTBEAT_SECONDS = 2.0


class StopError(Exception):
    """Raised where a campaign that is to stop would wait for something long."""


class CampaignRun:
    """One run of one campaign by this process, which holds its lease."""

    def __init__(
        self,
        store: Storage,
        row: CampaignRow,
        floor: Staffing,
        fleet: FleetOptions,
        listener: Listener,
        prefix: str,
    ) -> None:
        self._store, self._id, self._fleet, self._listener = store, row.id, fleet, listener
        self._floor, self._prefix = floor, prefix
        self.row = row
        self.priority = row.priority
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.may_tune = True
        self.displaced_by: int | None = None
        self._request: CampaignRequest | None = None
        self._interrupted = ""
        self._lease_lost = False
        self._over = threading.Event()
        # Held by who breaks a long wait off, and while one begins or ends.
        self._breaking = threading.Lock()
        self._waits_with: Toolbox | None = None
        self._broke_off = False
        self._measured = self._measured_again = 0
        self._boards: dict[str, DeviceInfo] = {}
        self._uncompared: list[str] = []  # models, and why
        self._thread = threading.Thread(target=self._live, name=f"campaign-{row.id}", daemon=True)

    # -- for the coordinator's thread

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """It has not come to its end."""
        return self._thread.is_alive()

    def interrupt(self, why: str = "interrupted") -> None:
        """Have it pause, within seconds."""
        self._interrupted = self._interrupted or why
        self._break_off()

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
            and self._request is None
            and outcome.campaign.state is CampaignState.PAUSED
        )

    def join(self, seconds: float) -> None:
        """Wait for its end."""
        self._thread.join(seconds)

    # -- its life

    def _live(self) -> None:
        try:
            self.outcome = self.carry_out()
        except BaseException as error:
            self.error = error
        finally:
            self.may_tune = False
            self._floor.wake()

    def carry_out(self) -> Outcome:
        store, me = self._store, this_owner()
        plan: CampaignPlan | None = None
        missing = already = 0
        reports: list[BenchReport] = []
        heart = threading.Thread(target=self._heartbeat, daemon=True)
        try:
            spec = CampaignSpec.of(self.row.spec)
            with Toolbox(spec.engine) as tools, self._floor.beside(tools):
                heart.start()
                with self._long_wait(tools):
                    store.campaigns.transition(self._id, CampaignState.EXTRACTING, owner=me)
                    self._changed()
                    plan = self._plan(tools, spec)
                missing, already = plan.missing, plan.stored
                if missing and not self._stopped():
                    store.campaigns.transition(self._id, CampaignState.TUNING, owner=me)
                    self._changed()
                    self._tune(tools, spec, plan, store.campaigns.get(self._id).active_s)
                self.may_tune = False
                if not self._stopped():
                    with self._long_wait(tools):
                        store.campaigns.transition(self._id, CampaignState.VERIFYING, owner=me)
                        self._changed()
                        reports = self._verify(tools, spec, plan, remember=not self._measured)
        except StopError:
            pass
        except LeaseLostError:
            self._lease_lost = True
        except TunefleetError as error:
            # What it waited for was ended to break the wait off.
            if not (self._broke_off and isinstance(error, EngineLostError)):
                self._over.set()
                with contextlib.suppress(StorageError):
                    store.campaigns.transition(self._id, CampaignState.FAILED, message=str(error), owner=me)
                raise
        except BaseException:
            # A fault of this program, not of the campaign: it can be resumed.
            self._over.set()
            with contextlib.suppress(StorageError):
                store.campaigns.transition(
                    self._id, CampaignState.PAUSED, message="the coordinator stopped", owner=me
                )
            raise
        finally:
            self._over.set()
        if self._lease_lost:
            raise LeaseLostError(
                f"campaign {self._id} was taken over by another coordinator; what was measured here is stored"
            )
        row = self._rest(me, missing, reports)
        self._changed()
        return Outcome(row, tuple(reports), self._measured, already, missing, bool(self._interrupted))

    # -- stages

    def _plan(self, tools: Toolbox, spec: CampaignSpec) -> CampaignPlan:
        plan = make_plan(self._store, tools, spec, self._say, self._devices(tools, spec))
        for model in plan.models:
            self._store.campaigns.set_model(self._id, spec.models.index(model.request), model.id)
        self._store.tasks.put(
            self._id,
            [
                NewTask(
                    workload_hash=planned.task.workload_hash,
                    device_class=planned.task.device_class,
                    name=planned.task.name,
                    weight=planned.task.weight,
                    budget=planned.budget,
                    stored_before=planned.standing.stored,
                    state=TaskState.SATISFIED if planned.satisfied else TaskState.OPEN,
                    note=planned.satisfied,
                )
                for planned in plan.tasks
            ],
            owner=this_owner(),
        )
        self._settle(plan)
        self._changed()
        return plan

    def _devices(self, tools: Toolbox, spec: CampaignSpec) -> tuple[DeviceInfo, ...]:
        """Find out on what is measured: boards, this machine, or what nodes of the cluster have."""
        self._say("looking for the target")
        self._boards = resolve_boards(tools, spec.boards)
        if self._boards:
            # What is wrong with it, or with a target, is said before anything is planned.
            refuse_wrong_targets(tools, self._boards, tracker_address(self._fleet.tracker), self._say)
            return tuple(self._boards.values())
        devices = resolve_targets(tools, spec.targets)
        unfit = [device for device in devices if device.unfit]
        if not unfit:
            return devices
        if self._fleet.ray_address is None:
            raise TargetError(f"target {unfit[0].target} can't be measured here: {unfit[0].unfit}")
        found = self._floor.find(spec.engine, tuple(d.target for d in unfit), self._say, self._stopped)
        if self._stopped():
            raise StopError
        for device in unfit:
            if device.target not in found:
                raise TargetError(
                    f"target {device.target} can't be measured here, for {device.unfit}, nor on any node of "
                    "the cluster"
                )
        return tuple(found.get(device.target, device) for device in devices)

    def _settle(self, plan: CampaignPlan) -> None:
        """Close tasks that got their trials elsewhere, or whose coordinator died before it closed them."""
        enough = {
            (planned.task.workload_hash, planned.task.device_class): planned.satisfied
            for planned in plan.tasks
            if planned.satisfied
        }
        for row in self._store.tasks.of_campaign(self._id):
            note = enough.get((row.workload_hash, row.device_class))
            if note is not None and row.state is TaskState.OPEN:
                self._store.tasks.update(row.id, state=TaskState.SATISFIED, note=note)

    def _tune(self, tools: Toolbox, spec: CampaignSpec, plan: CampaignPlan, active_s: float) -> None:
        tuning = Tuning(
            self._store,
            None,
            self._id,
            this_owner(),
            spec,
            plan,
            self._say,
            self._changed,
            transfers=tools.transfers(spec.search),
            lends=tools.lends(spec.search),
        )
        deadline = None if spec.time_s is None else time.monotonic() + spec.time_s - active_s
        tuning.ends_at = deadline
        job = Job(
            spec.engine,
            tuning,
            plan.devices,
            self._boards,
            tracker_address(self._fleet.tracker) if self._boards else None,
            lambda: self._stopped() or (deadline is not None and time.monotonic() >= deadline),
            lambda: self.priority,
        )
        try:
            self._floor.tune(job)
        finally:
            self._measured = tuning.recorded
            self._measured_again = len(tuning.measured_again)

    def _verify(
        self, tools: Toolbox, spec: CampaignSpec, plan: CampaignPlan, *, remember: bool
    ) -> list[BenchReport]:
        reports = []
        for model in plan.models:
            if model.device.kind != "cpu" and not self._boards:
                continue
            try:
                reports.append(self._compared(tools, spec, model, remember=remember))
            except (EngineError, UsageError) as error:
                # Where it is done on this machine, a failure is the campaign's; a board may just have gone.
                if not model.device.unfit:
                    raise
                why = str(error).splitlines()[0]
                self._uncompared.append(f"{model.prepared.name} on {model.device.model}: {why}")
        return reports

    def _compared(
        self, tools: Toolbox, spec: CampaignSpec, model: ExtractedModel, *, remember: bool
    ) -> BenchReport:
        device, endpoint = model.device, None
        if device.model in self._boards:
            tracker = tracker_address(self._fleet.tracker)
            endpoint = wait_for_board(tools, device.model, tracker, device.kind, self._say)
        return verify(
            self._store,
            tools,
            model,
            campaign_id=self._id,
            remember=remember,
            weigh_layouts=spec.layout_tuning == "auto",
            endpoint=endpoint,
            say=self._say,
            quiet=lambda: self._floor.quiet(tools, self._go_on),
        )

    def _rest(self, me: str, missing: int, reports: list[BenchReport]) -> CampaignRow:
        if self._request is CampaignRequest.CANCEL:
            return self._store.campaigns.transition(self._id, CampaignState.CANCELLED, owner=me)
        if self._request is CampaignRequest.PAUSE or self._interrupted:
            why = self._interrupted or "paused on request"
            return self._store.campaigns.transition(self._id, CampaignState.PAUSED, message=why, owner=me)
        wrong = [report for report in reports if not report.outputs_agree]
        if wrong:
            names = "; ".join(f"{report.model}: {report.disagreement}" for report in wrong)
            return self._store.campaigns.transition(
                self._id,
                CampaignState.FAILED,
                message=f"wrong outputs of the tuned library: {names}",
                owner=me,
            )
        message = (
            f"measured {self._measured} trials" if missing else "nothing to measure: all trials were stored"
        )
        if self._measured_again:
            message += f", and {self._measured_again} of the best again"
        if self._uncompared:
            message += f"; not compared with onnxruntime: {'; '.join(self._uncompared)}"
        return self._store.campaigns.transition(self._id, CampaignState.DONE, message=message, owner=me)

    # -- being stopped

    def _stopped(self) -> bool:
        return bool(self._interrupted) or self._lease_lost or self._request is not None

    def _heartbeat(self) -> None:
        """Renew the lease, hear requests, count the time: the campaign may wait for something long."""
        last = time.monotonic()
        while not self._over.wait(_HEARTBEAT_SECONDS):
            # A store that does not answer now may do so next time; the lease has room for some silence.
            with contextlib.suppress(StorageError):
                try:
                    self._store.leases.renew(self._id, this_owner(), LEASE_SECONDS)
                    now = time.monotonic()
                    self._store.campaigns.add_active_time(self._id, now - last)
                    last = now
                    self.priority = self._store.campaigns.get(self._id).priority
                    request = self._store.campaigns.take_request(self._id)
                except LeaseLostError:
                    self._lease_lost = True
                    request = None
                if request in (CampaignRequest.PAUSE, CampaignRequest.CANCEL):
                    self._request = request
                if self._stopped():
                    self._break_off()

    def _break_off(self) -> None:
        """End what a long wait is for."""
        with self._breaking:
            if self._waits_with is not None:
                self._broke_off = True
                self._waits_with.stop()

    @contextlib.contextmanager
    def _long_wait(self, tools: Toolbox) -> Iterator[None]:
        """Mark what can be broken off anywhere without harm."""
        with self._breaking:
            self._waits_with = tools
        try:
            self._go_on()
            yield
        finally:
            with self._breaking:
                self._waits_with = None

    def _go_on(self) -> None:
        if self._stopped():
            raise StopError

    # -- talking

    def _say(self, text: str) -> None:
        if self._waits_with is not None:
            self._go_on()
        self._listener.activity(self._prefix + text)

    def _changed(self) -> None:
        self._listener.changed(self._id)
