"""Compiled models, and what they were compiled after."""

from __future__ import annotations

from dataclasses import dataclass, field

from workers.messages.arrays import Array
from workers.messages.trials import Record, Workload

__all__ = ["CompiledModel", "ModelRun", "ModelTiming", "RecordChoice", "WarmUp"]


@dataclass(frozen=True)
class RecordChoice:
    """Which records a model is compiled with.

    Attributes
    ----------
    name : str
        One or two words for people.
    records : dict of str to Record
        By the hash of the workload; those that are not there are compiled untuned.
    sequence : tuple of (Workload, Record)
        For an engine that chooses for each node of the model by itself: a record for each of those nodes, in
        the engine's order of them. They go before ``records``.
    lend : bool
        Whether kernels without a record may have a schedule that was measured for others.
    unlent : frozenset of str
        Hashes of workloads that have none of these all the same.
    """

    name: str
    records: dict[str, Record] = field(default_factory=dict)
    sequence: tuple[tuple[Workload, Record], ...] = ()
    lend: bool = True
    unlent: frozenset[str] = frozenset()

    @property
    def applied(self) -> list[tuple[str, Record]]:
        """Hash of the workload and record of all that is applied, each pair once."""
        pairs = [*self.records.items(), *((workload.hash, record) for workload, record in self.sequence)]
        return list({(key, record.candidate.hash): (key, record) for key, record in pairs}.values())


@dataclass(frozen=True)
class CompiledModel:
    """A deployable library and how much of it is tuned.

    Attributes
    ----------
    library : bytes
        The shared library.
    params : bytes or None
        The weights as an ``.npz`` archive, where they were asked for beside the library.
    params_file : str
        A file of this machine that holds that archive instead, where it is too large to be sent around.
    tuned : tuple of str
        Hashes of the workloads for which a record was applied.
    untuned : tuple of str
        Hashes of those for which none was found.
    lent : dict of str to str
        Those of the untuned ones that have a schedule all the same, which nobody has measured for them, and
        the hash of the candidate that this is.
    """

    library: bytes
    params: bytes | None
    tuned: tuple[str, ...]
    untuned: tuple[str, ...]
    params_file: str = ""
    lent: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WarmUp:
    """Runs before those that are timed.

    Attributes
    ----------
    runs : int
    seconds : float
        What they took.
    settled : bool
        Their times had become level; False where they still moved when the time for it was over.
    windows : tuple of float
        The median of what each window of runs took (seconds), the first of all to the last that was timed.
    """

    runs: int = 0
    seconds: float = 0.0
    settled: bool = True
    windows: tuple[float, ...] = ()


@dataclass(frozen=True)
class ModelTiming:
    """Latency of a whole model, in seconds of one inference, one value a repeat."""

    times: tuple[float, ...]
    warm_up: WarmUp = WarmUp()


@dataclass(frozen=True)
class ModelRun:
    """One run of a compiled model: its outputs (numpy arrays) and its times (seconds, one a repeat).

    Attributes
    ----------
    first_s : float
        What the run for the outputs took (seconds), which nothing had warmed up; 0 where nobody looked.
    """

    outputs: tuple[Array, ...]
    times: tuple[float, ...]
    first_s: float = 0.0
    warm_up: WarmUp = WarmUp()
