"""Trials from and for other programs: the log that an engine's own tools write and read."""

from __future__ import annotations

import os
import pathlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.campaigns.extraction import extract_model
from orchestrator.campaigns.spec import ModelRequest
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.files import writable, write
from orchestrator.fleet import Toolbox
from orchestrator.storage import NewTrial, Storage, TrialRow
from workers.messages import Candidate, DeviceInfo, LogLine, Measurement, Record, TrialState, Workload

__all__ = ["BadLine", "ExportReport", "ImportReport", "export_log", "import_log"]

# Of a file of another kind every line is bad, and some tell that as well as all.
_BAD_LISTED = 50


@dataclass(frozen=True)
class BadLine:
    """A line that can't be imported, and why."""

    number: int
    reason: str


@dataclass(frozen=True)
class ImportReport:
    """What became of the lines of a log.

    Attributes
    ----------
    device_class : str
        Under which its trials are filed.
    targets : tuple of str
        What the good lines say that they were measured for.
    lines : int
        Those that hold something, good and bad.
    bad : tuple of BadLine
    repeated : int
        Lines whose candidate is in another line as well; one that succeeded counts, else the first.
    stored_before : int
        Trials that were there already.
    imported, failed, workloads : int
        New trials, how many of them are failures, and of how many workloads they are.
    dry_run : bool
        Nothing was stored; `imported` says what would have been.
    """

    path: pathlib.Path
    device_class: str
    targets: tuple[str, ...]
    lines: int
    bad: tuple[BadLine, ...]
    repeated: int
    stored_before: int
    imported: int
    failed: int
    workloads: int
    dry_run: bool


@dataclass(frozen=True)
class ExportReport:
    """What was written to a log.

    Attributes
    ----------
    trials, failed, workloads : int
        Trials written, how many of them are failures, and of how many workloads they are.
    missing : tuple of str
        Names of the tasks of which nothing is stored.
    """

    path: pathlib.Path
    target: str
    device_class: str
    trials: int
    failed: int
    workloads: int
    missing: tuple[str, ...]


