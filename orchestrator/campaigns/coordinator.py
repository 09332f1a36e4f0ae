"""The coordinator: it takes a campaign from the store to its end; it alone writes what was measured."""

from __future__ import annotations

import contextlib
import math
import os
import pathlib
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import psutil

from orchestrator.builds.bench import BenchReport, verify
from orchestrator.builds.boards import awaited, refuse_wrong_targets
from orchestrator.campaigns.extraction import (
    CampaignPlan,
    ExtractedModel,
    make_plan,
    resolve_boards,
    resolve_targets,
)
from orchestrator.campaigns.floor import Floor, Job
from orchestrator.campaigns.spec import CampaignSpec, tracker_address
from orchestrator.campaigns.tuning import Tuning
from orchestrator.errors import (
    EngineError,
    EngineLostError,
    LeaseLostError,
    NotFoundError,
    StorageError,
    TargetError,
    TunefleetError,
    UsageError,
)
from orchestrator.fleet import Toolbox
from orchestrator.storage import (
    BEGUN_STATES,
    CampaignRequest,
    CampaignRow,
    CampaignState,
    NewCampaignModel,
    NewTask,
    Storage,
    TaskState,
)
from workers.messages import DeviceInfo

__all__ = ["FleetOptions", "Listener", "Outcome", "coordinate", "follow", "submit"]

#: Seconds a coordinator may be silent before another may take its campaign.
LEASE_SECONDS = 20.0
_HEARTBEAT_SECONDS = 2.0
_IDLE_SECONDS = 1.0
#: Seconds for which a campaign of another engine waits before no more are begun ahead of it.
ENGINE_PATIENCE_SECONDS = 300.0
_WIND_UP_SECONDS = 10.0


@dataclass(frozen=True)
class FleetOptions:
    """Where a campaign runs.

    Attributes
    ----------
    ray_address : str or None
        Ray cluster to join; None starts one on this machine.
    slots : int or None
        Searches and builds at once; None means one a core.
    tracker : str or None
        ``HOST:PORT`` of the TVM RPC tracker where boards register.
    """

    ray_address: str | None = None
    slots: int | None = None
    tracker: str | None = None


class Listener(Protocol):
    """Who wants to know how it goes."""

    def activity(self, text: str) -> None:
        """Hear what is going on now, in one line."""

    def changed(self, campaign_id: int) -> None:
        """Hear that the store has news of a campaign."""


class _Nobody:
    def activity(self, text: str) -> None:
        pass

    def changed(self, campaign_id: int) -> None:
        pass


@dataclass(frozen=True)
class Outcome:
    """How a run of a campaign ended.

    Attributes
    ----------
    reports : tuple of BenchReport
        One for each model, where it was verified.
    measured : int
        Trials recorded by this run.
    already_stored : int
        Stored trials that counted toward the budget when it began.
    plan_missing : int
        Trials the plan asked for.
    interrupted : bool
        By Ctrl-C or SIGTERM: the campaign is paused.
    """

    campaign: CampaignRow
    reports: tuple[BenchReport, ...]
    measured: int
    already_stored: int
    plan_missing: int
    interrupted: bool


def submit(
    store: Storage, spec: CampaignSpec, *, name: str | None = None, hold: bool = False, priority: int = 0
) -> CampaignRow:
    """Store a campaign, to be run by whoever comes first.

    Parameters
    ----------
    priority : int, optional
        On a shared fleet, campaigns of a higher one come first.
    hold : bool, optional
        This process will run it: no coordinator takes it in the meantime.

    Raises
    ------
    UsageError
        Where a model file is not there, or the name is taken.
    """
    for request in spec.models:
        if not pathlib.Path(request.path).is_file():
            raise UsageError(f"there is no model file {request.path}")
    campaign_id = store.create_campaign(
        engine=spec.engine,
        spec=spec.model_dump(mode="json"),
        models=[NewCampaignModel(request.path, request.shapes) for request in spec.models],
        name=name,
        seed=spec.seed,
        priority=priority,
        owner=_owner() if hold else None,
        ttl_s=LEASE_SECONDS,
    )
    return store.get_campaign(campaign_id)


def follow(
    store: Storage,
    campaign_id: int,
    *,
    fleet: FleetOptions = FleetOptions(),
    listener: Listener | None = None,
) -> Outcome:
    """Run a campaign in this process until it is done, paused, cancelled or failed.

    Ctrl-C and SIGTERM pause it, within seconds.

    Raises
    ------
    UsageError
        Where a live coordinator has it, or it is over.
    TunefleetError
        What made it fail; its state says ``failed``.
    """
    listener = listener or _Nobody()
    _claim(store, campaign_id, listener)
    return _Coordinator(store, fleet, listener).follow(campaign_id)


