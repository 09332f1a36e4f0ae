"""What an engine offers. Everything in and out is plain data from :mod:`workers.messages`."""

from __future__ import annotations

from typing import Any, Protocol

from workers.messages import (
    Artifact,
    Candidate,
    CompiledModel,
    DeviceInfo,
    Endpoint,
    EvaluatorConfig,
    Extraction,
    LogFormat,
    LogLine,
    ModelRun,
    PreparedModel,
    Record,
    RecordChoice,
    SearchOptions,
    Station,
    Timing,
    Workload,
    WrittenLog,
)

__all__ = ["WAITING", "Engine", "Search"]

#: How :meth:`Engine.measure` begins the word for its stage (see :func:`workers.process.host.stage`) as long
#: as nothing has been asked of the candidate yet: what fails in that stage is the device's fault, not the
#: candidate's.
WAITING = "waiting for a device"


class Search(Protocol):
    """The search of one task. It lives in a process of its own and keeps its state between calls."""

    def propose(self, count: int, cost_model: bytes | None) -> tuple[Candidate, ...]:
        """Return up to `count` new candidates; none at all means that the space is used up.

        Parameters
        ----------
        cost_model : bytes or None
            What :meth:`Engine.train` returned last, where that is newer than what this search was given
            before.
        """

    def transfer(self, records: tuple[tuple[Workload, Record], ...]) -> None:
        """Start from records of other workloads of the same kind, before anything is proposed.

        Not called where :meth:`Engine.transfers` says that nothing would come of it.
        """

    def lend(self, records: tuple[tuple[Workload, Record], ...]) -> None:
        """Take over schedules of other workloads of the same kind, to be proposed next where they fit.

        Called before a task's first proposals with up to :meth:`Engine.lends` records of each such workload.
        """

    def learn(self, records: tuple[Record, ...]) -> bytes:
        """Take the results of candidates and return what the cost model is to be trained on.

        Returns
        -------
        bytes
            Samples in the engine's own form, for :meth:`Engine.train`; empty where there are none.
        """


