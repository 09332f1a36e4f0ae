"""What the machine of a campaign wants done, as work for a fleet: with all that the work takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.actions import Build, Learn, Measure, OpenSearch, Propose
from orchestrator.campaigns.tuning.cost_model import CostModel
from orchestrator.campaigns.tuning.patience import Patience
from orchestrator.campaigns.tuning.subjects import Subject
from orchestrator.fleet.port import Device
from orchestrator.fleet.work import (
    ArtifactHandle,
    BuildWork,
    CoreWork,
    LearnWork,
    MeasureWork,
    OpenWork,
    ProposeWork,
)
from orchestrator.storage import Storage
from workers.messages import Record, Workload

__all__ = ["CHECKED_BUILDS", "HISTORY", "RELATED", "Assignments"]

#: Records a search is seeded with, the fastest first.
HISTORY = 128
#: Records of other workloads of the same kind, which a cost model may start from.
RELATED = 512
#: Rounds of a task that look at the schedules of other workloads, of which there are more each time.
LENDING_ROUNDS = 3
#: What a build compiles that brings along what its candidate is compared by: the candidate twice, and its
#: kernel without a schedule. Each has the time of a build.
CHECKED_BUILDS = 3
#: Repeats of each time that is taken again.
REMEASURED_REPEAT = 3


class Assignments:
    """Work of one campaign.

    Parameters
    ----------
    name : str
        Of all its searches; no other campaign that is tuned has the same.
    transfers, lends
        See :class:`~orchestrator.campaigns.tuning.tuner.Tuning`.
    """

    def __init__(
        self,
        name: str,
        store: Storage,
        spec: CampaignSpec,
        subjects: Mapping[int, Subject],
        model: CostModel,
        patience: Patience,
        say: Callable[[str], None],
        *,
        transfers: bool,
        lends: int,
    ) -> None:
        self._name, self._store, self._spec, self._subjects = name, store, spec, subjects
        self._model, self._patience, self._say = model, patience, say
        self._transfers, self._lends = transfers, lends

    def session(self, task: int) -> str:
        """Name a task's search. Opened anew it has another name: the end of the old one may come late."""
        return f"{self._name}-{task}-{self._subjects[task].opened}"

    def for_core(self, action: OpenSearch | Propose | Learn | Build) -> CoreWork:
        """Return what a core is to do for an action."""
        subject, limit = self._subjects[action.task], self._spec.search_timeout_s
        match action:
            case OpenSearch():
                return self._opening(action.task, subject)
            case Propose():
                return self._proposing(action, subject)
            case Learn():
                return LearnWork(self.session(action.task), action.records, limit)
            case Build():
                target, limit = subject.device.target, self._spec.build_timeout_s
                checked = self._spec.verify_candidates
                limit *= CHECKED_BUILDS if checked else 1
                return BuildWork(subject.workload, target, action.candidate, limit, checked)

    def for_device(
        self, action: Measure, artifact: ArtifactHandle, device: Device, slowdown: float
    ) -> MeasureWork:
        """Return what a device is to do for a measurement.

        Parameters
        ----------
        slowdown : float
            How many times as long everything takes there as when the best known was measured.
        """
        self._say(f"measuring {self._subjects[action.task].workload.name}")
        in_full = self._spec.full_timing or math.isinf(action.best_known_s)
        evaluator = self._spec.evaluator
        if action.remeasured:
            evaluator = replace(evaluator, repeat=max(REMEASURED_REPEAT, evaluator.repeat))
        return MeasureWork(artifact, device, evaluator, None if in_full else slowdown * action.best_known_s)

    def _opening(self, task: int, subject: Subject) -> OpenWork:
        self._say(f"opening the search of {subject.workload.name}")
        subject.opened += 1
        pair, store, ask = subject.pair, self._store, self._patience.ask
        options = replace(
            self._spec.search,
            seed=self._spec.seed,
            exclude=frozenset(ask(lambda: store.trials.known_candidates(*pair))),
            device_class=subject.device.device_class,
        )
        history = tuple(ask(lambda: store.seeds.fastest(*pair, limit=HISTORY)))
        related: tuple[tuple[Workload, Record], ...] = ()
        if self._transfers:
            related = tuple(ask(lambda: store.seeds.latest_related(*pair, limit=RELATED)))
        subject.model_seen = 0
        target, limit = subject.device.target, self._spec.search_timeout_s
        return OpenWork(self.session(task), subject.workload, target, options, history, related, limit)

    def _proposing(self, action: Propose, subject: Subject) -> ProposeWork:
        self._say(f"searching {subject.workload.name}")
        news = self._model.news_for(subject)
        lent: tuple[tuple[Workload, Record], ...] = ()
        if subject.lent < LENDING_ROUNDS and self._lends:
            subject.lent += 1
            lent = tuple(
                self._patience.ask(lambda: self._store.seeds.fastest_related(*subject.pair, self._lends))
            )
        limit = self._spec.search_timeout_s
        return ProposeWork(self.session(action.task), action.count, news, limit, lent)
