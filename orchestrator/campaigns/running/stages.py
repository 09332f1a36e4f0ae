"""The stages of a campaign: it is planned, tuned, and its models are compared."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

from orchestrator.builds.bench import BenchReport, verify
from orchestrator.builds.costs import BUILD_FACTOR, UNKNOWN_SECONDS, Costs, closing_seconds
from orchestrator.builds.coverage import coverage_of
from orchestrator.builds.untuned import earlier_untuned, untuned_of
from orchestrator.campaigns.planning.plan import CampaignPlan, make_plan
from orchestrator.campaigns.planning.tryouts import Key, Tryout
from orchestrator.campaigns.running.check import Checked, check_model
from orchestrator.campaigns.running.clock import SLACK_SECONDS, CampaignClock
from orchestrator.campaigns.running.leases import this_owner
from orchestrator.campaigns.running.stopping import StopError, Stopping
from orchestrator.campaigns.scheduling.staffing import Staffing, TuningRequest
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.decisions import follow
from orchestrator.campaigns.tuning.progress import MoreTime
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.devices.address import tracker_address
from orchestrator.devices.boards import refuse_wrong_targets, wait_for_board
from orchestrator.devices.targets import resolve_boards, resolve_targets
from orchestrator.errors import EngineError, EngineTimeoutError, TargetError, UsageError
from orchestrator.fleet.options import FleetOptions
from orchestrator.fleet.port import DevicesWanted
from orchestrator.models.extraction import ExtractedModel
from orchestrator.storage import NewBeginning, NewTask, Storage, TaskState
from orchestrator.toolbox import Toolbox
from workers.messages import Candidate, DeviceInfo, Workload

__all__ = ["Stages"]


class Stages:
    """What one run of a campaign goes through, with what it has found out so far.

    Parameters
    ----------
    say, changed
        Told what is going on, and that the store has news.

    Attributes
    ----------
    measured, measured_again, revalidated : int
        Trials that this run stored, those of the best that it measured again, and those of another toolchain
        that it measured with its own.
    uncompared : list of str
        Models that could not be compared, and why.
    remarks : list of str
        What else was left out, or will be late.
    more_time : MoreTime or None
        What as much time again would bring, where that can be told.
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
        clock: CampaignClock,
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._store, self._id, self._spec, self._tools = store, campaign_id, spec, tools
        self._staffing, self._options, self._stopping = staffing, options, stopping
        self._clock, self._say, self._changed = clock, say, changed
        self._boards: dict[str, DeviceInfo] = {}
        self._checked: dict[Key, Checked] = {}
        self._checked_in: dict[Key, str] = {}
        self._references_s: dict[Key, float | None] = {}
        self._tuning: Tuning | None = None
        self._tuning_begun: float | None = None
        self._late = ""
        self.measured = self.measured_again = self.revalidated = 0
        self.uncompared: list[str] = []
        self.remarks: list[str] = []
        self.more_time: MoreTime | None = None

    # -- planned

    def plan(self) -> CampaignPlan:
        """Find out what is to be measured on what, and store that."""
        store = self._store
        try:
            with self._tools.no_later_than(self._clock.limit_at):
                plan = make_plan(store, self._tools, self._spec, self._say, self._find_devices(), self._id)
        except EngineTimeoutError as error:
            if self._clock.now() < self._clock.limit_at:
                raise
            raise EngineTimeoutError(
                f"importing took all of --time and {SLACK_SECONDS:.0f} s more ({error}); give it more"
            ) from None
        for device in plan.devices:
            store.toolchains.adopt(device.device_class, self._tools.toolchain_of(device))
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
        follow(store, self._id, this_owner(), self._spec, plan)
        self._close_satisfied(plan)
        self.remarks += plan.remarks
        for remark in plan.remarks:
            self._say(remark)
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

    # -- staffed

    @contextlib.contextmanager
    def staffed(self, plan: CampaignPlan, priority: Callable[[], int]) -> Iterator[TuningRequest]:
        """Have the fleet start while the models are checked."""
        stopping = self._stopping
        wanted = DevicesWanted(plan.devices)
        if self._boards:
            wanted = DevicesWanted((), self._boards, tracker_address(self._options.tracker))
        request = TuningRequest(
            self._spec.engine,
            wanted,
            lambda: stopping.stopped or self._clock.now() >= self._tuned_until(),
            priority,
            self._begin,
        )
        with self._staffing.ahead(request):
            yield request

    # -- checked

    def check(self, plan: CampaignPlan, request: TuningRequest) -> None:
        """Hold each model, compiled without records, against onnxruntime before anything is spent on it.

        Left out where this machine doesn't have the device, and where the store has a comparison of the model
        already.

        Raises
        ------
        DisagreementError
            TVM computes something else than the model.
        """
        for model in plan.models:
            device = model.device
            key = model.id, device.device_class
            self._checked_in[key] = model.prepared.layout
            compared = self._store.verifications.latest(*key)
            if device.unfit or device.kind != "cpu" or self._boards:
                continue
            if compared is not None:
                times = earlier_untuned(compared, untuned_of(model, self._tools.versions()))
                costs = Costs.of(compared.details.get("costs_s"))
                self._checked[key] = Checked(times=times, costs=costs)
                # What computes something else is no time of the model's.
                tuned_s = compared.tuned_s if compared.details.get("agree", True) else None
                self._begins(model, tuned_s, compared.reference_s)
                continue
            self._stopping.go_on()
            self._checked[key] = check_model(
                self._tools,
                model,
                limit_at=self._clock.limit_at,
                run_limit_s=self._clock.untuned_limit_s,
                settled=request.staffed.is_set,
                quiet=self._quiet,
                say=self._say,
                go_on=self._stopping.go_on,
            )
            if self._checked[key].remark:
                self.remarks.append(self._checked[key].remark)
            self._begins(model, self._checked[key].library_s, self._checked[key].reference_s)
            self._store.insides.put(*key, self._checked[key].insides)
        if self._clock.limited:
            self._say_what_is_left()

    def _begins(self, model: ExtractedModel, library_s: float | None, reference_s: float | None) -> None:
        """Keep where a model's curve begins, and what it is held against.

        The curve of some of its tasks is held against neither.
        """
        if self._spec.tasks is not None:
            return
        device_class = model.device.device_class
        self._references_s[model.id, device_class] = reference_s
        beginning = NewBeginning(model.id, device_class, library_s, reference_s)
        self._store.beginnings.put(self._id, beginning, owner=this_owner())

    def _until(self, plan: CampaignPlan) -> dict[Key, float]:
        """Return at which latency each model is fast enough, in seconds.

        Raises
        ------
        UsageError
            That is onnxruntime's, and it isn't known.
        """
        until = self._spec.until
        limits: dict[Key, float] = {}
        for model in plan.models:
            key = model.id, model.device.device_class
            limit = self._references_s.get(key) if until == "onnxruntime" else until
            if limit is not None:
                limits[key] = limit
            elif until is not None:
                raise UsageError(
                    f"--until onnxruntime: it wasn't timed with {model.prepared.name} on {key[1]}; give a "
                    "latency, such as --until 5ms"
                )
        return limits

    def _say_what_is_left(self) -> None:
        """Say beforehand where building alone will take longer than the time that was asked for."""
        clock = self._clock
        builds_s = sum(BUILD_FACTOR * costs.compile_s for costs in self._costs)
        late_s = clock.now() + builds_s - clock.limit_at
        if late_s > 0:
            self._late = (
                f"building the tuned library takes about {builds_s:.0f} s, as compiling it untuned did, so "
                f"that this ends about {late_s + SLACK_SECONDS:.0f} s after its time"
            )
            self._say(self._late)

    @property
    def _costs(self) -> list[Costs]:
        return [checked.costs for checked in self._checked.values() if checked.costs is not None]

    def _quiet(self) -> AbstractContextManager[None]:
        return self._staffing.cores.alone(self._tools, self._stopping.go_on)

    # -- tuned

    def tune(self, plan: CampaignPlan, request: TuningRequest) -> CampaignPlan:
        """Have it tuned on the fleet until it has its trials, its time is over, or it is to stop.

        Returns the plan with the layouts that were decided on.
        """
        spec, tools = self._spec, self._tools
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
            packed=tools.packed_samples,
            until=self._until(plan),
            known=self._known_kernels(plan),
        )
        self._tuning = tuning
        asked = self._clock.now()
        try:
            self._staffing.tune(request, tuning)
            return tuning.plan
        finally:
            begun = self._clock.now() if self._tuning_begun is None else self._tuning_begun
            self._clock.add("workers", begun - asked)
            self._clock.add("tuning", self._clock.now() - begun)
            self.measured = tuning.recorded
            self.measured_again = tuning.measured_again
            self.revalidated = tuning.revalidated
            self.remarks += tuning.remarks
            self.more_time = tuning.ending.more_time
            if tuning.ending.enough:
                self.remarks.append(tuning.ending.enough)
            if self._late and self.measured:
                self.remarks.append(self._late)
            self.remarks += [_undecided(tryout) for tryout in tuning.plan.undecided]
            if self._tuning_begun is None and not self._stopping.stopped:
                self.remarks.append(
                    "nothing was measured: importing, checking and starting took the time that was asked for"
                )

    def _known_kernels(self, plan: CampaignPlan) -> dict[str, tuple[Workload, Candidate]]:
        """Return by what devices are checked for drift, by their class."""
        known: dict[str, tuple[Workload, Candidate]] = {}
        for device in plan.devices:
            try:
                known[device.device_class] = self._tools.known_kernel(device.target)
            except EngineError as error:
                why = str(error).splitlines()[0]
                self.remarks.append(f"{device.device_class} is not checked for drift: {why}")
        return known

    def _begin(self) -> None:
        """Note that its tuning begins; called by the coordinator's first thread."""
        self._tuning_begun = self._clock.now()
        self._checked = {key: checked.light() for key, checked in self._checked.items()}
        assert self._tuning is not None
        until = self._tuned_until()
        self._tuning.ending.ends_at = None if math.isinf(until) else until

    def _tuned_until(self) -> float:
        """Say when tuning has to end, so that there is time for what follows."""
        clock, costs = self._clock, self._costs
        begins = clock.now() if self._tuning_begun is None else self._tuning_begun
        if not costs:
            return clock.tuned_until(begins, UNKNOWN_SECONDS, UNKNOWN_SECONDS)
        return clock.tuned_until(begins, closing_seconds(costs), closing_seconds(costs, turns=1))

    # -- compared

    def verify(self, plan: CampaignPlan) -> list[BenchReport]:
        """Compare each model, built with what was found, with what it was before and with onnxruntime."""
        reports: list[BenchReport] = []
        for number, model in enumerate(plan.models):
            try:
                if self._is_known_untuned(model):
                    continue
                reports.append(self._compare(model, len(plan.models) - number))
            except (EngineError, UsageError) as error:
                # Where it is done on this machine, a failure is the campaign's. A board may just have gone,
                # and where a time was asked for, there may be none left.
                late = self._clock.limited and isinstance(error, EngineTimeoutError)
                if not model.device.unfit and not late:
                    raise
                why = str(error).splitlines()[0]
                self.uncompared.append(f"{model.prepared.name} on {model.device.model}: {why}")
        return reports

    def _is_known_untuned(self, model: ExtractedModel) -> bool:
        """Say whether comparing would be running a dear library once more that the check has just run."""
        checked = self._checked.get((model.id, model.device.device_class), Checked())
        asked = self._clock.limited and (checked.times is not None or bool(checked.remark))
        if not asked or coverage_of(self._store, model).records:
            return False
        known = ""
        if checked.times is not None and checked.times.times_s:
            known = f"; untuned, a run took {checked.times.times_s[-1]:.3g} s"
        self.uncompared.append(
            f"{model.prepared.name} on {model.device.model}: nothing of it is tuned{known}"
        )
        return True

    def _compare(self, model: ExtractedModel, still: int) -> BenchReport:
        device, endpoint, clock = model.device, None, self._clock
        if device.model in self._boards:
            tracker = tracker_address(self._options.tracker)
            endpoint = wait_for_board(self._tools, device.model, tracker, device.kind, self._say)
        key = model.id, device.device_class
        checked = self._checked.get(key, Checked())
        times, layout = checked.times, self._checked_in.get(key, model.prepared.layout)
        if times is not None and layout != model.prepared.layout:
            times = replace(times, note=f"{times.note}; in the layout {layout}")
        began = clock.now()
        built: list[float] = []
        try:
            return verify(
                self._store,
                self._tools,
                model,
                campaign_id=self._id,
                remember=not (self.measured or self.revalidated),
                weigh_layouts=self._spec.layout_tuning == "auto",
                endpoint=endpoint,
                untuned=checked.compiled,
                untuned_times=times,
                costs=checked.costs,
                pace=lambda: clock.pace(still),
                built=lambda: built.append(clock.now()),
                say=self._say,
                quiet=self._quiet,
            )
        finally:
            end = built[-1] if built else clock.now()
            clock.add("building", end - began)
            clock.add("comparing", clock.now() - end)


def _undecided(tryout: Tryout) -> str:
    """Say what holds where a campaign ended before it was decided."""
    first, other = tryout.layouts
    return (
        f"{tryout.name}: it is not decided which of the layouts {first} and {other} is faster; "
        f"{first} holds, by its estimate"
    )
