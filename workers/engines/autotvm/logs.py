"""AutoTVM's own log of measurements, a JSON object a line, as :mod:`tvm.autotvm.record` has it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from typing import Any

from workers.engines.autotvm.classic import autotvm, tvm
from workers.engines.autotvm.targets import parse_target
from workers.engines.autotvm.tasks import candidate_of, config_of, tvm_workload, workload_of
from workers.engines.autotvm.traits import NAME
from workers.errors import TargetError
from workers.messages import LogLine, PreparedModel, Record, TrialState, Workload, WrittenLog
from workers.process.host import stage

__all__ = ["AutoTVMLogs", "read_log", "write_log"]

_ErrorNo = autotvm.measure.MeasureErrorNo

_STATES = {
    _ErrorNo.NO_ERROR: TrialState.OK,
    _ErrorNo.INSTANTIATION_ERROR: TrialState.BUILD_ERROR,
    _ErrorNo.COMPILE_HOST: TrialState.BUILD_ERROR,
    _ErrorNo.COMPILE_DEVICE: TrialState.BUILD_ERROR,
    _ErrorNo.RUNTIME_DEVICE: TrialState.RUN_ERROR,
    _ErrorNo.WRONG_ANSWER: TrialState.WRONG_OUTPUT,
    _ErrorNo.BUILD_TIMEOUT: TrialState.BUILD_TIMEOUT,
    _ErrorNo.RUN_TIMEOUT: TrialState.RUN_TIMEOUT,
    _ErrorNo.UNKNOWN_ERROR: TrialState.RUN_ERROR,
}
# Of failures that no log told of, by their state, so that it is the same when read back. RUNTIME_DEVICE for
# all others.
_NUMBERS = {
    TrialState.BUILD_ERROR: _ErrorNo.COMPILE_HOST,
    TrialState.BUILD_TIMEOUT: _ErrorNo.BUILD_TIMEOUT,
    TrialState.RUN_TIMEOUT: _ErrorNo.RUN_TIMEOUT,
    TrialState.WRONG_OUTPUT: _ErrorNo.WRONG_ANSWER,
}
_NUMBERED = re.compile(r"AutoTVM error (\d+) \(\w+\)(?:: |$)")


class _UnusableError(Exception):
    """What is wrong with a line."""


@dataclass(frozen=True)
class _Task:
    """What lines of one task share."""

    workload: Workload
    space: dict[str, Any]


def read_log(text: str, engine: str) -> tuple[LogLine, ...]:
    """Read a log; see :meth:`workers.enginekit.roles.Logs.read_log`.

    Empty lines, and comments, which begin with ``#``, are no records.
    """
    tasks: dict[str, _Task | _UnusableError] = {}
    # Not splitlines, for which a text inside of a JSON string may hold ends of lines.
    return tuple(
        _read(number, line, tasks, engine)
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip() and not line.startswith("#")
    )


def write_log(target: tvm.target.Target, records: tuple[tuple[Workload, Record, str], ...]) -> str:
    """Write a log; see :meth:`workers.enginekit.roles.Logs.write_log`.

    Stock AutoTVM reads it: ``autotvm.apply_history_best(file)``. The cause of a failure is a field more than
    it knows, and that it leaves alone.
    """
    return "".join(f"{_written(target, *item)}\n" for item in records)


def _read(number: int, line: str, tasks: dict[str, _Task | _UnusableError], engine: str) -> LogLine:
    known = LogLine(number)
    try:
        row = _row(line)
        spec, name, args = _input(row)
        known = replace(known, target=spec, tvm=str(row.get("tvm_version") or ""))
        try:
            target = parse_target(spec)
        except TargetError as error:
            raise _UnusableError(str(error)) from None
        known = replace(known, kind="cpu" if target.kind.name == "llvm" else str(target.kind.name))
        task = _task(target, name, args, tasks, f"line {number}", engine)
        times, error_no = _result(row["result"])
        record = Record(_candidate(row["config"], task), times, _STATES[error_no])
        message = "" if error_no == _ErrorNo.NO_ERROR else _message(error_no, row.get("message"))
        return replace(known, workload=task.workload, record=record, message=message)
    except _UnusableError as error:
        return replace(known, error=str(error))


def _row(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise _UnusableError(f"it is no JSON: {error.msg}, column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise _UnusableError(f"it is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise _UnusableError("it is no JSON object")
    if row.get("v") == 0.1:
        raise _UnusableError("it has version 0.1 of the format, which AutoTVM doesn't read any more")
    for key in ("input", "config", "result"):
        if key not in row:
            raise _UnusableError(f"it has no {key!r}")
    return row


def _input(row: dict[str, Any]) -> tuple[str, str, list[Any]]:
    match row["input"]:
        case [str(target), str(name), list(args), _]:
            # As stock does with what old versions wrote.
            return target.replace("-target", "-mtriple"), name, args
    raise _UnusableError("its 'input' is not [target, name, arguments, {}]")


def _task(
    target: tvm.target.Target,
    name: str,
    args: list[Any],
    tasks: dict[str, _Task | _UnusableError],
    where: str,
    engine: str,
) -> _Task:
    """Create the task of a line, once for all lines that have it."""
    key = json.dumps([str(target), name, args])
    found = tasks.get(key)
    if found is None:
        stage(f"creating the task of {where}")
        try:
            found = _created(target, name, args, engine)
        except _UnusableError as error:
            found = error
        tasks[key] = found
    if isinstance(found, _UnusableError):
        raise _UnusableError(str(found))
    return found


def _created(target: tvm.target.Target, name: str, args: list[Any], engine: str) -> _Task:
    if name not in autotvm.task.task.TASK_TABLE:
        raise _UnusableError(f"this classic TVM has no template {name!r}")
    described = json.dumps([name, args]).encode()
    try:
        # Through JSON, which has lists where AutoTVM wants tuples.
        _, *arguments = tvm_workload(Workload("", engine, name, 0.0, described))
        task = autotvm.task.create(name, arguments, target)
        return _Task(workload_of(task, engine), dict(task.config_space.space_map))
    except Exception as error:  # a template may raise anything
        raise _UnusableError(f"its task {name} can't be created: {_last_line(error)}") from None


def _candidate(described: Any, task: _Task) -> Any:
    """Return the candidate of a line, where it has a choice for all that the task's space leaves open.

    A choice need not be one that this TVM's space offers: that of another version may have had more.
    """
    try:
        config = autotvm.task.space.ConfigEntity.from_json_dict(described)
        candidate = candidate_of(config)
    except Exception as error:
        raise _UnusableError(
            f"its 'config' can't be read: {type(error).__name__}: {_last_line(error)}"
        ) from None
    chosen = config._entity_map
    if set(chosen) != set(task.space):
        raise _UnusableError(
            f"its 'config' chooses {', '.join(chosen) or 'nothing'}, "
            f"where {task.workload.name} leaves open {', '.join(task.space) or 'nothing'}"
        )
    for name, space in task.space.items():
        if not _fits(chosen[name], space):
            raise _UnusableError(f"its 'config' chooses {chosen[name]} for {name}, which can't be")
    return candidate


def _fits(choice: Any, space: Any) -> bool:
    if not isinstance(space, autotvm.task.space.SplitSpace):
        return all(type(choice) is type(entity) for entity in space.entities[:1])
    sizes = getattr(choice, "size", None)
    if not isinstance(sizes, list) or len(sizes) != space.num_output:
        return False
    if not all(type(n) is int and n > 0 for n in sizes[1:]):
        return False
    return bool(space.policy != "factors" or space.product % math.prod(sizes[1:]) == 0)


def _result(described: Any) -> tuple[tuple[float, ...], Any]:
    match described:
        case [costs, int(number), _, _] if number in iter(_ErrorNo):
            error_no = _ErrorNo(number)
        case _:
            raise _UnusableError("its 'result' is not [costs, error number, seconds, time stamp]")
    if error_no != _ErrorNo.NO_ERROR:
        return (), error_no
    times = costs if isinstance(costs, list) else []
    if not times or not all(type(t) in (int, float) and math.isfinite(t) and t > 0 for t in times):
        raise _UnusableError(f"it is no failure, but its times are {json.dumps(costs)}")
    return tuple(map(float, times)), error_no


def _message(error_no: Any, told: Any) -> str:
    """Say what failed, with the number for :func:`_written` to find."""
    text = f"AutoTVM error {int(error_no)} ({error_no.name})"
    return f"{text}: {told}" if isinstance(told, str) and told else text


def _written(target: tvm.target.Target, workload: Workload, record: Record, message: str) -> str:
    name, *args = tvm_workload(workload)
    inputs = autotvm.MeasureInput(target, autotvm.task.Task(name, tuple(args)), config_of(record.candidate))
    if record.state is TrialState.OK:
        result = autotvm.MeasureResult(record.times, 0, sum(record.times), 0.0)
        return str(autotvm.record.encode(inputs, result))
    numbered = _NUMBERED.match(message)
    if numbered:
        number, message = int(numbered[1]), message[numbered.end() :]
    else:
        number = int(_NUMBERS.get(record.state, _ErrorNo.RUNTIME_DEVICE))
    # It writes the cost of a failure by itself.
    row = json.loads(autotvm.record.encode(inputs, autotvm.MeasureResult((), number, 0.0, 0.0)))
    return json.dumps({**row, "message": message} if message else row)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


class AutoTVMLogs:
    """See :class:`workers.enginekit.roles.Logs`."""

    def read_log(
        self, files: dict[str, str], target: str, tasks: tuple[Workload, ...] = ()
    ) -> tuple[LogLine, ...]:
        """Read AutoTVM's log of JSON lines."""
        # A line names its task in full. And logs write one target in many ways, so that the kind alone is
        # compared.
        del target, tasks
        return read_log(files[""], NAME)

    def write_log(
        self,
        target: str,
        records: tuple[tuple[Workload, Record, str], ...],
        model: PreparedModel | None = None,
    ) -> WrittenLog:
        """Write records as AutoTVM does."""
        del model
        return WrittenLog({"": write_log(parse_target(target), records).encode()})
