"""Campaigns' work as calls of actors, and the actors' answers as completions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray

from orchestrator.errors import EngineLostError
from orchestrator.fleet.completions import (
    CandidateBuilt,
    CandidateMeasured,
    CandidatesProposed,
    Completion,
    DeviceChecked,
    ModelTrained,
    ResultsLearned,
    SearchOpened,
    WorkFailed,
)
from orchestrator.fleet.device import DeviceState
from orchestrator.fleet.ray.actors import plain_error
from orchestrator.fleet.ray.node import Node, own_device
from orchestrator.fleet.ray.nodes import Nodes
from orchestrator.fleet.ray.pending import Ref, UnderWay, WorkUnderWay
from orchestrator.fleet.work import (
    ArtifactHandle,
    BuildWork,
    CheckWork,
    DeviceWork,
    LearnWork,
    MeasureWork,
    OpenWork,
    ProposeWork,
    TrainWork,
    Work,
)
from workers.messages import Artifact, CheckedDevice, Measurement, TrialState

__all__ = ["Desk", "RayArtifact"]


@dataclass(frozen=True)
class RayArtifact(ArtifactHandle):
    """An artifact in Ray's object store."""

    ref: Ref


class Desk:
    """Where work is given to nodes, and taken back when it ended.

    A search stays on the node where it was opened, and is lost with that node.
    """

    def __init__(self, nodes: Nodes, under_way: UnderWay) -> None:
        self._nodes, self._under_way = nodes, under_way
        self._sessions: dict[str, Node] = {}
        self._dropped: list[Completion] = []

    # -- giving out

    def submit(self, work: Work, gateway: Node | None) -> None:
        """Begin a piece of work; boards are measured from the gateway."""
        match work:
            case OpenWork():
                node = self._sessions[work.session] = self._nodes.idlest()
                given = (work.session, work.workload, work.target, work.options, work.history, work.related)
                self._compute(work, node, node.search.open.remote(*given, work.timeout_s))
            case ProposeWork() | LearnWork():
                self._search(work)
            case TrainWork():
                node = self._nodes.idlest()
                self._compute(work, node, node.search.train.remote(work.samples, work.timeout_s))
            case BuildWork():
                node = self._nodes.idlest()
                call = node.build.build.options(num_returns=2).remote
                result, artifact = call(
                    work.workload, work.target, work.candidate, work.timeout_s, work.checked
                )
                self._compute(work, node, result, artifact)
            case MeasureWork() | CheckWork():
                self._measure(work, gateway)

    def close(self, session: str) -> None:
        """End a search."""
        node = self._sessions.pop(session, None)
        if node is not None:
            node.search.close.remote(session)

    def _measure(self, work: DeviceWork, gateway: Node | None) -> None:
        device = own_device(work.device)
        node = device.node or gateway
        assert node is not None, "a device without a node to measure it from"
        device.busy = True
        artifact: Ref | Artifact
        if isinstance(work.artifact, ArtifactHandle):
            assert isinstance(work.artifact, RayArtifact), "an artifact of another fleet"
            artifact = work.artifact.ref
        else:
            artifact = work.artifact
        actor = device.actor or node.measure
        if isinstance(work, CheckWork):
            ref = actor.check.remote(artifact, device.station, work.evaluator)
        else:
            ref = actor.measure.remote(artifact, device.station, work.evaluator, work.best_known_s)
        self._under_way.add(ref, WorkUnderWay(work, node, device))

    def _compute(self, work: Work, node: Node, ref: Any, artifact: Any = None) -> None:
        node.busy += 1
        self._under_way.add(ref, WorkUnderWay(work, node, artifact=artifact))

    def _search(self, work: ProposeWork | LearnWork) -> None:
        """Call the actor of an open search; where its node is gone, so is the work."""
        node = self._sessions.get(work.session)
        if node is None:
            lost = EngineLostError("the node of this search is gone")
            self._dropped.append(WorkFailed(work, lost, lost=True, moved=True))
        elif isinstance(work, ProposeWork):
            given = (work.session, work.count, work.cost_model, work.timeout_s, work.lent)
            self._compute(work, node, node.search.propose.remote(*given))
        else:
            self._compute(work, node, node.search.learn.remote(work.session, work.records, work.timeout_s))

    # -- taking back

    def take_dropped(self) -> list[Completion]:
        """Take the completions of work that came to nothing where nobody was waited for."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def lose(self, node: Node, under_way: list[WorkUnderWay]) -> None:
        """Give up what a node had under way, and its searches: another is to be given it."""
        lost = EngineLostError(f"node {node.host} is gone")
        for pending in under_way:
            if pending.device is not None:
                pending.device.busy = False
            self._dropped.append(WorkFailed(pending.work, lost, lost=True, moved=True))
        self._sessions = {name: at for name, at in self._sessions.items() if at is not node}

    def completion(self, ref: Ref, pending: WorkUnderWay) -> Completion:
        """Return what came of a piece of work that has ended, and note what that says of its device."""
        device = pending.device
        if device is None:
            pending.node.busy -= 1
        else:
            device.busy = False
        try:
            value = ray.get(ref)
        except Exception as error:  # Ray's, or what the worker raised
            return _failure(pending, error)
        if device is not None:
            told = value.measurement if isinstance(value, CheckedDevice) else value
            if isinstance(told, Measurement) and told.state is not TrialState.DEVICE_LOST:
                device.losses = 0
                # What is no candidate is no trial.
                device.measured += told is value
        return _completed(pending, value)


def _completed(pending: WorkUnderWay, value: Any) -> Completion:
    """Return the completion of work whose actor returned a value, of the type that its method says."""
    match pending.work:
        case OpenWork() as work:
            return SearchOpened(work, value, pending.node.host)
        case ProposeWork() as work:
            return CandidatesProposed(work, value, pending.node.host)
        case LearnWork() as work:
            return ResultsLearned(work, value, pending.node.host)
        case TrainWork() as work:
            return ModelTrained(work, value, pending.node.host)
        case BuildWork() as work:
            assert pending.artifact is not None, "a build has two results"
            return CandidateBuilt(work, value, RayArtifact(pending.artifact))
        case MeasureWork() as work:
            return CandidateMeasured(work, value)
        case CheckWork() as work:
            return DeviceChecked(work, value)


def _failure(pending: WorkUnderWay, error: Exception) -> WorkFailed:
    device = pending.device
    known = plain_error(error, f"a worker on {pending.node.host}")
    lost = isinstance(known, EngineLostError)
    if device is None and isinstance(error, ray.exceptions.RayActorError):
        # A dead actor fails at once, and would be the idlest of all.
        pending.node.silent |= {"search", "build"}
    # What was to be measured may have gone with the node that built it: that is not the device's.
    if device is not None and lost and not isinstance(error, ray.exceptions.ObjectLostError):
        device.last_error = str(known)
        if device.node is not None and device.state is DeviceState.READY:
            device.state = DeviceState.LOST  # until its actor answers again
    # Of Ray's errors this one alone comes from the worker's own code.
    moved = lost and not isinstance(error, ray.exceptions.RayTaskError)
    return WorkFailed(pending.work, known, lost=lost, moved=moved)
