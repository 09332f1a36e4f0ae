"""The coordinator: it takes a campaign from the store to its end; it alone writes what was measured."""

from __future__ import annotations

import contextlib
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
from orchestrator.campaigns.extraction import CampaignPlan, make_plan, resolve_boards, resolve_targets
from orchestrator.campaigns.spec import CampaignSpec, tracker_address
from orchestrator.campaigns.tuning import Tuning
from orchestrator.errors import (
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
    return _Run(store, campaign_id, fleet, listener).carry_out()


def coordinate(
    store: Storage,
    *,
    fleet: FleetOptions = FleetOptions(),
    listener: Listener | None = None,
    until_idle: bool = False,
) -> None:
    """Run submitted campaigns, oldest first, until interrupted.

    A campaign whose coordinator died is taken up again where the store says it stands.

    Parameters
    ----------
    until_idle : bool, optional
        Return when none is left.
    """
    listener = listener or _Nobody()
    idle = False
    while True:
        row = store.next_queued(_owner(), LEASE_SECONDS)
        if row is None:
            if until_idle:
                return
            if not idle:
                listener.activity("waiting for campaigns")
                idle = True
            time.sleep(_IDLE_SECONDS)
            continue
        idle = False
        listener.activity(f"campaign {row.id} ({row.name})")
        try:
            outcome = _Run(store, row.id, fleet, listener).carry_out()
        except LeaseLostError:
            continue
        except StorageError:
            raise
        except TunefleetError as error:
            # It is written in the campaign; the next one may fare better.
            listener.activity(f"campaign {row.id} ({row.name}) failed: {error}")
            continue
        if outcome.interrupted:
            # Paused for this process's sake, not a person's: the next coordinator goes on with it.
            store.request(row.id, CampaignRequest.RESUME)
            raise KeyboardInterrupt


class _StopError(Exception):
    """Raised in the main thread where it waits for something long."""


class _Run:
    """One run of one campaign by this process, which holds its lease."""

    def __init__(self, store: Storage, campaign_id: int, fleet: FleetOptions, listener: Listener) -> None:
        self._store, self._id, self._fleet, self._listener = store, campaign_id, fleet, listener
        self._request: CampaignRequest | None = None
        self._interrupted = False
        self._lease_lost = False
        self._in_long_wait = False
        self._over = threading.Event()
        # Held by who pokes the main thread, and by the main thread while it turns deaf to that.
        self._poking = threading.Lock()
        self._hears_pokes = False
        self._measured = 0
        self._boards: dict[str, DeviceInfo] = {}

    def carry_out(self) -> Outcome:
        store, me = self._store, _owner()
        row = store.get_campaign(self._id)
        spec = CampaignSpec.of(row.spec)
        plan: CampaignPlan | None = None
        missing = already = 0
        reports: list[BenchReport] = []
        heart = threading.Thread(target=self._heartbeat, daemon=True)
        try:
            with self._signals(), Toolbox(spec.engine) as tools:
                heart.start()
                with self._long_wait():
                    store.transition(self._id, CampaignState.EXTRACTING, owner=me)
                    self._changed()
                    plan = self._plan(tools, spec)
                missing, already = plan.missing, plan.stored
                if missing and not self._stopped():
                    store.transition(self._id, CampaignState.TUNING, owner=me)
                    self._changed()
                    self._tune(tools, spec, plan, store.get_campaign(self._id).active_s)
                if not self._stopped():
                    with self._long_wait():
                        store.transition(self._id, CampaignState.VERIFYING, owner=me)
                        self._changed()
                        reports = self._verify(tools, spec, plan, remember=not self._measured)
        except _StopError:
            pass
        except LeaseLostError:
            self._lease_lost = True
        except TunefleetError as error:
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
        return Outcome(row, tuple(reports), self._measured, already, missing, self._interrupted)

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
            tracker_address(self._fleet.tracker)  # what is wrong with it is said before anything is planned
            return tuple(self._boards.values())
        devices = resolve_targets(tools, spec.targets)
        unfit = [device for device in devices if device.unfit]
        if not unfit:
            return devices
        if self._fleet.ray_address is None:
            raise TargetError(f"target {unfit[0].target} can't be measured here: {unfit[0].unfit}")
        from orchestrator.fleet.ray_fleet import find_devices

        found = find_devices(
            spec.engine, self._fleet.ray_address, tuple(d.target for d in unfit), self._say, self._stopped
        )
        self._take_signals()
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
        # Imported here: what only reads the store never waits for Ray's import.
        from orchestrator.fleet.ray_fleet import RayFleet

        fleet = RayFleet(
            spec.engine,
            () if self._boards else plan.devices,
            self._fleet.ray_address,
            self._fleet.slots,
            boards=self._boards,
            tracker=tracker_address(self._fleet.tracker) if self._boards else None,
        )
        try:
            fleet.join(self._say)
            # A Ray that took SIGTERM for itself all the same would end this process where it stands.
            self._take_signals()
            if not fleet.start(self._say, self._stopped):
                return
            tuning = Tuning(
                self._store,
                fleet,
                self._id,
                _owner(),
                spec,
                plan,
                self._say,
                self._changed,
                transfers=tools.transfers(spec.search),
            )
            deadline = None if spec.time_s is None else time.monotonic() + spec.time_s - active_s
            try:
                tuning.run(lambda: self._stopped() or (deadline is not None and time.monotonic() >= deadline))
            finally:
                self._measured = tuning.recorded
        finally:
            self._say("stopping the workers")
            fleet.stop()

    def _verify(
        self, tools: Toolbox, spec: CampaignSpec, plan: CampaignPlan, *, remember: bool
    ) -> list[BenchReport]:
        reports = []
        for model in plan.models:
            if model.device.kind != "cpu" or model.device.unfit or self._boards:
                continue  # this machine can't run it
            reports.append(
                verify(
                    self._store,
                    tools,
                    model,
                    campaign_id=self._id,
                    remember=remember,
                    together=spec.layout_tuning == "auto",
                    say=self._say,
                )
            )
        return reports

    def _rest(self, me: str, missing: int, reports: list[BenchReport]) -> CampaignRow:
        if self._request is CampaignRequest.CANCEL:
            return self._store.transition(self._id, CampaignState.CANCELLED, owner=me)
        if self._request is CampaignRequest.PAUSE or self._interrupted:
            why = "interrupted" if self._interrupted else "paused on request"
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
        return self._store.transition(self._id, CampaignState.DONE, message=message, owner=me)

    # -- being stopped

    def _stopped(self) -> bool:
        return self._interrupted or self._lease_lost or self._request is not None

    def _heartbeat(self) -> None:
        """Renew the lease, hear requests, count the time: the main thread may wait for something long."""
        last = time.monotonic()
        while not self._over.wait(_HEARTBEAT_SECONDS):
            # A store that does not answer now may do so next time; the lease has room for some silence.
            with contextlib.suppress(StorageError):
                try:
                    self._store.renew_lease(self._id, _owner(), LEASE_SECONDS)
                    now = time.monotonic()
                    self._store.add_active_time(self._id, now - last)
                    last = now
                    request = self._store.take_request(self._id)
                except LeaseLostError:
                    self._lease_lost = True
                    request = None
                if request in (CampaignRequest.PAUSE, CampaignRequest.CANCEL):
                    self._request = request
                with self._poking:
                    if self._stopped() and self._in_long_wait and self._hears_pokes:
                        with contextlib.suppress(ValueError, OSError):
                            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        before = self._take_signals()
        self._hears_pokes = True
        try:
            yield
        finally:
            # A poke without its handler would end the process.
            with self._poking:
                self._hears_pokes = False
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take_signals(self) -> dict[int, Any]:
        """Have the signals that stop a campaign come here, and return who had them before."""

        def interrupt(number: int, _: Any) -> None:
            if number != signal.SIGUSR1:
                if self._interrupted:
                    raise KeyboardInterrupt  # a second Ctrl-C does not wait
                self._interrupted = True
                self._say("stopping; once more to stop at once")
            if self._in_long_wait:
                raise _StopError

        if threading.current_thread() is not threading.main_thread():
            return {}
        watched = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
        return {number: signal.signal(number, interrupt) for number in watched}

    @contextlib.contextmanager
    def _long_wait(self) -> Iterator[None]:
        """Mark what can be broken off anywhere without harm."""
        if self._stopped():
            raise _StopError
        self._in_long_wait = True
        try:
            yield
        finally:
            self._in_long_wait = False

    # -- talking

    def _say(self, text: str) -> None:
        self._listener.activity(text)

    def _changed(self) -> None:
        self._listener.changed(self._id)


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
            if _alive(int(pid)):
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


def _alive(pid: int) -> bool:
    try:
        # One that was killed and that nobody has waited for yet runs nothing any more.
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
