"""Records of a store, written as the log of an engine's own tools."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.errors import EngineError, NotFoundError, UsageError
from orchestrator.files import writable, writable_folder, write, write_folder
from orchestrator.models.extraction import extract_model
from orchestrator.models.request import ModelRequest
from orchestrator.storage import Storage, TrialRow
from orchestrator.toolbox import Toolbox
from workers.messages import Candidate, DeviceInfo, PreparedModel, Record, TrialState, Workload

__all__ = ["ExportReport", "export_log"]


@dataclass(frozen=True)
class ExportReport:
    """What was written to a log.

    Attributes
    ----------
    trials, failed, workloads : int
        Trials written, how many of them are failures, and of how many workloads they are.
    missing : tuple of str
        Names of the tasks of which nothing is stored.
    left_out : tuple of str
        Which other trials are not in it, and why the engine couldn't write them.
    """

    path: pathlib.Path
    target: str
    device_class: str
    trials: int
    failed: int
    workloads: int
    missing: tuple[str, ...]
    left_out: tuple[str, ...] = ()


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
    """Write the stored trials of a model's tasks, or of a workload, as a log: a file, or the engine's folder.

    Of a workload that has trials of the current toolchain, stale ones are left out.

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
        The file or folder can't be written, or the workload is another engine's.
    ModelError, TargetError, EngineError
    """
    if (request is None) == (workload is None):
        raise UsageError("name a model or a workload, one of them")
    parts = tools.log_format()
    file = (
        writable_folder(output, {*parts.files, *parts.beside})
        if parts.files
        else writable(output, read=_read(store, request))
    )
    tasks: list[tuple[str, Workload]]
    prepared: PreparedModel | None = None
    if workload is not None:
        row = store.workloads.resolve(workload)
        if row.engine != tools.engine:
            raise UsageError(
                f"workload {row.hash[:12]} is one of the {row.engine} engine, not of {tools.engine}"
            )
        what, tasks = f"workload {row.hash[:12]}", [(row.name, store.workloads.get(row.hash))]
    say("looking for the target")
    device = tools.resolve_target(target)
    if request is not None:
        model = extract_model(store, tools, request, device, say=say)
        prepared = model.prepared
        what, tasks = prepared.name, [(task.name, task.workload) for task in model.tasks]
    found = {w.hash: _stored(store, w, device, best) for _, w in tasks}
    records = [(w, *_exported(trial)) for _, w in tasks for trial in found[w.hash]]
    if not records:
        kind = "successful trial" if best else "trial"
        raise NotFoundError(f"no {kind} of {what} is stored for {device.device_class}; nothing was written")
    say(f"writing {len(records)} records")
    log = tools.write_log(device.target, tuple(records), prepared)
    left_out = tuple(f"candidate {key[1][:12]}: {why}" for key, why in log.left_out.items())
    written = [item for item in records if (item[0].hash, item[1].candidate.hash) not in log.left_out]
    if not written:
        raise EngineError(f"no record of {what} can be written; {left_out[0]}")
    if parts.files:
        write_folder(file, log.files, {*parts.files, *parts.beside})
    else:
        write(file, log.files[""])
    return ExportReport(
        path=file,
        target=device.target,
        device_class=device.device_class,
        trials=len(written),
        failed=sum(record.state is not TrialState.OK for _, record, _ in written),
        workloads=len({w.hash for w, *_ in written}),
        missing=tuple(name for name, w in tasks if not found[w.hash]),
        left_out=left_out,
    )


def _read(store: Storage, request: ModelRequest | None) -> list[str | os.PathLike[str]]:
    """Return the files that must not be written over."""
    return [*([] if store.path is None else [store.path]), *([] if request is None else [request.path])]


def _stored(store: Storage, workload: Workload, device: DeviceInfo, best: bool) -> list[TrialRow]:
    if best:
        return store.trials.best(workload.hash, device.device_class, 1)
    trials = store.trials.of_workload(workload.hash, device.device_class)
    # A log has no place to say what was measured with: its reader would take the fastest, whatever that was.
    return [trial for trial in trials if not trial.stale] or trials


def _exported(trial: TrialRow) -> tuple[Record, str]:
    assert trial.trace is not None
    # What this project says of a trial that is well, other tools have no place for.
    message = "" if trial.state is TrialState.OK else trial.message
    return Record(Candidate(trial.candidate, trial.trace), trial.times, trial.state), message
