"""The stages of a campaign: it is planned, tuned, and its models are compared."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.builds.agreement import require_agreement
from orchestrator.builds.bench import BenchReport, verify
from orchestrator.campaigns.planning.plan import CampaignPlan, make_plan
from orchestrator.campaigns.running.leases import this_owner
from orchestrator.campaigns.running.stopping import StopError, Stopping
from orchestrator.campaigns.scheduling.staffing import Staffing, TuningRequest
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.devices.address import tracker_address
from orchestrator.devices.boards import refuse_wrong_targets, wait_for_board
from orchestrator.devices.targets import resolve_boards, resolve_targets
from orchestrator.errors import EngineError, TargetError, UsageError
from orchestrator.fleet.options import FleetOptions
from orchestrator.fleet.port import DevicesWanted
from orchestrator.models.extraction import ExtractedModel
from orchestrator.storage import NewTask, Storage, TaskState
from orchestrator.toolbox import Toolbox
from workers.messages import CompiledModel, DeviceInfo, RecordChoice

__all__ = ["Stages"]

# An untuned library that is compiled before the first trial is kept for the comparison after the last, unless
# its weights would take that memory from the searches meanwhile.
_KEPT_BYTES = 128 * 2**20


class Stages:
    """What one run of a campaign goes through, with what it has found out so far.

    Parameters
    ----------
    say, changed
        Told what is going on, and that the store has news.

    Attributes
    ----------
    measured, measured_again : int
        Trials that this run stored, and those of the best that it measured again.
    uncompared : list of str
        Models that could not be compared, and why.
    """

    def __init__(
        self,
        store: Storage,
        campaign_id: int,
        spec: CampaignSpec,
        tools: Toolbox,
        staffing: Staffing,
        options: FleetOptions,
        stopping: Stopping,
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._store, self._id, self._spec, self._tools = store, campaign_id, spec, tools
        self._staffing, self._options, self._stopping = staffing, options, stopping
        self._say, self._changed = say, changed
        self._boards: dict[str, DeviceInfo] = {}
        self._untuned: dict[tuple[int, str], CompiledModel] = {}
        self.measured = self.measured_again = 0
        self.uncompared: list[str] = []

    # -- planned

    def plan(self) -> CampaignPlan:
        """Find out what is to be measured on what, and store that."""
        store = self._store
        plan = make_plan(store, self._tools, self._spec, self._say, self._find_devices())
        for model in plan.models:
            store.campaigns.set_model(self._id, self._spec.models.index(model.request), model.id)
        store.tasks.put(
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
        self._close_satisfied(plan)
        self._changed()
        return plan

    def _find_devices(self) -> tuple[DeviceInfo, ...]:
        """Find out on what is measured: boards, this machine, or what nodes of the cluster have."""
        tools = self._tools
        self._say("looking for the target")
        self._boards = resolve_boards(tools, self._spec.boards)
        if self._boards:
            # What is wrong with it, or with a target, is said before anything is planned.
            refuse_wrong_targets(tools, self._boards, tracker_address(self._options.tracker), self._say)
            return tuple(self._boards.values())
        devices = resolve_targets(tools, self._spec.targets)
        unfit = [device for device in devices if device.unfit]
        if not unfit:
            return devices
        if self._options.ray_address is None:
            raise TargetError(f"target {unfit[0].target} can't be measured here: {unfit[0].unfit}")
        targets = tuple(device.target for device in unfit)
        stopping = self._stopping
        found = self._staffing.find(self._spec.engine, targets, self._say, lambda: stopping.stopped)
        if stopping.stopped:
            raise StopError
        for device in unfit:
            if device.target not in found:
                raise TargetError(
                    f"target {device.target} can't be measured here, for {device.unfit}, nor on any node of "
                    "the cluster"
                )
        return tuple(found.get(device.target, device) for device in devices)

    def _close_satisfied(self, plan: CampaignPlan) -> None:
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

    # -- checked

    def check(self, plan: CampaignPlan) -> None:
        """Hold each model, compiled without records, against onnxruntime before anything is spent on it.

        Left out where this machine doesn't have the device, and where the store has a comparison of the model
        already.

        Raises
        ------
        DisagreementError
            TVM computes something else than the model.
        """
        for model in plan.models:
            device, tools = model.device, self._tools
            compared = self._store.verifications.latest(model.id, device.device_class)
            if device.unfit or device.kind != "cpu" or self._boards or compared is not None:
                continue
            self._stopping.go_on()
            self._say(f"compiling {model.prepared.name} untuned, to see that it is right")
            untuned = tools.compile(model.prepared, device.target, RecordChoice("untuned")).result()
            require_agreement(
                tools, model.prepared, device.target, untuned, threads=device.cores, say=self._say
            )
            if len(untuned.library) <= _KEPT_BYTES:
                self._untuned[model.id, device.device_class] = untuned

    # -- tuned

    def tune(self, plan: CampaignPlan, active_s: float, priority: Callable[[], int]) -> None:
        """Have it tuned on the fleet until it has its trials, its time is over, or it is to stop.

        Parameters
        ----------
        active_s : float
            Seconds of its time that it has had.
        """
        spec, tools, stopping = self._spec, self._tools, self._stopping
        tuning = Tuning(
            self._store,
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
        wanted = DevicesWanted(plan.devices)
        if self._boards:
            wanted = DevicesWanted((), self._boards, tracker_address(self._options.tracker))
        request = TuningRequest(
            spec.engine,
            tuning,
            wanted,
            lambda: stopping.stopped or (deadline is not None and time.monotonic() >= deadline),
            priority,
        )
        try:
            self._staffing.tune(request)
        finally:
            self.measured = tuning.recorded
            self.measured_again = len(tuning.measured_again)

    # -- compared

    def verify(self, plan: CampaignPlan) -> list[BenchReport]:
        """Compare each model, built with what was found, with what it was before and with onnxruntime."""
        reports = []
        for model in plan.models:
            if model.device.kind != "cpu" and not self._boards:
                continue
            try:
                reports.append(self._compare(model))
            except (EngineError, UsageError) as error:
                # Where it is done on this machine, a failure is the campaign's; a board may just have gone.
                if not model.device.unfit:
                    raise
                why = str(error).splitlines()[0]
                self.uncompared.append(f"{model.prepared.name} on {model.device.model}: {why}")
        return reports

    def _compare(self, model: ExtractedModel) -> BenchReport:
        device, endpoint = model.device, None
        if device.model in self._boards:
            tracker = tracker_address(self._options.tracker)
            endpoint = wait_for_board(self._tools, device.model, tracker, device.kind, self._say)
        return verify(
            self._store,
            self._tools,
            model,
            campaign_id=self._id,
            remember=not self.measured,
            weigh_layouts=self._spec.layout_tuning == "auto",
            endpoint=endpoint,
            untuned=self._untuned.get((model.id, device.device_class)),
            say=self._say,
            quiet=lambda: self._staffing.cores.alone(self._tools, self._stopping.go_on),
        )
