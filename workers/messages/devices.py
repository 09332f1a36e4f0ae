"""Devices, and how they are reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["DeviceInfo", "Endpoint", "Station", "address_text"]


def address_text(host: str, port: int) -> str:
    """Write an address as people do: ``10.0.0.10:9190``, ``[::1]:9190``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True)
class Station:
    """A device as it can be asked for: an RPC server that a tracker knows under a key.

    Attributes
    ----------
    key : str
        Under which the server is registered.
    device : DeviceInfo
    index : int
        Which of a machine's devices of this class it is: the set of cores, the GPU.
    tracker : tuple of (str, int) or None
        Where the server registered itself, a board for example; None where the measure actor starts it.
    """

    key: str
    device: DeviceInfo
    index: int = 0
    tracker: tuple[str, int] | None = None


@dataclass(frozen=True)
class Endpoint:
    """Where a measurement goes: a key at a tracker.

    Attributes
    ----------
    wait_s : float
        How long to wait for a free device (seconds).
    """

    host: str
    port: int
    key: str
    kind: str
    wait_s: float = 60.0

    @property
    def where(self) -> str:
        """The tracker's address for people."""
        return address_text(self.host, self.port)


@dataclass(frozen=True)
class DeviceInfo:
    """A device that can measure, and what makes its run times comparable with another's.

    Attributes
    ----------
    target : str
        The engine's canonical text of the target.
    device_class : str
        Target and device model in one readable word; run times compare within it and nowhere else.
    model : str
        Name of the CPU or GPU.
    cores : int
        Cores a kernel may use; 0 for a GPU.
    kind : str
        TVM's device type: ``cpu``, ``cuda``.
    unfit : str
        Why this machine can't run code for the target; empty where it can.
    integers : str
        The instruction by which the engine multiplies integers there, several at once; empty where there is
        none, so that a quantized model is no faster than one of floats.
    bfloats : str
        The same of bfloat16.
    samples : str
        Kind of the samples that its searches learn from: those of one kind can be trained on together,
        whatever device they are of. Empty where the engine keeps none.
    versions : dict of str to str
        Of what measures on it; on a GPU ``driver`` among them, and the ``compiler`` of its kernels, where
        they can be told.
    """

    target: str
    device_class: str
    model: str
    cores: int
    kind: str
    unfit: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    integers: str = ""
    bfloats: str = ""
    samples: str = ""

    def with_driver(self, versions: Mapping[str, str]) -> dict[str, str]:
        """Add its driver and its kernels' compiler, where it has them, to the versions of what measures."""
        own = {name: self.versions[name] for name in ("driver", "compiler") if self.versions.get(name)}
        return {**versions, **own}