class Engine(Protocol):
    """All that knows one TVM. Methods run in a fresh fork of the engine process, except :meth:`warm`."""

    name: str

    def warm(self, role: str) -> None:
        """Import, once and in the engine process itself, what the forks of a `role` will need.

        It must start no thread: forks are taken from here.

        Parameters
        ----------
        role : {'search', 'build', 'measure', 'model'}
        """

    def versions(self) -> dict[str, str]:
        """Return the versions of what decides about a measurement: TVM, its compiler, the engine itself."""

    def version(self) -> str:
        """Return what an extraction is bound to: tasks of another version are extracted anew."""

    def resolve_target(self, spec: str) -> DeviceInfo:
        """Find the device of a target: ``auto`` for the CPU of this machine, or a target's text.

        Raises
        ------
        TargetError
            Where TVM doesn't know the target, with what it said.
        """

    def extract(self, model: PreparedModel, target: str) -> Extraction:
        """Return the tuning tasks of a model.

        Raises
        ------
        ModelError
            Where TVM's frontend refuses the model: the operator, the node and the reason.
        """

    def check_layout(self, layout: str) -> None:
        """Refuse a layout of :class:`PreparedModel` that this engine doesn't have.

        Raises
        ------
        UsageError
            Naming those it has.
        """

    def check_options(self, options: SearchOptions) -> None:
        """Refuse options that mean nothing to this engine's searches.

        Raises
        ------
        UsageError
            Naming what it has instead.
        """

    def transfers(self, options: SearchOptions) -> bool:
        """Say whether searches with these options learn from records of other workloads."""

    def lends(self, options: SearchOptions) -> int:
        """Say how many of the fastest records of each related workload :meth:`Search.lend` looks at."""

    def open_search(self, workload: Workload, target: str, options: SearchOptions) -> Search:
        """Open the search of one workload; :meth:`Search.learn` seeds it with what is known."""

    def train(self, samples: tuple[bytes, ...], threads: int) -> bytes:
        """Train the cost model on the samples of all tasks."""

    def build(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Compile one candidate to something a device can load."""

    def measure(
        self,
        artifact: Artifact,
        endpoint: Endpoint,
        evaluator: EvaluatorConfig,
        best_known_s: float | None = None,
    ) -> Timing:
        """Time an artifact on the device behind `endpoint`, through the tracker.

        Parameters
        ----------
        best_known_s : float or None
            Seconds of the best candidate known: one that is far behind it need not be timed in full.
        """

    def alternatives(self) -> int:
        """Say from how many records of a workload, the fastest first, :meth:`plans` chooses.

        One, where the best of each workload makes the best model. Nothing is asked of the next two methods
        then.
        """

    def transforms(
        self,
        model: PreparedModel,
        target: str,
        workloads: tuple[Workload, ...],
        history: dict[str, tuple[Record, ...]],
    ) -> tuple[tuple[Workload, Candidate], ...]:
        """Return what lies between the tasks, layout transforms say, whose time :meth:`plans` weighs as well.

        Each with the one way of doing it. They are measured and stored like any trial.
        """

    def plans(
        self,
        model: PreparedModel,
        target: str,
        workloads: tuple[Workload, ...],
        history: dict[str, tuple[Record, ...]],
        measured: dict[str, tuple[Record, ...]],
    ) -> tuple[RecordChoice, ...]:
        """Return the plans worth compiling, the most promising first; the last one applies no record.

        Parameters
        ----------
        history, measured : dict of str to tuple of Record
            Records of the tasks and of the :meth:`transforms`, by the hash of the workload.
        """

    def compile(
        self, model: PreparedModel, target: str, plan: RecordChoice, params_beside: bool = False
    ) -> CompiledModel:
        """Compile a model after a plan."""

    def run(
        self,
        library: bytes,
        params: bytes | None,
        inputs: dict[str, Any],
        target: str,
        repeats: int = 0,
        number: int = 1,
        endpoint: Endpoint | None = None,
    ) -> ModelRun:
        """Run a compiled model: once for its outputs, `repeats` times `number` runs for its times.

        Parameters
        ----------
        endpoint : Endpoint or None
            The device to run it on; None for this machine.
        """

    def describe(self, workload: Workload, candidate: Candidate | None) -> str:
        """Return a text for people: the workload, or the schedule of a candidate as a readable trace."""

    def log_format(self) -> LogFormat:
        """Say what the log of the engine's own tools consists of: a file, or a folder of some."""

    def read_log(
        self, files: dict[str, str], target: str, tasks: tuple[Workload, ...] = ()
    ) -> tuple[LogLine, ...]:
        """Read a log of measurements in the engine's own format.

        Parameters
        ----------
        files : dict of str to str
            Their text by name, as :meth:`log_format` has them; a log of a single file has the name ``""``.
        target : str
            Of the device that the records are to be filed under.
        tasks : tuple of Workload
            Those of the model that was tuned, where it is known.

        Returns
        -------
        tuple of LogLine
            One for each line that holds something, in their order, those that can't be used as well.
            Workloads have the hash that :meth:`extract` gives them.
        """

    def write_log(
        self,
        target: str,
        records: tuple[tuple[Workload, Record, str], ...],
        model: PreparedModel | None = None,
    ) -> WrittenLog:
        """Write records as a log that the engine's own tools read.

        Parameters
        ----------
        records : tuple of (Workload, Record, str)
            The last one is why it failed, where it did.
        model : PreparedModel or None
            The model whose tasks they are, where they are those of a model.
        """

    def known_kernel(self, target: str) -> tuple[Workload, Candidate]:
        """Return a kernel that every device of a target's kind can run, the same in every version.

        By its time it is known whether a device runs as it used to.
        """

    def unfit(self, target: str, endpoint: Endpoint) -> str:
        """Say why the device behind `endpoint` can't run code for a target; empty where nothing is known.

        Nothing is run on it: what the device says of itself is compared with what the target asks for.
        """

    def serve_tracker(self, host: str, port: int | None = None) -> None:
        """Run an RPC tracker until killed, at `port` or a free one.

        Its port is announced with :func:`workers.process.host.ready`.
        """

    def serve_device(self, host: str, tracker: tuple[str, int], station: Station) -> None:
        """Run an RPC server for one device until killed, registered at the tracker under the station's key.

        It has its own cores, or sees its own GPU alone, whatever else this machine has.
        """

    def tracked(self, host: str, port: int) -> dict[str, int]:
        """Return how many servers are registered at a tracker under each key, the busy ones too.

        Raises
        ------
        EngineError
            Where it does not answer.
        """

    def count_devices(self, kind: str) -> int:
        """Return how many devices of a kind, as in :class:`DeviceInfo`, answer on this machine."""
