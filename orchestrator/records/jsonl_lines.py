"""The lines of a file of records: a header, then device classes, toolchains, workloads and trials."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Annotated, Any, Literal, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from orchestrator.storage import DeviceClassRow, MeasurementKind, MeasurementRow, TrialRow
from workers.messages import TrialState, Workload

__all__ = [
    "FORMAT",
    "READ",
    "SIGNED_VERSION",
    "VERSION",
    "Entry",
    "FirstEntry",
    "Header",
    "Written",
    "class_line",
    "header_line",
    "instant",
    "measurements_of",
    "module_bytes",
    "put_line",
    "toolchain_line",
    "toolchain_name",
    "trial_line",
    "workload_line",
]

FORMAT = "tunefleet-records"
VERSION = 3
#: Versions that can be read. In those before, a trial has the times of one toolchain, and those taken again.
READ = (1, 2, 3)
#: Of a file of those that is signed; of a later one its first line says so.
SIGNED_VERSION = 2
# Of a toolchain in a file: enough digits that no two of them share it.
_NAME_DIGITS = 16

_Finite = Annotated[float, Field(allow_inf_nan=False, ge=0)]
# A part of a time by which another is longer, or shorter: never by all of it.
_Drift = Annotated[float, Field(allow_inf_nan=False, gt=-1)]


class _Line(BaseModel):
    # Numbers are numbers and texts are texts; a field nobody knows is a mistake, or another version's.
    model_config = ConfigDict(strict=True, extra="forbid")


class _DeviceClass(_Line):
    name: str = Field(min_length=1)
    engine: str = Field(min_length=1)
    target: str
    model: str
    cores: int
    kind: str


class _Workload(_Line):
    hash: str = Field(min_length=1)
    engine: str = Field(min_length=1)
    name: str
    flops: _Finite
    module: str | None = None
    module_base64: str | None = None

    @model_validator(mode="after")
    def _one_module(self) -> _Workload:
        if (self.module is None) == (self.module_base64 is None):
            raise ValueError("give module or module_base64, one of them")
        return self


class _Toolchain(_Line):
    name: str = Field(min_length=1)
    versions: dict[str, str]


class _Measured(_Line):
    state: TrialState = Field(strict=False)
    times_s: list[_Finite]
    message: str
    device: str
    host: str
    build_s: _Finite
    run_s: _Finite
    token: str

    @model_validator(mode="after")
    def _timed(self) -> _Measured:
        if self.state is TrialState.OK and not self.times_s:
            raise ValueError("it is called ok and has no times_s")
        return self


class _Measurement(_Measured):
    kind: MeasurementKind = Field(strict=False)
    toolchain: str
    measured_at: AwareDatetime = Field(strict=False)
    drift: _Drift | None = None


class _Trial(_Line):
    workload: str
    device_class: str
    candidate: str = Field(min_length=1)
    trace: str
    measurements: list[_Measurement] = Field(min_length=1)
    recorded_at: AwareDatetime = Field(strict=False)


class _FirstTrial(_Measured):
    """A trial as files of the first two versions have it."""

    workload: str
    device_class: str
    candidate: str = Field(min_length=1)
    trace: str
    times_again_s: list[_Finite] = []
    versions: dict[str, str]
    recorded_at: AwareDatetime = Field(strict=False)


class _Signer(_Line):
    key: str = Field(max_length=100)
    name: str = Field(max_length=200)


class _Signature(_Line):
    sha512: str
    ed25519: str


class Header(_Line):
    """The first line: which format, which version of it, and who wrote it when."""

    format: Literal["tunefleet-records"]
    version: int
    written_at: str = ""
    tunefleet: str = ""
    signer: _Signer | None = None


class Entry(_Line):
    """Any other line: one device class, toolchain, workload or trial; or the signature, in a signed file."""

    device_class: _DeviceClass | None = None
    toolchain: _Toolchain | None = None
    workload: _Workload | None = None
    trial: _Trial | None = None
    signature: _Signature | None = None

    @model_validator(mode="after")
    def _one(self) -> Entry:
        if len(self.model_fields_set) != 1:
            raise ValueError("a line is a device_class, a toolchain, a workload or a trial, one of them")
        return self


class FirstEntry(_Line):
    """The same in a file of the first two versions."""

    device_class: _DeviceClass | None = None
    workload: _Workload | None = None
    trial: _FirstTrial | None = None
    signature: _Signature | None = None

    @model_validator(mode="after")
    def _one(self) -> FirstEntry:
        if len(self.model_fields_set) != 1:
            raise ValueError("a line is a device_class, a workload or a trial, one of them")
        return self


def header_line(signer: tuple[bytes, str] | None = None) -> dict[str, Any]:
    """Make the header of a file that is written now.

    Parameters
    ----------
    signer : tuple of (bytes, str), optional
        Public key and name of who signs it.
    """
    line = {
        "format": FORMAT,
        "version": VERSION,
        "written_at": instant(datetime.now(timezone.utc)),
        "tunefleet": version("tunefleet"),
    }
    if signer is None:
        return line
    return {**line, "signer": {"key": base64.b64encode(signer[0]).decode(), "name": signer[1]}}


class Written(Protocol):
    """What lines are written to."""

    def write(self, data: bytes, /) -> int:
        """Write bytes, and return how many."""


def put_line(file: Written, line: dict[str, Any]) -> None:
    """Write a line of a file; infinities and NaNs, which JSON lacks, raise a ValueError."""
    file.write(json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())
    file.write(b"\n")


def class_line(row: DeviceClassRow) -> dict[str, Any]:
    """Say all of a device class that is not this store's own."""
    return {
        "name": row.name,
        "engine": row.engine,
        "target": row.target,
        "model": row.model,
        "cores": row.cores,
        "kind": row.kind,
    }


