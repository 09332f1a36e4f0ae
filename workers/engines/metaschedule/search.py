"""The search of one task: MetaSchedule's evolutionary search, and the cost model it ranks with."""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from typing import Any

import numpy as np
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule.cost_model.xgb_model import FeatureGroup, XGBModel
from tvm.s_tir.meta_schedule.feature_extractor import PerStoreFeature
from tvm.target import Target

from workers.engines.metaschedule._intrinsics import register_intrinsics
from workers.engines.metaschedule.contexts import tune_context
from workers.engines.metaschedule.protected import protected
from workers.engines.metaschedule.records import adapted, candidate_of, scheduled
from workers.engines.metaschedule.samples import packed, unpacked
from workers.engines.metaschedule.soundness import finished
from workers.engines.metaschedule.spaces import cpu_spaces
from workers.engines.metaschedule.starter.begin import begun
from workers.engines.metaschedule.targets import parse_target
from workers.engines.metaschedule.traits import TRAITS
from workers.engines.metaschedule.workload import load_module
from workers.messages import Candidate, Record, SearchOptions, Workload

__all__ = ["MetaScheduleSearch", "MetaScheduleSearches", "train"]

# A failed candidate teaches the model that its like score zero; MetaSchedule's own value for it.
_FAILED_COST = 1e10
# Rounds without a candidate that was not tried before, after which the space counts as used up; and one more
# for each round's worth of known candidates, for an evolution may pick those first, each of them once.
_BARREN_ROUNDS = 3
# How often design spaces are asked for, where that fails.
_ATTEMPTS = 5
# What the setting `population` is meant for, and the least that still evolves.
_FULL_ROUND, _LEAST_POPULATION = 16, 32
# Of the schedules drawn for a GPU few keep to its limits: of a small convolution's not one in a hundred. With
# MetaSchedule's own 50 to begin with, and five draws in vain, such a search proposed nothing.
_GPU_BEGINNING = {"init_min_unmeasured": 16, "max_fail_count": 30}


