"""Trials of another store, with all their measurements, put beside those that are stored here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from orchestrator.storage._database import chunks
from orchestrator.storage._ids import add_rows, device_class_ids, storable, workload_ids
from orchestrator.storage._measurement_rows import insert_measurements
from orchestrator.storage._standing import cost_of, counting
from orchestrator.storage._tables import Measurement, Trial
from orchestrator.storage._toolchain_rows import canonical, first_toolchain, put_toolchains
from orchestrator.storage._trial_rows import of_pair
from orchestrator.storage.rows import Copied, MeasurementRow, TrialRow
from workers.messages import TrialState

__all__ = ["check_copy", "insert_copies", "lacking"]

_UNIQUE = ("workload_id", "device_class_id", "candidate")


def check_copy(trial: TrialRow) -> None:
    """Refuse a trial that can't be one.

    Raises
    ------
    ValueError
        It has no trace or no measurement, or one that is called ok without a time, or has times that are no
        numbers.
    """
    if trial.trace is None or not trial.measurements:
        lacks = "trace" if trial.trace is None else "measurements"
        raise ValueError(f"candidate {trial.candidate} comes without its {lacks}")
    for one in trial.measurements:
        empty = one.state is TrialState.OK and not one.times
        if empty or not all(math.isfinite(t) and t >= 0 for t in one.times):
            raise ValueError(
                f"candidate {trial.candidate} is {one.state.value}, and its times are {list(one.times)}"
            )


def lacking(connection: Connection, trials: Sequence[TrialRow]) -> int:
    """Count the measurements of these trials that are lacking where the trial is stored."""
    there: dict[tuple[str, str, str], set[tuple[str, str]]] = {}
    for pair in dict.fromkeys((trial.workload_hash, trial.device_class) for trial in trials):
        candidates = [t.candidate for t in trials if (t.workload_hash, t.device_class) == pair]
        for part in chunks(candidates):
            query = (
                select(Trial.candidate, Measurement.kind, Measurement.token)
                .join(Measurement, Measurement.trial_id == Trial.id)
                .where(of_pair(*pair), Trial.candidate.in_(part))
            )
            for row in connection.execute(query):
                there.setdefault((*pair, row.candidate), set()).add((row.kind, row.token))
    found = {
        ((trial.workload_hash, trial.device_class, trial.candidate), (one.kind.value, one.token))
        for trial in trials
        for one in trial.measurements
    }
    return sum(key in there and one not in there[key] for key, one in found)


def insert_copies(connection: Connection, trials: Sequence[TrialRow]) -> Copied:
    """Insert what isn't there of trials and their measurements; return how much was new."""
    added = lacking(connection, trials)
    workloads = workload_ids(connection, (trial.workload_hash for trial in trials))
    classes = device_class_ids(connection, {trial.device_class for trial in trials})
    first_toolchain(connection, _latest(trials))
    texts = {canonical(one.versions) for trial in trials for one in trial.measurements}
    toolchains = put_toolchains(connection, texts)
    rows = []
    for trial in trials:
        counted = trial.measurements[counting(trial.measurements, "")]
        rows.append(
            {
                "workload_id": workloads[trial.workload_hash],
                "device_class_id": classes[trial.device_class],
                "candidate": trial.candidate,
                "trace": (trial.trace or "").encode(),
                # Of what will be found out once all measurements are there.
                "state": counted.state.value,
                "cost_s": cost_of(counted.state.value, counted.times),
                "toolchain": counted.toolchain,
                "campaign_id": None,
                "created_at": trial.created_at,
            }
        )
    # One order for all writers; see insert_trials.
    rows.sort(key=lambda row: tuple(row[name] for name in _UNIQUE))
    new = add_rows(connection, Trial, _UNIQUE, rows)
    ids = _ids(connection, rows)
    values = [
        _values(ids[workloads[trial.workload_hash], classes[trial.device_class], trial.candidate], one)
        | {"toolchain_id": toolchains[canonical(one.versions)]}
        for trial in trials
        for one in trial.measurements
    ]
    insert_measurements(connection, values)
    return Copied(new, added)


def _latest(trials: Sequence[TrialRow]) -> dict[str, str]:
    """Return for each device class what the latest of these was measured with here, not by who signed it."""
    latest: dict[str, MeasurementRow] = {}
    for trial in trials:
        for one in (one for one in trial.measurements if not one.of_pack):
            known = latest.setdefault(trial.device_class, one)
            if one.measured_at > known.measured_at:
                latest[trial.device_class] = one
    return {name: one.toolchain for name, one in latest.items()}


def _ids(connection: Connection, rows: Sequence[dict[str, Any]]) -> dict[tuple[int, int, str], int]:
    found: dict[tuple[int, int, str], int] = {}
    pairs = dict.fromkeys((row["workload_id"], row["device_class_id"]) for row in rows)
    for pair in pairs:
        candidates = [r["candidate"] for r in rows if (r["workload_id"], r["device_class_id"]) == pair]
        for part in chunks(candidates):
            query = select(Trial.candidate, Trial.id).where(
                Trial.workload_id == pair[0], Trial.device_class_id == pair[1], Trial.candidate.in_(part)
            )
            found |= {(*pair, row.candidate): row.id for row in connection.execute(query)}
    return found


def _values(trial_id: int, one: MeasurementRow) -> dict[str, Any]:
    return {
        "trial_id": trial_id,
        "counts": False,
        "kind": one.kind.value,
        "state": one.state.value,
        "times": [float(t) for t in one.times],
        "message": storable(one.message),
        "device": storable(one.device),
        "host": storable(one.host),
        "build_s": one.build_s,
        "run_s": one.run_s,
        "token": one.token,
        "measured_at": one.measured_at,
        "drift": one.drift,
    }
