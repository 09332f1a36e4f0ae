"""Damaged ONNX files, thousands of them, and what ``tunefleet tasks`` says of each.

Each file goes through the program as a person's would: the command reads it, an engine process prepares it,
another imports it into TVM and looks for its tasks, and what goes wrong becomes a message and an exit code.
Only the processes are kept from file to file, so that ten thousand take an hour and not days::

    python -m benchmarks.fuzz --count 10000 --work fuzz --resume

What may come of a file:

- prepared: its tasks are found;
- refused: a message in one line that names the file, with the exit code of a wrong input;
- died: a library crashed on it, onnxruntime say, and the message says of which file and how;
- slow: it was given up after the time for one call, and the message says so;
- unforeseen: refused so too, but with nothing better to say than what a library said of its failure;
- raw: anything else, such as an exception of Python or TVM shown to a person, or a bug of ours;
- hung: no answer at all.

The last two are findings. Files that were neither prepared nor refused are kept in the folder; what was done
to each is in its line of the outcomes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import pathlib
import re
import resource
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from benchmarks.damage import NAME, damaged, sources

__all__ = ["Outcome", "judged", "main", "run", "summary"]

KINDS = ("prepared", "refused", "unforeseen", "died", "slow", "raw", "hung")
#: What must not be.
FINDINGS = ("raw", "hung")
# Of one call into an engine process, and of a whole command before its process is given up.
_CALL_SECONDS, _COMMAND_SECONDS = 30.0, 120.0
_LONGEST_MESSAGE = 4000
_GIB = 2**30


@dataclass(frozen=True)
class Outcome:
    """What came of one file.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    said : str
        The message, or why there was none.
    """

    number: int
    kind: str
    error: str
    said: str
    seconds: float
    history: tuple[str, ...]

    @property
    def sort(self) -> str:
        """The message without what differs from file to file, so that alike ones can be counted."""
        text = re.sub(r"\S*" + re.escape(NAME), "FILE", self.said)
        text = re.sub(r"'[^']*'|\"[^\"]*\"|\([^()]*\)", "_", text)
        return f"{self.error}: " + re.sub(r"-?\d+", "N", text)[:90]


def judged(code: int, document: dict[str, Any] | None, output: str, path: str) -> tuple[str, str, str]:
    """Say what came of a command: the kind, the class of its error, its message.

    Parameters
    ----------
    document : dict or None
        On its stdout.
    output : str
        On its stderr.
    """
    if document is None or "Traceback" in output:
        return "raw", "", output[-_LONGEST_MESSAGE:] or f"exit code {code} and no document"
    if code == 0:
        return "prepared", "", ""
    error = document["error"]
    name, said = str(error["kind"]), str(error["message"])
    if name == "EngineLostError" and "killed by signal" in said and path in said:
        return "died", name, said
    if name == "EngineTimeoutError" and path in said:
        return "slow", name, said
    clear = name in ("ModelError", "UsageError") and code == 2
    readable = "\n" not in said and said.isprintable() and len(said) <= _LONGEST_MESSAGE
    if not (clear and readable and path in said):
        return "raw", name, said
    return ("unforeseen" if "not foreseen" in said else "refused"), name, said


# -- one process that takes files


def _serve(pipe: Connection, seed: int, folder: str, memory: int) -> None:
    """Take numbers and answer with outcomes, until the pipe ends."""
    # What a file makes a library allocate fails in that process, and the machine lives on.
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from orchestrator.cli.kit.launchers import Launchers
    from orchestrator.toolbox import Toolbox
    from workers.messages import DeviceInfo

    class Kept(Toolbox):
        """An engine's processes that outlive the command, and what doesn't change with the file."""

        def stop(self) -> None:
            pass

        def resolve_target(self, spec: str) -> DeviceInfo:
            return devices.get(spec) or devices.setdefault(spec, super().resolve_target(spec))

        def engine_version(self) -> str:
            return versions.get("") or versions.setdefault("", super().engine_version())

    devices: dict[str, DeviceInfo] = {}
    versions: dict[str, str] = {}

    engines: dict[str, Kept] = {}

    def toolbox(engine: str) -> Toolbox:
        if engine not in engines:
            engines[engine] = Kept(engine)
            engines[engine].timeout_s = _CALL_SECONDS
        return engines[engine]

    models = sources()
    try:
        while True:
            pipe.send(_tried(pipe.recv(), seed, models, pathlib.Path(folder), Launchers(toolbox=toolbox)))
    except (EOFError, OSError):
        for kept in engines.values():
            Toolbox.stop(kept)


def _tried(number: int, seed: int, models: dict[str, Any], folder: pathlib.Path, launchers: Any) -> Outcome:
    from orchestrator.cli.kit.conversion_options import ConversionOptions
    from orchestrator.cli.kit.exits import exit_code_of
    from orchestrator.cli.kit.session import Session
    from orchestrator.cli.models.tasks import tasks

    case = damaged(seed, number, models)
    place = folder / f"{number:06}"
    place.mkdir(parents=True, exist_ok=True)
    for name, data in case.files.items():
        (place / name).write_bytes(data)
    path = str(place / NAME)
    began = time.monotonic()
    session = Session("tasks", launchers, db=str(folder / "records.db"), as_json=True)
    out, err = io.StringIO(), io.StringIO()
    # The command itself, with what makes messages of its errors; reading its options anew each time would
    # take as long as all the rest.
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = exit_code_of(session, lambda: tasks.function(session, pathlib.Path(path), ConversionOptions()))
    seconds = time.monotonic() - began
    try:
        document = json.loads(out.getvalue())
    except ValueError:
        document = None
    kind, error, told = judged(code, document, err.getvalue(), path)
    if kind in ("prepared", "refused"):
        shutil.rmtree(place)
    return Outcome(number, kind, error, told, round(seconds, 3), case.history)


# -- a pool of them


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    number: int | None = None
    since: float = 0.0


def run(
    numbers: Iterable[int], *, seed: int, folder: pathlib.Path, processes: int, memory: int = 8 * _GIB
) -> Iterator[Outcome]:
    """Try the files of these numbers, several at once, and give each outcome as it comes.

    Parameters
    ----------
    folder : path
        Where files are put; those of findings stay.
    memory : int
        Bytes of addresses that each process may have.
    """
    context = multiprocessing.get_context("spawn")
    waiting = iter(numbers)
    workers: dict[Connection, _Worker] = {}

    def give(worker: _Worker) -> None:
        worker.number, worker.since = next(waiting, None), time.monotonic()
        if worker.number is not None:
            worker.pipe.send(worker.number)

    def begin(place: int) -> None:
        ours, theirs = context.Pipe()
        arguments = (theirs, seed, str(folder / f"at-{place}"), memory)
        process = context.Process(target=_serve, args=arguments)
        process.start()
        theirs.close()
        workers[ours] = _Worker(process, ours)
        give(workers[ours])

    for place in range(processes):
        begin(place)
    started = processes
    try:
        while busy := [worker for worker in workers.values() if worker.number is not None]:
            for pipe in wait([worker.pipe for worker in busy], 1.0):
                assert isinstance(pipe, Connection)
                worker = workers[pipe]
                try:
                    outcome = pipe.recv()
                except EOFError:
                    yield _without_answer(worker, "raw", "the command's own process ended")
                    _end(workers.pop(pipe))
                    begin(started)
                    started += 1
                else:
                    give(worker)
                    yield outcome
            for worker in busy:
                late = time.monotonic() - worker.since > _COMMAND_SECONDS
                if late and worker.number is not None and worker.pipe in workers:
                    yield _without_answer(worker, "hung", f"no answer within {_COMMAND_SECONDS:.0f} s")
                    _end(workers.pop(worker.pipe))
                    begin(started)
                    started += 1
    finally:
        for worker in workers.values():
            _end(worker)


def _without_answer(worker: _Worker, kind: str, said: str) -> Outcome:
    assert worker.number is not None
    return Outcome(worker.number, kind, "", said, time.monotonic() - worker.since, ())


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.join(5)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()


# -- what comes out of it


def summary(outcomes: Sequence[Outcome], most: int = 40) -> str:
    """Write how often each came, the messages by how many have them, and every finding."""
    counts = Counter(outcome.kind for outcome in outcomes)
    total = max(1, len(outcomes))
    lines = ["| outcome | files | share |", "|---|---|---|"]
    lines += [f"| {kind} | {counts[kind]} | {counts[kind] / total:.1%} |" for kind in KINDS]
    for kind in KINDS[1:]:
        sorts = Counter(outcome.sort for outcome in outcomes if outcome.kind == kind)
        if sorts:
            lines += ["", f"{kind}, by message:", ""]
            lines += [f"    {count:6}  {sort}" for sort, count in sorts.most_common(most)]
            if len(sorts) > most:
                lines.append(f"            and {len(sorts) - most} more")
    return "\n".join(lines)


def _stored(path: pathlib.Path) -> dict[int, Outcome]:
    found: dict[int, Outcome] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            fields = json.loads(line)
            found[fields["number"]] = Outcome(**{**fields, "history": tuple(fields["history"])})
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Try files, and print a table; exit code 1 says that there is a finding."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=10_000, help="files (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--work", type=pathlib.Path, default=pathlib.Path("fuzz"), help="folder of what is kept"
    )
    parser.add_argument("--resume", action="store_true", help="go on: don't try again what is in the folder")
    parser.add_argument(
        "--again", metavar="KIND", action="append", help="with --resume, try those of a kind again"
    )
    options = parser.parse_args(argv)
    folder: pathlib.Path = options.work.absolute()
    results = folder / f"outcomes-{options.seed}.jsonl"
    if results.exists() and not options.resume:
        parser.error(f"{results} is there: go on with --resume, or name another --work")
    folder.mkdir(parents=True, exist_ok=True)
    found = {n: o for n, o in _stored(results).items() if o.kind not in (options.again or ())}
    wanted = range(options.first, options.first + options.count)
    began, tried = time.monotonic(), 0
    with results.open("a") as file:
        left = [number for number in wanted if number not in found]
        for outcome in run(left, seed=options.seed, folder=folder, processes=options.processes):
            found[outcome.number] = outcome
            file.write(json.dumps(asdict(outcome)) + "\n")
            file.flush()
            tried += 1
            if outcome.kind in FINDINGS:
                print(f"{outcome.number}: {outcome.kind}: {outcome.sort}", flush=True)
            if tried % 500 == 0:
                each = (time.monotonic() - began) / tried
                print(f"{tried} of {len(left)}, {each:.2f} s each", flush=True)
    outcomes = [found[number] for number in wanted if number in found]
    print(summary(outcomes), flush=True)
    return 1 if any(outcome.kind in FINDINGS for outcome in outcomes) else 0


if __name__ == "__main__":
    raise SystemExit(main())
