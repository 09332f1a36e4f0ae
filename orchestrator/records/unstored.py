"""Trials that no store would take, kept in a file for a later import."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.metadata import version

from orchestrator.files import writing
from orchestrator.records.jsonl_lines import (
    class_line,
    header_line,
    instant,
    put_line,
    toolchain_line,
    workload_line,
)
from orchestrator.storage import DeviceClassRow, MeasurementKind, NewTrial, default_path
from workers.messages import DeviceInfo, TrialState, Workload

__all__ = ["save_unstored", "unstored_path"]


def unstored_path(campaign_id: int) -> pathlib.Path:
    """Return where the trials of a campaign are kept that no store took: in the user's data folder."""
    folder = default_path().parent
    folder.mkdir(parents=True, exist_ok=True)
    name = f"unstored-{campaign_id}-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}"
    # One run may have several within a second.
    others = (folder / f"{name}-{number}.jsonl" for number in itertools.count(2))
    several = itertools.chain([folder / f"{name}.jsonl"], others)
    return next(path for path in several if not path.exists())


def save_unstored(
    path: pathlib.Path,
    trials: Sequence[NewTrial],
    workloads: Sequence[Workload],
    devices: Iterable[DeviceInfo],
) -> None:
    """Write trials that no store has taken yet, to be imported when one does.

    Parameters
    ----------
    workloads, devices
        Those that the trials name, and maybe others; all of one engine.

    Raises
    ------
    UsageError
        The file can't be written.
    """
    now = instant(datetime.now(timezone.utc))
    engine = workloads[0].engine
    with writing(path) as file:
        put_line(file, header_line())
        for device in devices:
            row = DeviceClassRow(
                0, device.device_class, engine, device.target, device.model, device.cores, device.kind
            )
            put_line(file, {"device_class": class_line(row)})
        for workload in workloads:
            put_line(file, {"workload": workload_line(workload)})
        told: set[str] = set()
        for trial in trials:
            toolchain = toolchain_line({**trial.versions, "tunefleet": version("tunefleet")})
            if toolchain["name"] not in told:
                told.add(toolchain["name"])
                put_line(file, {"toolchain": toolchain})
            measured = trial.measurement
            short = measured.state is TrialState.OK and measured.message
            kind = trial.kind or (MeasurementKind.SHORT if short else MeasurementKind.FULL)
            line = {
                "workload": trial.workload_hash,
                "device_class": trial.device_class,
                "candidate": trial.candidate.hash,
                "trace": trial.candidate.trace,
                "measurements": [
                    {
                        "kind": kind.value,
                        "state": measured.state.value,
                        "times_s": list(measured.times),
                        "message": measured.message,
                        "device": measured.device,
                        "host": measured.host,
                        "toolchain": toolchain["name"],
                        "build_s": trial.build_s,
                        "run_s": measured.run_s,
                        "token": trial.token,
                        "measured_at": now,
                        **({} if trial.drift is None else {"drift": trial.drift}),
                    }
                ],
                "recorded_at": now,
            }
            put_line(file, {"trial": line})