class MetaScheduleSearch:
    """See :class:`workers.enginekit.roles.TaskSearch`."""

    def __init__(self, workload: Workload, target: Target, options: SearchOptions) -> None:
        register_intrinsics(target)
        self._seed = _derived_seed(options.seed, workload.hash)
        # RandomModel and XGBModel draw from numpy's global state while they know nothing yet.
        np.random.seed(self._seed)
        random.seed(self._seed)
        # All of the search's traces are applied to it, by TVM too.
        self._module = protected(load_module(workload.module))
        self._workload, self._target = workload, target
        # Costs of one workload on two device classes are ranked apart.
        self._group = f"{options.device_class}:{workload.hash}"
        settings = TRAITS.settings_of(options)
        self._population, self._generations = int(settings["population"]), int(settings["generations"])
        self._tried = set(options.exclude)
        self._pending: dict[str, ms.MeasureCandidate] = {}
        self._spare: list[
            tuple[Candidate, ms.MeasureCandidate]
        ] = []  # of a round wider than what was asked for
        self._known: set[str] = set()  # candidates of other workloads that were looked at
        self._adapted: list[tuple[Candidate, ms.MeasureCandidate]] = []
        self._extractor = PerStoreFeature()
        self._model = XGBModel(extractor=self._extractor, num_warmup_samples=0, num_tuning_cores=1)
        self._database = ms.database.MemoryDatabase()
        self._stored = self._database.commit_workload(self._module)
        self._context = tune_context(self._module, target, seed=self._seed)
        self._evolution: ms.TuneContext | None = None
        self._round = 0  # candidates of one round of that evolution
        self._evolutions = 0
        self._spaces: list[Schedule] | None = None

    def propose(self, count: int, cost_model: bytes | None) -> tuple[Candidate, ...]:
        """Return up to `count` candidates that were not tried before; none where the space is used up."""
        if cost_model is not None:
            self._model.booster = _booster(cost_model)
            self._model.data_size = 1
        if self._spaces is None:
            self._spaces = cpu_spaces(self._design_spaces(), self._module, self._workload.flops, self._target)
            self._begin(self._spaces, count)
        if not any(space.trace.decisions for space in self._spaces):
            # Each space has one schedule, and the cost model has nothing to choose.
            return self._given_out(self._taken(count))
        if self._evolution is None and 2 * len(self._adapted) >= count:
            # To start with, what others found good is good enough, and an evolution takes a second or two.
            return self._given_out(self._taken(count))
        if count > self._round:
            # Only for more: an evolution knows what it proposed, and a new one proposes it again.
            self._evolve_for(count if self._round == 0 else max(count, _FULL_ROUND))
        fresh: list[tuple[Candidate, ms.MeasureCandidate]] = []
        for _ in range(_BARREN_ROUNDS + len(self._tried) // _FULL_ROUND):
            fresh = self._generate()
            if fresh or self._spare:
                break
            if self._round < _FULL_ROUND:
                # The best are known: a wider round looks past them sooner.
                self._evolve_for(_FULL_ROUND)
        # Half a round: what was good elsewhere need not be the best here.
        fresh = self._taken(count // 2) + fresh
        # What an earlier round had over was ranked by an earlier model: it fills up, it does not lead.
        fresh += self._spare
        fresh, self._spare = fresh[:count], fresh[count:]
        return self._given_out(fresh)

    def _design_spaces(self) -> list[Schedule]:
        """Have MetaSchedule make them, by chance: of a convolution for tensor cores that can fail."""
        for again in range(1, _ATTEMPTS):
            try:
                return list(self._context.generate_design_space())
            except Exception:  # a schedule's primitive that refuses what was drawn
                self._context = tune_context(self._module, self._target, seed=self._seed + again)
        return list(self._context.generate_design_space())

    def _begin(self, spaces: list[Schedule], count: int) -> None:
        """Put what a library without any record has first, and in turns with what others lend."""
        open_ended = any(space.trace.decisions for space in spaces)
        if open_ended and self._target.kind.name != "llvm":
            return  # the rule is for CPUs
        name, flops = self._workload.name, self._workload.flops
        made = map(self._finished, begun(spaces, self._module, name, flops, self._target))
        first = itertools.islice((one for one in made if one is not None), count if open_ended else None)
        pairs = itertools.zip_longest(first, self._adapted)
        self._adapted = [one for pair in pairs for one in pair if one is not None]

    def _taken(self, count: int) -> list[tuple[Candidate, ms.MeasureCandidate]]:
        """Take up to `count` of the schedules that no evolution has made."""
        taken, self._adapted = self._adapted[:count], self._adapted[count:]
        return taken

    def _given_out(self, fresh: list[tuple[Candidate, ms.MeasureCandidate]]) -> tuple[Candidate, ...]:
        self._pending.update((candidate.hash, measured) for candidate, measured in fresh)
        return tuple(candidate for candidate, _ in fresh)

    def _finished(self, schedule: Schedule) -> tuple[Candidate, ms.MeasureCandidate] | None:
        """Have a schedule finished; None where it breaks the target's limits or was tried."""
        if not finished(schedule, self._context):
            return None
        candidate = candidate_of(schedule.trace)
        if candidate.hash in self._tried:
            return None
        self._tried.add(candidate.hash)
        arguments = ms.arg_info.ArgInfo.from_entry_func(schedule.mod, remove_preproc=True)
        return candidate, ms.MeasureCandidate(schedule, arguments)

    def transfer(self, records: tuple[tuple[Workload, Record], ...]) -> None:
        """Do nothing: the cost model is one for all tasks, and comes with each proposal."""
        del records

    def lend(self, records: tuple[tuple[Workload, Record], ...]) -> None:
        """Take over schedules of workloads that do the same on other sizes, to be proposed next.

        The nearest in size come first; of those that are as near, what was fastest there.
        """
        near = sorted(
            records, key=lambda pair: (_distance(pair[0], self._workload), np.median(pair[1].times))
        )
        for workload, record in near:
            if len(self._adapted) >= _FULL_ROUND // 2:
                break
            if record.candidate.hash in self._known:
                continue
            self._known.add(record.candidate.hash)
            try:
                made = self._finished(adapted(scheduled(workload, record.candidate).trace, self._module))
            except Exception:  # another structure, whatever a primitive says to that
                continue
            if made is not None:
                self._adapted.append(made)

    def _evolve_for(self, count: int) -> None:
        """Start an evolution whose rounds have `count` candidates. What it builds on is in the database."""
        self._round = count
        self._evolutions += 1
        # A population is there to choose a round from: for a small one, a small one will do.
        population = max(_LEAST_POPULATION, self._population * count // _FULL_ROUND)
        self._evolution = tune_context(
            self._module,
            self._target,
            seed=self._seed + self._evolutions,
            search_strategy=ms.search_strategy.EvolutionarySearch(
                population_size=population,
                genetic_num_iters=self._generations,
                **(_GPU_BEGINNING if "gpu" in self._target.keys else {}),
            ),
            task_name=self._workload.name,
        )
        self._evolution.pre_tuning(
            max_trials=1 << 30,
            num_trials_per_iter=count,
            design_spaces=self._spaces,
            database=self._database,
            cost_model=self._model,
        )

    def learn(self, records: tuple[Record, ...]) -> bytes:
        """Commit results to the search's database and return the features and costs to train on."""
        candidates, costs = [], []
        for record in records:
            self._tried.add(record.candidate.hash)
            measured = self._pending.pop(record.candidate.hash, None) or self._replayed(record.candidate)
            if measured is None:
                continue
            if record.times:
                self._database.commit_tuning_record(
                    ms.database.TuningRecord(
                        measured.sch.trace, self._stored, list(record.times), self._target, measured.args_info
                    )
                )
            candidates.append(measured)
            costs.append(float(np.median(record.times)) if record.times else _FAILED_COST)
        if not candidates:
            return b""
        features = [
            f.numpy().astype("float32") for f in self._extractor.extract_from(self._context, candidates)
        ]
        kept = [(f, c) for f, c in zip(features, costs, strict=True) if len(f)]
        if not kept:
            return b""
        taken = np.array([c for _, c in kept], dtype="float32")
        return packed([(self._group, [f for f, _ in kept], taken)])

    def _generate(self) -> list[tuple[Candidate, ms.MeasureCandidate]]:
        assert self._evolution is not None
        generated = self._evolution.generate_measure_candidates() or []
        # The strategy counts what it proposed as measured only when told so; the records themselves are
        # committed in learn(), when they are there.
        self._evolution.notify_runner_results(generated, [ms.runner.RunnerResult(None, "")] * len(generated))
        fresh = []
        for measured in generated:
            candidate = candidate_of(measured.sch.trace)
            if candidate.hash not in self._tried:
                self._tried.add(candidate.hash)
                fresh.append((candidate, measured))
        return fresh

    def _replayed(self, candidate: Candidate) -> ms.MeasureCandidate | None:
        try:
            schedule = scheduled(self._workload, candidate)
        except Exception:  # a record of another TVM may not apply any more: it teaches nothing, harms nothing
            return None
        arguments = ms.arg_info.ArgInfo.from_entry_func(schedule.mod, remove_preproc=True)
        return ms.MeasureCandidate(schedule, arguments)


def _distance(one: Workload, other: Workload) -> float:
    """Say how far two workloads are in size: the logarithm of how often one fits into the other."""
    return abs(math.log(max(one.flops, 1.0)) - math.log(max(other.flops, 1.0)))


def train(samples: tuple[bytes, ...], threads: int) -> bytes:
    """Train an XGBoost model on the samples of all tasks; see ``XGBModel`` in MetaSchedule for the loss."""
    groups: dict[str, FeatureGroup] = {}
    for name, features, costs in itertools.chain.from_iterable(map(unpacked, samples)):
        if name in groups:
            groups[name].append(features, costs)
        else:
            groups[name] = FeatureGroup(name, features, costs)
    model = XGBModel(num_tuning_cores=threads, early_stopping_rounds=20)
    # Where all failed none is the best of them.
    ratios = [
        np.where(group.costs < _FAILED_COST, group.min_cost / group.costs, 0.0) for group in groups.values()
    ]
    with np.errstate(invalid="ignore"):  # of failures alone, MetaSchedule's own figure of merit is 0 / 0
        model._train(xs=[f for g in groups.values() for f in g.features], ys=np.concatenate(ratios))
    return bytes(model.booster.save_raw())


def _booster(raw: bytes) -> Any:
    import xgboost

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(raw))
    return booster


def _derived_seed(seed: int, workload: str) -> int:
    # TVM takes [1, 2**31 - 1].
    return int(hashlib.sha256(f"{seed}:{workload}".encode()).hexdigest()[:7], 16) + 1


class MetaScheduleSearches:
    """See :class:`workers.enginekit.roles.Search`."""

    def open_search(self, workload: Workload, target: str, options: SearchOptions) -> MetaScheduleSearch:
        """Open the search of one workload."""
        return MetaScheduleSearch(workload, parse_target(target), options)

    def train(self, samples: tuple[bytes, ...], threads: int) -> bytes:
        """Train the cost model of all tasks."""
        return train(samples, threads)
