"""The lines of a file of records: a header, then device classes, workloads and trials."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Annotated, Any, Literal, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from orchestrator.storage import DeviceClassRow, TrialRow
from workers.messages import TrialState, Workload

__all__ = [
    "FORMAT",
    "SIGNED_VERSION",
    "VERSION",
    "Entry",
    "Header",
    "Written",
    "class_line",
    "header_line",
    "instant",
    "module_bytes",
    "put_line",
    "trial_line",
    "workload_line",
]

FORMAT = "tunefleet-records"
VERSION = 1
#: Of a file that is signed: who reads version 1 alone would take its last line for a mistake.
SIGNED_VERSION = 2

_Finite = Annotated[float, Field(allow_inf_nan=False, ge=0)]


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


class _Trial(_Line):
    workload: str
    device_class: str
    candidate: str = Field(min_length=1)
    trace: str
    state: TrialState = Field(strict=False)
    times_s: list[_Finite]
    times_again_s: list[_Finite] = []
    message: str
    device: str
    host: str
    versions: dict[str, str]
    build_s: _Finite
    run_s: _Finite
    token: str
    recorded_at: AwareDatetime = Field(strict=False)

    @model_validator(mode="after")
    def _timed(self) -> _Trial:
        if self.state is TrialState.OK and not self.times_s:
            raise ValueError("it is called ok and has no times_s")
        return self


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
    """Any other line: one device class, one workload or one trial; and the signature, in a signed file."""

    device_class: _DeviceClass | None = None
    workload: _Workload | None = None
    trial: _Trial | None = None
    signature: _Signature | None = None

    @model_validator(mode="after")
    def _one(self) -> Entry:
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
        "version": VERSION if signer is None else SIGNED_VERSION,
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


def trial_line(trial: TrialRow) -> dict[str, Any]:
    """Say all of a trial that is not this store's own: neither its number nor its campaign."""
    line = {
        "workload": trial.workload_hash,
        "device_class": trial.device_class,
        "candidate": trial.candidate,
        "trace": trial.trace,
        "state": trial.state.value,
        "times_s": list(trial.times),
        "message": trial.message,
        "device": trial.device,
        "host": trial.host,
        "versions": trial.versions,
        "build_s": trial.build_s,
        "run_s": trial.run_s,
        "token": trial.token,
        "recorded_at": instant(trial.created_at),
    }
    # Releases that know nothing of it read the lines that need nothing of it.
    return {**line, "times_again_s": list(trial.again)} if trial.again else line


def module_bytes(line: _Workload) -> bytes:
    """Return the module of a workload's line."""
    if line.module is not None:
        return line.module.encode()
    assert line.module_base64 is not None
    return base64.b64decode(line.module_base64, validate=True)


def instant(then: datetime) -> str:
    """Write an instant as ISO 8601 in UTC, with a Z."""
    return then.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