def coordinate(
    store: Storage,
    *,
    fleet: FleetOptions = FleetOptions(),
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
    _Coordinator(store, fleet, listener or _Nobody(), several=True).coordinate(at_once, until_idle)


class _StopError(Exception):
    """Raised where a campaign that is to stop would wait for something long."""


class _Run:
    """One run of one campaign by this process, which holds its lease."""

    def __init__(
        self,
        store: Storage,
        row: CampaignRow,
        floor: Floor,
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
        store, me = self._store, _owner()
        plan: CampaignPlan | None = None
        missing = already = 0
        reports: list[BenchReport] = []
        heart = threading.Thread(target=self._heartbeat, daemon=True)
        try:
            spec = CampaignSpec.of(self.row.spec)
            with Toolbox(spec.engine) as tools, self._floor.beside(tools):
                heart.start()
                with self._long_wait(tools):
                    store.transition(self._id, CampaignState.EXTRACTING, owner=me)
                    self._changed()
                    plan = self._plan(tools, spec)
                missing, already = plan.missing, plan.stored
                if missing and not self._stopped():
                    store.transition(self._id, CampaignState.TUNING, owner=me)
                    self._changed()
                    self._tune(tools, spec, plan, store.get_campaign(self._id).active_s)
                self.may_tune = False
                if not self._stopped():
                    with self._long_wait(tools):
                        store.transition(self._id, CampaignState.VERIFYING, owner=me)
                        self._changed()
                        reports = self._verify(tools, spec, plan, remember=not self._measured)
        except _StopError:
            pass
        except LeaseLostError:
            self._lease_lost = True
        except TunefleetError as error:
            # What it waited for was ended to break the wait off.
            if not (self._broke_off and isinstance(error, EngineLostError)):
                self._over.set()
                with contextlib.suppress(StorageError):
                    store.transition(self._id, CampaignState.FAILED, message=str(error), owner=me)
                raise
        except BaseException:
            # A fault of this program, not of the campaign: it can be resumed.
            self._over.set()
            with contextlib.suppress(StorageError):
                store.transition(self._id, CampaignState.PAUSED, message="the coordinator stopped", owner=me)
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
            self._store.set_campaign_model(self._id, spec.models.index(model.request), model.id)
        self._store.set_tasks(
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
            owner=_owner(),
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
            raise _StopError
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
        for row in self._store.campaign_tasks(self._id):
            note = enough.get((row.workload_hash, row.device_class))
            if note is not None and row.state is TaskState.OPEN:
                self._store.update_task(row.id, state=TaskState.SATISFIED, note=note)

    def _tune(self, tools: Toolbox, spec: CampaignSpec, plan: CampaignPlan, active_s: float) -> None:
        tuning = Tuning(
            self._store,
            None,
            self._id,
            _owner(),
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
            endpoint = awaited(tools, device.model, tracker, device.kind, self._say)
        return verify(
            self._store,
            tools,
            model,
            campaign_id=self._id,
            remember=remember,
            together=spec.layout_tuning == "auto",
            endpoint=endpoint,
            say=self._say,
            quiet=lambda: self._floor.quiet(tools, self._go_on),
        )

    def _rest(self, me: str, missing: int, reports: list[BenchReport]) -> CampaignRow:
        if self._request is CampaignRequest.CANCEL:
            return self._store.transition(self._id, CampaignState.CANCELLED, owner=me)
        if self._request is CampaignRequest.PAUSE or self._interrupted:
            why = self._interrupted or "paused on request"
            return self._store.transition(self._id, CampaignState.PAUSED, message=why, owner=me)
        wrong = [report for report in reports if not report.outputs_agree]
        if wrong:
            names = "; ".join(f"{report.model}: {report.disagreement}" for report in wrong)
            return self._store.transition(
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
        return self._store.transition(self._id, CampaignState.DONE, message=message, owner=me)

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
                    self._store.renew_lease(self._id, _owner(), LEASE_SECONDS)
                    now = time.monotonic()
                    self._store.add_active_time(self._id, now - last)
                    last = now
                    self.priority = self._store.get_campaign(self._id).priority
                    request = self._store.take_request(self._id)
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
            raise _StopError

    # -- talking

    def _say(self, text: str) -> None:
        if self._waits_with is not None:
            self._go_on()
        self._listener.activity(self._prefix + text)

    def _changed(self) -> None:
        self._listener.changed(self._id)


class _Coordinator:
    """The campaigns that this process runs side by side."""

    def __init__(
        self, store: Storage, fleet: FleetOptions, listener: Listener, *, several: bool = False
    ) -> None:
        self._store, self._options, self._listener, self._several = store, fleet, listener, several
        self._runs: list[_Run] = []
        self._interrupted = False
        self._looked_at = -math.inf
        self._foreign: tuple[int, float] | None = None
        self._floor = Floor(
            store,
            fleet.ray_address,
            fleet.slots,
            halted=self._halt,
            say=listener.activity,
            joined=self._take_signals,
        )

    def follow(self, campaign_id: int) -> Outcome:
        """Run one campaign."""
        with self._signals():
            run = self._take_on(self._store.get_campaign(campaign_id))
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
        _bury_the_dead(self._store)
        with self._signals():
            try:
                while True:
                    self._reap()
                    more = not self._interrupted and self._take_more(at_once)
                    if self._runs:
                        idle = False
                        self._step()
                        continue
                    if self._interrupted:
                        raise KeyboardInterrupt
                    if more:
                        continue
                    if until_idle:
                        return
                    if not idle:
                        self._floor.close()
                        self._listener.activity("waiting for campaigns")
                        idle = True
                    time.sleep(_IDLE_SECONDS)
            finally:
                self._wind_up()

    # -- its campaigns

    def _take_on(self, row: CampaignRow) -> _Run:
        prefix = f"campaign {row.id}: " if self._several else ""
        run = _Run(self._store, row, self._floor, self._options, self._listener, prefix)
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
            first = self._store.peek_queued()
            if first is None or self._gives_way_to(first, engine, now):
                return None
            if len(self._runs) >= at_once:
                self._make_room(first)
                return None
        return self._store.next_queued(_owner(), LEASE_SECONDS, engine=engine)

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
        """Let go who is over; what is wrong with this program ends all of them."""
        for run in [run for run in self._runs if not run.alive]:
            self._runs.remove(run)
            error, name = run.error, f"campaign {run.row.id} ({run.row.name})"
            if run.to_go_on:
                self._store.request(run.row.id, CampaignRequest.RESUME)
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
        if self._floor.staffed and not any(run.may_tune for run in self._runs):
            self._floor.close()
        self._floor.step()

    def _wind_up(self) -> None:
        """End what is left, however it came to this."""
        for run in self._runs:
            if run.alive:
                run.interrupt("the coordinator stopped")
        self._floor.stop(_StopError())
        until = time.monotonic() + _WIND_UP_SECONDS
        for run in self._runs:
            run.join(max(0.0, until - time.monotonic()))

    # -- being stopped

    def _halt(self) -> bool:
        """Pass an interrupt on; say whether there was one."""
        if self._interrupted:
            for run in self._runs:
                run.interrupt()
        return self._interrupted

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        before = self._take_signals()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take_signals(self) -> dict[int, Any]:
        """Have the signals that stop campaigns come here, and return who had them before."""

        def interrupt(number: int, _: Any) -> None:
            if self._interrupted:
                raise KeyboardInterrupt  # a second Ctrl-C does not wait
            self._interrupted = True
            self._listener.activity("stopping; once more to stop at once")
            self._floor.wake()

        if threading.current_thread() is not threading.main_thread():
            return {}
        return {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}


_IDENTITY = uuid.uuid4().hex[:8]


def _owner() -> str:
    """Name this process as a lease holder; host and pid let another one here see whether it still lives."""
    return f"{socket.gethostname()}:{os.getpid()}:{_IDENTITY}"


def _claim(store: Storage, campaign_id: int, listener: Listener) -> None:
    """Take a campaign's lease, waiting out that of a holder which may be dead.

    Raises
    ------
    UsageError
        Where its holder lives.
    """
    me = _owner()
    until = time.monotonic() + LEASE_SECONDS + 5
    while not store.acquire_lease(campaign_id, me, LEASE_SECONDS):
        row = store.get_campaign(campaign_id)
        holder = row.lease_owner or ""
        host, _, rest = holder.partition(":")
        pid = rest.partition(":")[0]
        if host == socket.gethostname() and pid.isdigit():
            if not _dead(holder):
                raise UsageError(
                    f"campaign {campaign_id} is run by process {pid} on this machine; "
                    f"`tunefleet watch {campaign_id}` follows it, `tunefleet pause {campaign_id}` stops it"
                )
            if store.take_over_lease(campaign_id, me, holder, LEASE_SECONDS):
                return
        if time.monotonic() > until:
            raise UsageError(
                f"campaign {campaign_id} is run by a coordinator on {host}; "
                f"`tunefleet watch {campaign_id}` follows it"
            )
        listener.activity(f"waiting for the lease of {host}, which may be gone")
        time.sleep(1.0)
    row = store.get_campaign(campaign_id)
    if row.state in (CampaignState.DONE, CampaignState.CANCELLED):
        store.release_lease(campaign_id, me)
        raise UsageError(
            f"campaign {campaign_id} is {row.state.value}; `tunefleet show {campaign_id}` tells about it"
        )
    if row.state not in BEGUN_STATES | {CampaignState.QUEUED, CampaignState.PAUSED, CampaignState.FAILED}:
        raise NotFoundError(f"campaign {campaign_id} can't be run in state {row.state.value}")


def _bury_the_dead(store: Storage) -> None:
    """Give back the leases of processes of this machine that are gone: none has to run out."""
    for row in store.list_campaigns(states=[CampaignState.QUEUED, *BEGUN_STATES]):
        holder = row.lease_owner or ""
        if row.held and _dead(holder) and store.take_over_lease(row.id, _owner(), holder, LEASE_SECONDS):
            store.release_lease(row.id, _owner())


def _dead(holder: str) -> bool:
    """Say whether a lease's holder is known to be gone; of processes of other machines nobody knows."""
    host, _, rest = holder.partition(":")
    pid = rest.partition(":")[0]
    return host == socket.gethostname() and pid.isdigit() and not _alive(int(pid))


def _alive(pid: int) -> bool:
    try:
        # One that was killed and that nobody has waited for yet runs nothing any more.
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