def workload_line(workload: Workload) -> dict[str, Any]:
    """Say all of a workload; its module as text where it is text, else in base 64."""
    line: dict[str, Any] = {
        "hash": workload.hash,
        "engine": workload.engine,
        "name": workload.name,
        "flops": workload.flops,
    }
    try:
        line["module"] = workload.module.decode()
    except UnicodeDecodeError:
        line["module_base64"] = base64.b64encode(workload.module).decode()
    return line


def toolchain_name(versions: Mapping[str, str]) -> str:
    """Name a toolchain within a file."""
    canonical = json.dumps(dict(versions), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_NAME_DIGITS]


def toolchain_line(versions: Mapping[str, str]) -> dict[str, Any]:
    """Say all of a toolchain."""
    return {"name": toolchain_name(versions), "versions": dict(versions)}


def trial_line(trial: TrialRow) -> dict[str, Any]:
    """Say all of a trial that is not this store's own: neither its number nor its campaign."""
    return {
        "workload": trial.workload_hash,
        "device_class": trial.device_class,
        "candidate": trial.candidate,
        "trace": trial.trace,
        "measurements": [
            {
                "kind": one.kind.value,
                "state": one.state.value,
                "times_s": list(one.times),
                "message": one.message,
                "device": one.device,
                "host": one.host,
                "toolchain": toolchain_name(one.versions),
                "build_s": one.build_s,
                "run_s": one.run_s,
                "token": one.token,
                "measured_at": instant(one.measured_at),
                # Most have none, and earlier releases know of none.
                **({} if one.drift is None else {"drift": one.drift}),
            }
            for one in trial.measurements
        ],
        "recorded_at": instant(trial.created_at),
    }


def measurements_of(
    trial: _Trial | _FirstTrial, toolchains: Mapping[str, dict[str, str]]
) -> tuple[MeasurementRow, ...]:
    """Return the measurements of a trial's line.

    Parameters
    ----------
    toolchains : mapping of str to dict
        Those of the lines before it, by their names.

    Raises
    ------
    ValueError
        No line before it is about the toolchain of one.
    """
    if isinstance(trial, _FirstTrial):
        return _first_measurements(trial)
    for one in trial.measurements:
        if one.toolchain not in toolchains:
            raise ValueError(f"no line before it is about its toolchain {one.toolchain}")
    return tuple(
        replace(
            _measured(one, one.kind, toolchains[one.toolchain], one.measured_at),
            drift=one.drift,
        )
        for one in trial.measurements
    )


def _first_measurements(trial: _FirstTrial) -> tuple[MeasurementRow, ...]:
    kind = MeasurementKind.FULL
    if "imported" in trial.versions:
        kind = MeasurementKind.IMPORTED
    elif trial.state is TrialState.OK and trial.message:
        kind = MeasurementKind.SHORT
    once = _measured(trial, kind, trial.versions, trial.recorded_at)
    if not trial.times_again_s:
        return (once,)
    again = replace(once, kind=MeasurementKind.AGAIN, times=tuple(trial.times_again_s), message="")
    return once, again


def _measured(
    line: _Measured, kind: MeasurementKind, versions: dict[str, str], then: datetime
) -> MeasurementRow:
    return MeasurementRow(
        kind=kind,
        state=line.state,
        times=tuple(line.times_s),
        message=line.message,
        device=line.device,
        host=line.host,
        versions=versions,
        build_s=line.build_s,
        run_s=line.run_s,
        token=line.token,
        measured_at=then,
    )


def module_bytes(line: _Workload) -> bytes:
    """Return the module of a workload's line."""
    if line.module is not None:
        return line.module.encode()
    assert line.module_base64 is not None
    return base64.b64decode(line.module_base64, validate=True)


def instant(then: datetime) -> str:
    """Write an instant as ISO 8601 in UTC, with a Z."""
    return then.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
