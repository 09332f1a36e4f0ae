"""MetaSchedule's own log: the two files of its JSONDatabase, as stock TVM writes and reads them.

``database_workload.json`` has a module a line, ``database_tuning_record.json`` a record a line, which names
its workload by the number of that one's line, from 0. See ``src/s_tir/meta_schedule/database`` in TVM's
sources.

A workload there is a kernel as some model had it, with that model's names. It is read into its canonical
form, and its traces with it. Written for a model, workloads have that model's names again: stock finds them
by their structure, which names are no part of, but a search that goes on from them applies their traces to
the model's own kernels.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import pathlib
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import tvm
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.target import Target
from tvm.tirx import PrimFunc

from workers.engines.metaschedule._intrinsics import register_intrinsics
from workers.engines.metaschedule.model import imported, stock_kernels
from workers.engines.metaschedule.records import candidate_of, replayed, translated
from workers.engines.metaschedule.targets import parse_target, resolve_target, same_device
from workers.engines.metaschedule.traits import LOG_MODEL, LOG_RECORDS, LOG_WORKLOADS, NAME
from workers.engines.metaschedule.workload import (
    FREE_LAYOUTS,
    canonical_module,
    canonical_names,
    load_module,
    only_function,
    plain_hash,
    save_module,
    workload_hash,
)
from workers.errors import TargetError
from workers.messages import LogLine, PreparedModel, Record, TrialState, Workload, WrittenLog
from workers.process.host import stage

__all__ = ["MetaScheduleLogs", "read_log", "write_log"]

# What TVM's AddToDatabase writes as the only time of a candidate that failed; it keeps no reason.
_FAILED_SECONDS = 1e10
_NO_REASON = "it failed; MetaSchedule's database does not say why"
_PLAIN = (
    "its workload does not say which arguments are weights, and builds look for one that does: "
    "name the model it was tuned for (--model)"
)


class _UnusableError(Exception):
    """What is wrong with a line."""


@dataclass(frozen=True)
class _Stored:
    """A line of the workloads.

    Attributes
    ----------
    names : dict of str to str
        From its own names to the canonical ones.
    workloads : tuple of Workload
        What its records are filed under.
    """

    names: dict[str, str]
    workloads: tuple[Workload, ...]
    tvm: str
    note: str = ""


def read_log(
    files: dict[str, str], target: str, tasks: tuple[Workload, ...], engine: str
) -> tuple[LogLine, ...]:
    """Read a JSONDatabase; see :meth:`workers.enginekit.roles.Logs.read_log`.

    Stock lowers and tunes kernels without a word on which arguments are constants; here they say so, for a
    constant's layout is free (see :func:`.model._with_free_layouts`). Such a record is filed under those of
    `tasks`, or of the log's other workloads, that are the same kernel but for this, and under its own where
    there is none.
    """
    workloads, lines = _workloads(files[LOG_WORKLOADS], tasks, engine)
    targets: dict[str, str] = {}
    own = parse_target(target)
    for number, line in _lines(files[LOG_RECORDS]):
        stage(f"reading line {number} of {LOG_RECORDS}")
        lines += _read(LogLine(number, file=LOG_RECORDS), line, workloads, targets, own)
    return tuple(lines)


def write_log(
    target: Target, records: tuple[tuple[Workload, Record, str], ...], model: PreparedModel | None
) -> WrittenLog:
    """Write a JSONDatabase; see :meth:`workers.enginekit.roles.Logs.write_log`.

    A model's kernels are in it twice: as they were tuned, for pipelines that put the weights into their
    layout ahead, and as stock lowers them by default, for ``compile_relax``.
    """
    grouped: dict[str, list[Record]] = {}
    for workload, record, _ in records:
        grouped.setdefault(workload.hash, []).append(record)
    if any("Tensorize" in record.candidate.trace for _, record, _ in records):
        register_intrinsics(target)
    kernels: Iterable[tuple[IRModule, tuple[str, ...]]]
    if model is not None:
        kernels = stock_kernels(model, target)
    else:
        kernels = [(load_module(w.module), (w.hash,)) for w in {w.hash: w for w, *_ in records}.values()]
    left_out: dict[tuple[str, str], str] = {}
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        database = ms.database.JSONDatabase(work_dir=folder)
        for module, keys in kernels:
            found = {record.candidate.hash: (key, record) for key in keys for record in grouped.get(key, ())}
            if not found or database.has_workload(module):
                continue
            stage("writing records")
            stored = database.commit_workload(module)
            for key, record in found.values():
                try:
                    database.commit_tuning_record(_written(record, stored, target))
                except Exception as error:  # stock could read nothing of a database that holds it
                    left_out[key, record.candidate.hash] = f"its trace does not apply: {_said(error)}"
        files = {name: (pathlib.Path(folder) / name).read_bytes() for name in (LOG_WORKLOADS, LOG_RECORDS)}
    if model is not None:
        files[LOG_MODEL] = str(tvm.ir.save_json(imported(model, target))).encode()
    return WrittenLog(files, left_out)


def _workloads(
    text: str, tasks: tuple[Workload, ...], engine: str
) -> tuple[dict[int, _Stored | int], list[LogLine]]:
    """Read the workloads: by their index what they are, or the number of the line that is broken."""
    read: dict[int, tuple[PrimFunc, Workload, str]] = {}
    found: dict[int, _Stored | int] = {}
    broken: list[LogLine] = []
    for number, line in _lines(text):
        stage(f"reading line {number} of {LOG_WORKLOADS}")
        try:
            read[number - 1] = _workload(line, engine)
        except _UnusableError as error:
            found[number - 1] = number
            broken.append(LogLine(number, error=str(error), file=LOG_WORKLOADS))
    plain: dict[str, dict[str, Workload]] = {}
    known = {workload.hash: workload for workload in tasks if workload.engine == engine}
    full = [workload for func, workload, _ in read.values() if FREE_LAYOUTS in func.attrs]
    for workload in [*known.values(), *full]:
        key = plain_hash(load_module(workload.module))
        plain.setdefault(key, {}).setdefault(workload.hash, workload)
    for index, (func, workload, version) in read.items():
        names = canonical_names(func)
        if FREE_LAYOUTS in func.attrs:
            found[index] = _Stored(names, (known.get(workload.hash, workload),), version)
        elif workload.hash in plain:
            found[index] = _Stored(names, tuple(plain[workload.hash].values()), version)
        else:
            found[index] = _Stored(names, (workload,), version, _PLAIN)
    return found, broken


def _workload(line: str, engine: str) -> tuple[PrimFunc, Workload, str]:
    """Read a workload: the kernel as it stands there, its canonical form, the TVM that wrote it."""
    match _json(line):
        case [str(), str(encoded)]:
            pass
        case _:
            raise _UnusableError("it is not [hash, module]")
    try:
        # TVM puts the length of the text before it, as 64 bits.
        text = base64.b64decode(encoded, validate=True)[8:].decode()
        version = str(json.loads(text).get("metadata", {}).get("tvm_version", ""))
    except (binascii.Error, ValueError, AttributeError) as error:
        raise _UnusableError(f"its module is no JSON in base64: {error}") from None
    try:
        func = only_function(tvm.ir.load_json(text))
        canonical = canonical_module(func)
        key = workload_hash(canonical)
    except Exception as error:  # TVM raises what it likes about what another version wrote
        by = f", and TVM {version} wrote it" if version else ""
        raise _UnusableError(f"TVM {tvm.__version__} can't read its module{by}: {_said(error)}") from None
    try:
        flops = float(tvm.s_tir.analysis.estimate_tir_flops(canonical))
    except Exception:  # what can't be estimated has no number, and can be tuned all the same
        flops = 0.0
    return func, Workload(key, engine, _readable(canonical), flops, save_module(canonical)), version


def _readable(module: IRModule) -> str:
    """Name a kernel after its blocks, for a database has no name for it."""
    schedule = Schedule(module)
    blocks = schedule.get_child_blocks(schedule.get_sblock("root", func_name="main"))
    names = [str(schedule.get(block).name_hint) for block in blocks]
    # Those named after an argument say nothing.
    said = [re.sub(r"^T_", "", name) for name in names if not re.match(r"arg\d", name)]
    return "_".join(said[:4]) or "kernel"


def _read(
    known: LogLine,
    line: str,
    workloads: dict[int, _Stored | int],
    targets: dict[str, str],
    own: Target,
) -> list[LogLine]:
    try:
        index, trace, seconds, described = _row(line)
        spec = json.dumps(described, sort_keys=True)
        known = replace(known, target=spec)
        stored = workloads.get(index)
        if stored is None:
            raise _UnusableError(f"its workload is line {index + 1} of {LOG_WORKLOADS}, which is not there")
        if isinstance(stored, int):
            raise _UnusableError(f"its workload, line {stored} of {LOG_WORKLOADS}, can't be used")
        known = replace(known, tvm=stored.tvm, note=stored.note)
        if spec not in targets:
            targets[spec] = _other_target(spec, own)
        if targets[spec]:
            raise _UnusableError(targets[spec])
        times = _times(seconds)
        _check_trace(trace)
        if "Tensorize" in line:
            register_intrinsics(own)
        trace = translated(_with_truth(trace), stored.names)
        return [_filed(known, workload, trace, times) for workload in stored.workloads]
    except _UnusableError as error:
        return [replace(known, error=str(error), note="")]


def _filed(known: LogLine, workload: Workload, trace: Any, times: tuple[float, ...]) -> LogLine:
    try:
        # As TVM says it, not as the line does, so that it is the candidate that a search knows.
        candidate = candidate_of(replayed(load_module(workload.module), trace).trace)
    except Exception as error:  # a schedule primitive raises what it likes
        raise _UnusableError(f"its trace does not apply to its workload: {_said(error)}") from None
    state = TrialState.OK if times else TrialState.RUN_ERROR
    message = "" if times else _NO_REASON
    return replace(known, workload=workload, record=Record(candidate, times, state), message=message)


def _row(line: str) -> tuple[int, Any, Any, dict[str, Any]]:
    match _json(line):
        case [index, [trace, seconds, target, _]] if type(index) is int:
            pass
        case _:
            raise _UnusableError("it is not [workload, [trace, seconds, target, arguments]]")
    if not isinstance(target, dict):
        raise _UnusableError("it does not say for which target it was measured")
    return index, trace, seconds, target


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise _UnusableError(f"it is no JSON: {error.msg}, column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise _UnusableError(f"it is no JSON: {error}") from None


def _other_target(spec: str, own: Target) -> str:
    """Say what is wrong with the target of a line; nothing where it is the device's."""
    try:
        found = resolve_target(spec).target
    except TargetError as error:
        return str(error)
    if same_device(parse_target(found), own):
        return ""
    return f"it was measured for another target; --target '{found}' takes it"


