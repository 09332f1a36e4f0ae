"""The search of one task: one of AutoTVM's own tuners, asked for configurations instead of being let loop."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from typing import Any

import numpy as np
from tvm.autotvm import tuner as tuners
from tvm.autotvm.tuner import xgboost_cost_model

from workers.engines.autotvm.classic import autotvm, tvm
from workers.engines.autotvm.targets import parse_target
from workers.engines.autotvm.tasks import candidate_of, config_of, fallback_of, make_task, result_of
from workers.engines.autotvm.traits import FEATURES, PLAN_SIZE, TRAITS
from workers.messages import Candidate, Record, SearchOptions, TrialState, Workload

__all__ = ["AutoTVMSearch", "AutoTVMSearches"]

# AutoTVM's own is 500; a model of a few hundred records of the same template is a start all the same.
_LEAST_HISTORY = 64
# As AutoTVM's cost model takes the features of records that are not its task's own.
_EXTRACTED = {
    "itervar": xgboost_cost_model._extract_itervar_feature_log,
    "knob": xgboost_cost_model._extract_knob_feature_log,
    "curve": xgboost_cost_model._extract_curve_feature_log,
}
# Configurations a tuner may offer in a row that are known already.
_KNOWN_IN_A_ROW = 2000


class AutoTVMSearch:
    """See :class:`workers.enginekit.roles.TaskSearch`."""

    def __init__(self, workload: Workload, target: tvm.target.Target, options: SearchOptions) -> None:
        seed = int(hashlib.sha256(f"{options.seed}:{workload.hash}".encode()).hexdigest()[:8], 16)
        # Its tuners and spaces draw from both.
        np.random.seed(seed)
        random.seed(seed)
        # For the features of candidates to be those of what is built.
        autotvm.GLOBAL_SCOPE.in_tuning = True
        self._target = target
        self._task = make_task(workload, target)
        self._tuner = _tuner(self._task, options)
        # Tried before all others: what a build has without records is what they have to beat, and its layouts
        # are those that neighbours share.
        self._first = fallback_of(self._task)
        self._tried = set(options.exclude)  # stored before, proposed, or learned
        self._results: dict[str, Record] = {}
        self._under_way: set[str] = set()
        # What the tuner offered, in its order, and how far it was told the results: the genetic tuner takes
        # them for its genes, one after the other.
        self._offered: list[tuple[str, Any]] = []
        self._offered_keys: set[str] = set()
        self._told = 0

    def transfer(self, records: tuple[tuple[Workload, Record], ...]) -> None:
        """Start the cost model from records of other workloads of the same template.

        Of those whose schedule has as many features as this one's. One template may have several: that of
        convolutions has fewer loops where the kernel is 1x1, and a model of these alone refuses all others.
        """
        if not isinstance(self._tuner, tuners.XGBTuner):
            return
        own = self._features(self._input(self._task, self._task.config_space.get(self._some_index())))
        # By workload; None for those that are not alike.
        tasks: dict[str, Any] = {}
        pairs = []
        for workload, record in records:
            config = config_of(record.candidate)
            if workload.hash not in tasks:
                task = make_task(workload, self._target)
                tasks[workload.hash] = task if self._features(self._input(task, config)) == own else None
            if tasks[workload.hash] is not None:
                pairs.append((self._input(tasks[workload.hash], config), result_of(record)))
        self._tuner.load_history(pairs, min_seed_records=_LEAST_HISTORY)
        # It sets this to False at its end.
        autotvm.GLOBAL_SCOPE.in_tuning = True

    def lend(self, records: tuple[tuple[Workload, Record], ...]) -> None:
        """Do nothing: the places of a template's configurations mean other tiles on other sizes."""
        del records

    def propose(self, count: int, cost_model: bytes | None) -> tuple[Candidate, ...]:
        """Return up to `count` candidates that were not tried before; none where the space is used up."""
        del cost_model  # the tuner trains its own
        fresh: dict[str, Candidate] = {}
        if self._first is not None:
            first, self._first = candidate_of(self._first), None
            if first.hash not in self._tried:
                self._tried.add(first.hash)
                self._under_way.add(first.hash)
                fresh[first.hash] = first
        known_in_a_row = 0
        while (
            len(fresh) < count
            and known_in_a_row < _KNOWN_IN_A_ROW
            and self._tuner.has_next()
            and not self._waits()
        ):
            configs = self._tuner.next_batch(1)
            if not configs:
                break
            candidate = candidate_of(configs[0])
            self._offered.append((candidate.hash, configs[0]))
            self._offered_keys.add(candidate.hash)
            if candidate.hash in self._tried:
                known_in_a_row += 1
                # With this it may have what it waits for to go on.
                self._tell()
            else:
                known_in_a_row = 0
                self._tried.add(candidate.hash)
                self._under_way.add(candidate.hash)
                fresh[candidate.hash] = candidate
        if not fresh and known_in_a_row:
            fresh = self._next_of_the_space(count)
        return tuple(fresh.values())

    def learn(self, records: tuple[Record, ...]) -> bytes:
        """Tell the tuner the results; it trains its own cost model when it has enough of them."""
        for record in records:
            key = record.candidate.hash
            self._tried.add(key)
            self._results[key] = record
            self._under_way.discard(key)
            # The genetic tuner takes the results of its genes alone.
            if key not in self._offered_keys and not isinstance(self._tuner, tuners.GATuner):
                # The fallback, or one of an earlier campaign, or of a log.
                config = self._in_this_space(record.candidate)
                if config is not None:
                    self._update(config, record)
        self._tell()
        return b""

    def _tell(self) -> None:
        """Tell the tuner what is known of what it offered, up to the first that is still under way."""
        while self._told < len(self._offered) and self._offered[self._told][0] not in self._under_way:
            key, config = self._offered[self._told]
            self._told += 1
            record = self._results.get(key)
            if record is None and isinstance(self._tuner, tuners.GATuner):
                # It needs a score for each gene: one that was tried without a record that reached this search
                # counts as a failure. A cost model is not to learn that.
                record = Record(Candidate(key, ""), (), TrialState.RUN_ERROR)
            if record is not None:
                self._update(config, record)

    def _next_of_the_space(self, count: int) -> dict[str, Candidate]:
        """Take untried candidates from anywhere: a population may be too uniform to find the rest."""
        space = self._task.config_space
        start = random.randrange(space.range_length)
        fresh: dict[str, Candidate] = {}
        around = itertools.chain(range(start, space.range_length), range(start))
        for index in around:
            if len(fresh) == count:
                break
            if space.is_index_valid(index):
                candidate = candidate_of(space.get(index))
                if candidate.hash not in self._tried:
                    self._tried.add(candidate.hash)
                    self._under_way.add(candidate.hash)
                    fresh[candidate.hash] = candidate
        return fresh

    def _waits(self) -> bool:
        """Say whether the tuner has nothing new before it knows the results of what it offered.

        The genetic tuner offers its generation again then, and takes the results for those of the next one.
        """
        return isinstance(self._tuner, tuners.GATuner) and self._tuner.trial_pt >= len(self._tuner.genes)

    def _update(self, config: Any, record: Record) -> None:
        self._tuner.update([self._input(self._task, config)], [result_of(record)])

    def _input(self, task: Any, config: Any) -> Any:
        return autotvm.MeasureInput(self._target, task, config)

    def _features(self, given: Any) -> int:
        """Return how many features the cost model has of a configuration; 0 where it can't be built."""
        extract = _EXTRACTED[self._tuner.cost_model.fea_type]
        try:
            features, _ = extract((given, result_of(Record(Candidate("", ""), (), TrialState.RUN_ERROR))))
        except Exception:  # templates raise what they like
            return 0
        return len(features)

    def _some_index(self) -> int:
        space = self._task.config_space
        return next(index for index in range(space.range_length) if space.is_index_valid(index))

    def _in_this_space(self, candidate: Candidate) -> Any:
        """Return a stored candidate's configuration as this space has it; None where it has none such."""
        described = json.loads(candidate.trace)
        index, space = described["index"], self._task.config_space
        if isinstance(index, int) and 0 <= index < space.range_length and space.is_index_valid(index):
            config = space.get(index)
            if candidate_of(config).hash == candidate.hash:
                return config
        return None


def _tuner(task: Any, options: SearchOptions) -> Any:
    settings = TRAITS.settings_of(options)
    name = str(settings["tuner"])
    # 0 is what earlier releases stored for the engine's own.
    plan_size = int(settings["plan_size"]) or PLAN_SIZE
    if name in FEATURES:
        return tuners.XGBTuner(
            task,
            plan_size=plan_size,
            feature_type=FEATURES[name],
            loss_type=str(settings["loss"]),
            num_threads=1,
            log_interval=0,
        )
    if name == "ga":
        # Two parents at least, and no more survivors than there are.
        population = max(2, plan_size)
        return tuners.GATuner(task, pop_size=population, elite_num=min(3, population))
    return {"random": tuners.RandomTuner, "gridsearch": tuners.GridSearchTuner}[name](task)


class AutoTVMSearches:
    """See :class:`workers.enginekit.roles.Search`."""

    def open_search(self, workload: Workload, target: str, options: SearchOptions) -> AutoTVMSearch:
        """Open the search of one workload."""
        return AutoTVMSearch(workload, parse_target(target), options)

    def train(self, samples: tuple[bytes, ...], threads: int) -> bytes:
        """Do nothing: each tuner trains its own cost model, and gives no samples."""
        del samples, threads
        return b""
