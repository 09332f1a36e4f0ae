"""Which records make a library compute something else: found by building with parts of them, and named."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from orchestrator.builds.coverage import Coverage, TaskCoverage
from orchestrator.errors import DisagreementError, EngineError
from orchestrator.models.extraction import ExtractedModel
from orchestrator.storage import Storage
from orchestrator.toolbox import Toolbox
from workers.messages import Endpoint, Record, RecordChoice

__all__ = ["WrongRecord", "faults_of", "name_wrong_records"]

_One = TypeVar("_One")
#: A record, and the hash of its workload.
_Pair = tuple[str, Record]


@dataclass(frozen=True)
class WrongRecord:
    """A record that computes something else than its workload.

    Attributes
    ----------
    task, workload_hash, candidate : str
    trial_id : int
        Its trial, which is in the state ``wrong_output`` now.
    best_s : float
        Seconds of one call, as it had been measured.
    reason : str
        How the outputs of the model differ that is built with this record alone.
    """

    task: str
    workload_hash: str
    candidate: str
    trial_id: int
    best_s: float
    reason: str


def name_wrong_records(
    store: Storage,
    tools: Toolbox,
    model: ExtractedModel,
    coverage: Coverage,
    plan: RecordChoice,
    seeds: Sequence[int],
    *,
    endpoint: Endpoint | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[WrongRecord, ...]:
    """Find the records of a library that is wrong which are at fault, and store that of their trials.

    The model is built with some of the records and the rest untuned, and half of those that are suspected is
    left out each time. One is at fault where the model is wrong with it alone; where none is, records are
    right and their rounding adds up, or what was built of all of them is not what they say.

    Parameters
    ----------
    plan : RecordChoice
        What the library was compiled with.
    seeds : sequence of int
        Of the inputs on which it was found to be wrong.
    endpoint : Endpoint, optional
        Where the library was run, where that is not this machine.

    Returns
    -------
    tuple of WrongRecord
        Empty where no single record is at fault; also where the model is wrong without any.

    Raises
    ------
    DisagreementError
        A record that was borrowed from another device class is at fault: nothing is stored of it.
    """
    trials = _Trials(tools, model, seeds, endpoint, say)
    pairs = plan.applied
    if not pairs or not trials.agree(()):
        return ()
    found = []
    for layer in _layers(pairs):
        found += faults_of(layer, trials.agree)
    tasks = {task.workload_hash: task for task in coverage.tasks}
    named = []
    for workload_hash, record in found:
        task, reason = tasks.get(workload_hash), trials.reasons[workload_hash, record.candidate.hash]
        if task is not None and task.borrowed_from:
            raise DisagreementError(
                f"the record of {task.name} that {model.prepared.name} borrows from {task.borrowed_from} "
                f"computes something else here: {reason}; leave --allow-device {task.borrowed_from} out"
            )
        named.append(_stored(store, tools, model, workload_hash, record, task, reason, endpoint))
    return tuple(named)


def faults_of(suspects: Sequence[_One], agree: Callable[[Sequence[_One]], bool]) -> list[_One]:
    """Return those of some suspects that are wrong by themselves, by halving.

    Parameters
    ----------
    suspects : sequence
        Believed to be wrong together.
    agree : callable
        Says whether all is right with these alone.
    """
    if len(suspects) == 1:
        return [] if agree(suspects) else list(suspects)
    middle = len(suspects) // 2
    first, second = suspects[:middle], suspects[middle:]
    if agree(first):
        # Then it is one of the others: which need not be tried all together for that.
        return faults_of(second, agree)
    found = list(first) if middle == 1 else faults_of(first, agree)
    return found if agree(second) else [*found, *(second if len(second) == 1 else faults_of(second, agree))]


class _Trials:
    """Builds a model with some records, and runs it.

    Attributes
    ----------
    reasons : dict of (str, str) to str
        How the outputs differ with a single record, by the hashes of its workload and its candidate.
    """

    def __init__(
        self,
        tools: Toolbox,
        model: ExtractedModel,
        seeds: Sequence[int],
        endpoint: Endpoint | None,
        say: Callable[[str], None],
    ) -> None:
        self._tools, self._model, self._endpoint, self._say = tools, model, endpoint, say
        prepared = model.prepared
        self._wanted = [tools.reference_outputs(prepared, seed, model.device.cores) for seed in seeds]
        self._built = 0
        self.reasons: dict[tuple[str, str], str] = {}

    def agree(self, pairs: Sequence[_Pair]) -> bool:
        """Say whether the model is right with these records and the rest untuned."""
        prepared, target = self._model.prepared, self._model.device.target
        self._built += 1
        self._say(
            f"looking for the record of {prepared.name} that is wrong: building with {len(pairs)} of them "
            f"(build {self._built})"
        )
        choice = RecordChoice("some of the records", dict(pairs), lend=False)
        compiled = self._tools.compile(prepared, target, choice).result()
        for inputs, expected in self._wanted:
            ordered = {spec.name: inputs[spec.name] for spec in prepared.inputs}
            run = self._tools.run(compiled, ordered, target, endpoint=self._endpoint)
            found = self._tools.judge(prepared, inputs, run.outputs, expected)
            if not found.ok:
                if len(pairs) == 1:
                    ((workload_hash, record),) = pairs
                    reason = f"output '{found.worst_name}' {found.reason}"
                    self.reasons[workload_hash, record.candidate.hash] = reason
                return False
        return True


def _layers(pairs: Sequence[_Pair]) -> list[list[_Pair]]:
    """Part records so that no workload has two in one part: a model built of a part has one for each."""
    layers: list[dict[str, Record]] = []
    for key, record in pairs:
        layer = next((one for one in layers if key not in one), None)
        if layer is None:
            layers.append(layer := {})
        layer[key] = record
    return [list(layer.items()) for layer in layers]


def _stored(
    store: Storage,
    tools: Toolbox,
    model: ExtractedModel,
    workload_hash: str,
    record: Record,
    task: TaskCoverage | None,
    reason: str,
    endpoint: Endpoint | None,
) -> WrongRecord:
    trial = store.trials.mark_wrong(
        workload_hash,
        model.device.device_class,
        record.candidate.hash,
        f"it computes something else than its task: with it alone {model.prepared.name} is wrong, {reason}",
        versions=tools.toolchain_of(model.device),
        device=model.device.device_class if endpoint is None else endpoint.key,
        host=socket.gethostname() if endpoint is None else endpoint.key,
    )
    if trial is None or trial.cost_s is None:
        raise EngineError(
            f"record {record.candidate.hash[:12]} of {workload_hash[:12]} is wrong, and was deleted meanwhile"
        )
    name = trial.workload_name if task is None else task.name
    return WrongRecord(name, workload_hash, record.candidate.hash, trial.id, trial.cost_s, reason)