def _times(seconds: Any) -> tuple[float, ...]:
    """Return the times of a record; none where it failed."""
    values = [] if seconds is None else seconds
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise _UnusableError(f"its times are {json.dumps(seconds)}")
    if all(value == _FAILED_SECONDS for value in values):
        return ()
    if not all(math.isfinite(value) and 0 < value < _FAILED_SECONDS for value in values):
        raise _UnusableError(f"its times are {json.dumps(seconds)}")
    return tuple(map(float, values))


def _check_trace(trace: Any) -> None:
    """Refuse what TVM would take for a trace without looking, or fill up at random."""
    match trace:
        case [list(instructions), list(decisions)]:
            pass
        case _:
            raise _UnusableError("its trace is not [instructions, decisions]")
    for instruction in instructions:
        match instruction:
            case ["GetSBlock", list(), [str(), str()], list()]:
                pass
            case [str(kind), list(), list(), list()] if kind != "GetSBlock":
                pass
            case _:
                raise _UnusableError("an instruction of its trace is not [name, inputs, attributes, outputs]")
    decided = set()
    for decision in decisions:
        match decision:
            case [index, _] if type(index) is int and 0 <= index < len(instructions):
                decided.add(index)
            case _:
                raise _UnusableError("a decision of its trace is not [instruction, decision]")
    for index, (kind, *_) in enumerate(instructions):
        if kind.startswith("Sample") and index not in decided:
            raise _UnusableError(f"its trace leaves open what instruction {index} ({kind}) chose")