def import_log(
    store: Storage,
    tools: Toolbox,
    path: str | os.PathLike[str],
    *,
    target: str = "auto",
    skip_bad: bool = False,
    dry_run: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> ImportReport:
    """Store the trials of a log, all of them or none.

    Parameters
    ----------
    target : str, optional
        A log doesn't say on which device it was measured: its trials are filed under this target's.
    skip_bad : bool, optional
        Store the good lines where there are bad ones.
    dry_run : bool, optional
        Check the lines and store nothing.

    Raises
    ------
    UsageError
        The file can't be read, the engine has no log, or, without `skip_bad`, there are bad lines: the text
        has their numbers.
    TargetError, StorageError, EngineError
    """
    file = pathlib.Path(path).absolute()
    text = _text(file)
    say("looking for the target")
    device = tools.resolve_target(target)
    say(f"reading {file.name}")
    lines = tools.read_log(text)
    if not lines:
        raise UsageError(f"{path} holds no record")
    bad = tuple(BadLine(line.number, why) for line in lines if (why := _unfit(line, device)))
    if bad and not skip_bad:
        raise UsageError(_refusal(file.name, bad, len(lines)))
    numbers = {line.number for line in bad}
    good = [line for line in lines if line.number not in numbers]
    chosen = _distinct(good)
    new = _unknown(store, chosen, device)
    if not dry_run and new:
        say(f"storing {len(new)} trials")
        store.put_device_class(tools.engine, device)
        store.put_workloads([_workload(line) for line in new])
        store.record_trials([_trial(line, device, file.name) for line in new])
    return ImportReport(
        path=file,
        device_class=device.device_class,
        targets=tuple(dict.fromkeys(line.target for line in good)),
        lines=len(lines),
        bad=bad,
        repeated=len(good) - len(chosen),
        stored_before=len(chosen) - len(new),
        imported=len(new),
        failed=sum(_record(line).state is not TrialState.OK for line in new),
        workloads=len({_workload(line).hash for line in new}),
        dry_run=dry_run,
    )


def export_log(
    store: Storage,
    tools: Toolbox,
    output: str | os.PathLike[str],
    *,
    request: ModelRequest | None = None,
    workload: str | None = None,
    target: str = "auto",
    best: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> ExportReport:
    """Write the stored trials of a model's tasks, or of a workload, as a log.

    Parameters
    ----------
    request, workload : ModelRequest, str or None
        One of them: a model, or the first digits of a workload's hash.
    target : str, optional
        Whose device class the trials are of.
    best : bool, optional
        Of each workload the fastest trial alone. Who reads all of them may choose another than a build here:
        of several times of one trial the median counts here.

    Raises
    ------
    NotFoundError
        There is no such workload, or nothing to write.
    UsageError
        The file can't be written, the workload is another engine's, or the engine has no log.
    ModelError, TargetError, EngineError
    """
    if (request is None) == (workload is None):
        raise UsageError("name a model or a workload, one of them")
    file = writable(output)
    tasks: list[tuple[str, Workload]]
    if workload is not None:
        row = store.find_workload(workload)
        if row.engine != tools.engine:
            raise UsageError(
                f"workload {row.hash[:12]} is one of the {row.engine} engine, not of {tools.engine}"
            )
        what, tasks = f"workload {row.hash[:12]}", [(row.name, store.get_workload(row.hash))]
    say("looking for the target")
    device = tools.resolve_target(target)
    if request is not None:
        model = extract_model(store, tools, request, device, say=say)
        what, tasks = model.prepared.name, [(task.name, task.workload) for task in model.tasks]
    found = {w.hash: _stored(store, w, device, best) for _, w in tasks}
    records = [(w, *_exported(trial)) for _, w in tasks for trial in found[w.hash]]
    if not records:
        kind = "successful trial" if best else "trial"
        raise NotFoundError(f"no {kind} of {what} is stored for {device.device_class}; nothing was written")
    say(f"writing {len(records)} records")
    write(file, tools.write_log(device.target, tuple(records)).encode())
    return ExportReport(
        path=file,
        target=device.target,
        device_class=device.device_class,
        trials=len(records),
        failed=sum(record.state is not TrialState.OK for _, record, _ in records),
        workloads=sum(bool(trials) for trials in found.values()),
        missing=tuple(name for name, w in tasks if not found[w.hash]),
    )


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text") from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None


def _unfit(line: LogLine, device: DeviceInfo) -> str:
    """Say why a line can't be filed under a device's class; nothing where it can.

    That it is of another kind goes first: then it is no wonder that its task can't be created here.
    """
    if line.kind and line.kind != device.kind:
        return f"it was measured for {line.kind} ({line.target}), and {device.device_class} is {device.kind}"
    return line.error


def _refusal(name: str, bad: Sequence[BadLine], lines: int) -> str:
    listed = "".join(f"\n  line {line.number}: {line.reason}" for line in bad[:_BAD_LISTED])
    if len(bad) > _BAD_LISTED:
        listed += f"\n  and {len(bad) - _BAD_LISTED} more"
    return (
        f"{len(bad)} of {lines} lines of {name} can't be imported, so nothing was; "
        f"--skip-bad leaves them out:{listed}"
    )


def _distinct(lines: Sequence[LogLine]) -> list[LogLine]:
    """Take one line of each candidate: the first that succeeded, else the first."""
    chosen: dict[tuple[str, str], LogLine] = {}
    for line in lines:
        known = chosen.setdefault(_key(line), line)
        if _record(known).state is not TrialState.OK and _record(line).state is TrialState.OK:
            chosen[_key(line)] = line
    return list(chosen.values())


def _unknown(store: Storage, lines: Sequence[LogLine], device: DeviceInfo) -> list[LogLine]:
    hashes = dict.fromkeys(_workload(line).hash for line in lines)
    known = {key: store.known_candidates(key, device.device_class) for key in hashes}
    return [line for line in lines if _record(line).candidate.hash not in known[_workload(line).hash]]


def _trial(line: LogLine, device: DeviceInfo, name: str) -> NewTrial:
    record = _record(line)
    return NewTrial(
        workload_hash=_workload(line).hash,
        device_class=device.device_class,
        candidate=record.candidate,
        measurement=Measurement(record.state, record.times, line.message),
        campaign_id=None,
        token=uuid.uuid4().hex,
        versions={"imported": name, "tvm": line.tvm},
    )


def _stored(store: Storage, workload: Workload, device: DeviceInfo, best: bool) -> list[TrialRow]:
    if best:
        return store.best(workload.hash, device.device_class, 1)
    return store.trials_of(workload.hash, device.device_class)


def _exported(trial: TrialRow) -> tuple[Record, str]:
    assert trial.trace is not None
    return Record(Candidate(trial.candidate, trial.trace), trial.times, trial.state), trial.message


def _key(line: LogLine) -> tuple[str, str]:
    return _workload(line).hash, _record(line).candidate.hash


def _workload(line: LogLine) -> Workload:
    assert line.workload is not None, f"line {line.number} is called good and has no workload"
    return line.workload


def _record(line: LogLine) -> Record:
    assert line.record is not None, f"line {line.number} is called good and has no record"
    return line.record
