"""Models, workloads, device classes and devices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from workers.messages import DeviceInfo, Origin, TensorSpec

__all__ = [
    "DeviceClassRow",
    "DeviceRow",
    "LayoutRow",
    "ModelDeviceRow",
    "ModelRow",
    "Sighting",
    "WorkloadRow",
]


@dataclass(frozen=True)
class ModelRow:
    """A model as it was prepared, without its bytes."""

    id: int
    sha256: str
    shapes_key: str
    name: str
    path: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    changes: tuple[str, ...]
    created_at: datetime
    origin: Origin | None = None


@dataclass(frozen=True)
class DeviceClassRow:
    """What makes run times comparable: a target and a device model."""

    id: int
    name: str
    engine: str
    target: str
    model: str
    cores: int
    kind: str


@dataclass(frozen=True)
class Sighting:
    """How a device stands.

    Attributes
    ----------
    key, host : str
        Under which it is known, and where.
    state : {'seen', 'free', 'busy', 'quarantined', 'lost'}
        ``seen`` says that nobody measures on it any more.
    message : str
        Its last error.
    trials_per_hour : float or None
        What it measured lately; None leaves what is stored.
    """

    key: str
    host: str
    info: DeviceInfo
    state: str = "seen"
    message: str = ""
    trials_per_hour: float | None = None


@dataclass(frozen=True)
class DeviceRow:
    """A device that was seen under a tracker key on a host.

    Attributes
    ----------
    state : str
        As of `last_seen_at`; see :class:`Sighting`.
    message : str
        Its last error.
    trials_per_hour : float or None
        In the campaign that measured on it last.
    model : str
        Name of the CPU or GPU; a board's key.
    """

    id: int
    key: str
    host: str
    device_class: str
    versions: dict[str, str]
    last_seen_at: datetime
    state: str
    message: str
    trials_per_hour: float | None
    model: str


@dataclass(frozen=True)
class WorkloadRow:
    """A workload without its module; :meth:`.Workloads.get` loads that."""

    id: int
    hash: str
    engine: str
    name: str
    flops: float
    created_at: datetime


@dataclass(frozen=True)
class LayoutRow:
    """The layout of one extraction of a model, as :class:`workers.messages.Extraction` has it."""

    device_class: str
    engine_version: str
    layout: str
    reason: str
    alternative: str = ""


@dataclass(frozen=True)
class ModelDeviceRow:
    """A device class that a model was extracted for, as it was last.

    Attributes
    ----------
    tasks_timed : int
        Tasks that have a successful trial there.
    """

    device_class: str
    engine: str
    engine_version: str
    tasks: int
    tasks_timed: int