def _with_truth(trace: Any) -> Any:
    """Return a trace with the truth value that TVM writes as a number.

    It is the only one in the traces of 0.27. With it the candidate is the one that a search proposes.
    """
    instructions, decisions = trace
    return [[_truthful(*instruction) for instruction in instructions], decisions]


def _truthful(kind: str, inputs: Any, attrs: Any, outputs: Any) -> Any:
    if kind == "Annotate" and attrs == ["meta_schedule.layout_rewrite_preproc"]:
        inputs = [*inputs[:1], *map(bool, inputs[1:])]
    return [kind, inputs, attrs, outputs]


def _written(record: Record, stored: Any, target: Target) -> Any:
    """Return a record for the kernel of a stored workload, in whose names the trace is put."""
    func = only_function(stored.mod)
    names = {canonical: own for own, canonical in canonical_names(func).items()}
    schedule = replayed(stored.mod, translated(json.loads(record.candidate.trace), names))
    return ms.database.TuningRecord(
        schedule.trace,
        stored,
        list(record.times) or [_FAILED_SECONDS],
        target,
        ms.arg_info.ArgInfo.from_entry_func(schedule.mod, remove_preproc=True),
    )


def _lines(text: str) -> Iterable[tuple[int, str]]:
    """Number the lines that hold something. Not splitlines, for a JSON string may hold its ends of lines."""
    return ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _said(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


class MetaScheduleLogs:
    """See :class:`workers.enginekit.roles.Logs`."""

    def read_log(
        self, files: dict[str, str], target: str, tasks: tuple[Workload, ...] = ()
    ) -> tuple[LogLine, ...]:
        """Read a JSONDatabase."""
        return read_log(files, target, tasks, NAME)

    def write_log(
        self,
        target: str,
        records: tuple[tuple[Workload, Record, str], ...],
        model: PreparedModel | None = None,
    ) -> WrittenLog:
        """Write records as a JSONDatabase."""
        return write_log(parse_target(target), records, model)
