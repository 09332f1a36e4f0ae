"""The log of an engine's own tools, read and stored as trials."""

from __future__ import annotations

import os
import pathlib
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.errors import UsageError
from orchestrator.models.extraction import AUTO, extract_model
from orchestrator.models.request import ModelRequest
from orchestrator.records.reports import BadLine, refusal
from orchestrator.storage import MeasurementKind, NewTrial, Storage
from orchestrator.toolbox import Toolbox
from workers.messages import DeviceInfo, LogLine, Measurement, Record, TrialState, Workload

__all__ = ["ImportReport", "import_log"]


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
    notes : dict of str to int
        What is to be known about good lines, and of how many.
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
    notes: dict[str, int]
    repeated: int
    stored_before: int
    imported: int
    failed: int
    workloads: int
    dry_run: bool


def import_log(
    store: Storage,
    tools: Toolbox,
    path: str | os.PathLike[str],
    *,
    target: str = "auto",
    request: ModelRequest | None = None,
    skip_bad: bool = False,
    dry_run: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> ImportReport:
    """Store the trials of a log, all of them or none.

    Parameters
    ----------
    path : path
        A file, or a folder where that is what the engine's tools write.
    request : ModelRequest, optional
        The model that was tuned: a log need not say which arguments of a kernel are its weights.
    target : str, optional
        A log doesn't say on which device it was measured: its trials are filed under this target's.
    skip_bad : bool, optional
        Store the good lines where there are bad ones.
    dry_run : bool, optional
        Check the lines and store nothing.

    Raises
    ------
    UsageError
        The log can't be read, or, without `skip_bad`, there are bad lines: the text has their numbers.
    ModelError, TargetError, StorageError, EngineError
    """
    file = pathlib.Path(path).absolute()
    texts = _texts(file, tools)
    say("looking for the target")
    device = tools.resolve_target(target)
    tasks: dict[str, Workload] = {}
    if request is not None:
        # As stock tools lower it; or as it was tuned here, in a log that was exported.
        for layout in dict.fromkeys((tools.log_format().layout, AUTO)):
            model = extract_model(store, tools, request, device, say=say, layout=layout)
            tasks |= {task.workload.hash: task.workload for task in model.tasks}
    say(f"reading {file.name}")
    lines = tools.read_log(texts, device.target, tuple(tasks.values()))
    if not lines:
        raise UsageError(f"{path} holds no record")
    bad = tuple(BadLine(line.number, why, line.file) for line in lines if (why := _unfit(line, device)))
    # A line may be good for several workloads.
    total = len({(line.file, line.number) for line in lines})
    if bad and not skip_bad:
        raise UsageError(refusal(file.name, bad, total))
    broken = {(line.file, line.number) for line in bad}
    good = [line for line in lines if (line.file, line.number) not in broken]
    chosen = _distinct(good)
    new = _unknown(store, chosen, device)
    if not dry_run and new:
        say(f"storing {len(new)} trials")
        store.device_classes.put(tools.engine, device)
        store.workloads.put([_workload(line) for line in new])
        store.trials.record([_trial(line, device, file.name) for line in new])
    return ImportReport(
        path=file,
        device_class=device.device_class,
        targets=tuple(dict.fromkeys(line.target for line in good)),
        lines=total,
        bad=bad,
        notes=dict(Counter(line.note for line in good if line.note)),
        repeated=len(good) - len(chosen),
        stored_before=len(chosen) - len(new),
        imported=len(new),
        failed=sum(_record(line).state is not TrialState.OK for line in new),
        workloads=len({_workload(line).hash for line in new}),
        dry_run=dry_run,
    )


def _texts(path: pathlib.Path, tools: Toolbox) -> dict[str, str]:
    """Read the files of a log, by name."""
    names = tools.log_format().files
    if not names:
        if path.is_dir():
            raise UsageError(f"{path} is a folder; a log of the {tools.engine} engine is a file: name that")
        return {"": _text(path)}
    needed = f"a log of the {tools.engine} engine is a folder with {' and '.join(names)}"
    if not path.exists():
        raise UsageError(f"there is no folder {path}; {needed}")
    if not path.is_dir():
        raise UsageError(f"{path} is a file, and {needed}: name that folder")
    missing = [name for name in names if not (path / name).exists()]
    if missing:
        raise UsageError(f"there is no {' and no '.join(missing)} in {path}; {needed}")
    return {name: _text(path / name) for name in names}


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
    known = {key: store.trials.known_candidates(key, device.device_class) for key in hashes}
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
        kind=MeasurementKind.IMPORTED,
    )


def _key(line: LogLine) -> tuple[str, str]:
    return _workload(line).hash, _record(line).candidate.hash


def _workload(line: LogLine) -> Workload:
    assert line.workload is not None, f"line {line.number} is called good and has no workload"
    return line.workload


def _record(line: LogLine) -> Record:
    assert line.record is not None, f"line {line.number} is called good and has no record"
    return line.record
