"""What a fleet is to the rest of the house. An implementation is a folder beside this file.

Work goes down as a :data:`~orchestrator.fleet.work.Work`, and comes up as a
:data:`~orchestrator.fleet.completions.Completion` that holds the same object. Which implementation an address
is for, :mod:`orchestrator.fleet.choose` says. Each has to pass tests/contracts/test_fleet_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from orchestrator.errors import EngineError
from orchestrator.fleet.completions import Completion
from orchestrator.fleet.device import Device, DeviceState
from orchestrator.fleet.wanted import DevicesWanted
from orchestrator.fleet.work import Work
from workers.messages import DeviceInfo

__all__ = ["Completion", "Device", "DeviceState", "DevicesWanted", "Fleet", "FleetBackend", "Work"]


class Fleet(Protocol):
    """Cores to search and build on, and devices to measure on; of one engine.

    One thread makes all calls, but for :meth:`find`.
    """

    # -- its life

    def start(self, say: Callable[[str], None] = ..., stopped: Callable[[], bool] = ...) -> bool:
        """Have everything ready; return early, and False, where `stopped` says so.

        The process's signal handlers stay as they are.

        Raises
        ------
        UsageError
            Nothing answers at its address.
        EngineError
            The engine can't start anywhere, or a device class that is wanted has no device.
        """

    def stop(self) -> None:
        """End all that it started; also where its start failed, or was never asked for."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Of the engine and what it stands on, by name."""

    # -- what it measures on

    def need(self, wanted: DevicesWanted) -> None:
        """Have more classes measured on, while it runs; :attr:`coming` says whether that is under way."""

    @property
    def coming(self) -> bool:
        """What there is may be more in a moment."""

    def lacking(self, device_classes: Sequence[str]) -> EngineError | None:
        """Say what is wrong where there is no device of one of these classes."""

    def check(self, device_classes: Sequence[str]) -> None:
        """See whether what a campaign needs is there.

        Raises
        ------
        EngineLostError
            There was nothing to search on, or no device of one of these classes, for too long.
        """

    def find(self, targets: tuple[str, ...], stopped: Callable[[], bool]) -> dict[str, DeviceInfo]:
        """Find out which devices targets mean on this fleet's machines; from any thread.

        Returns
        -------
        dict of str to DeviceInfo
            By target, of the first machine that has it; without those that none has.
        """

    # -- how it stands

    @property
    def total_slots(self) -> int:
        """Searches and builds at once, where nothing is under way."""

    @property
    def free_slots(self) -> int:
        """Searches and builds that could be begun now."""

    @property
    def computing(self) -> int:
        """Searches and builds under way that do not stand still."""

    @property
    def all_devices(self) -> Sequence[Device]:
        """Every device that is or was there."""

    @property
    def ready_devices(self) -> Mapping[str, int]:
        """Devices that measure, or could, by their class."""

    def idle_devices(self) -> Sequence[Device]:
        """Return the devices that can be given something."""

    # -- work

    def submit(self, work: Work) -> None:
        """Begin a piece of work; its completion comes out of :meth:`wait`, whatever becomes of it.

        Work for a core wants a free slot, a measurement an idle device. A search stays where it was opened,
        and is lost with that.
        """

    def close_search(self, session: str) -> None:
        """End a search, if there is one of this name."""

    def wait(self, timeout_s: float) -> Sequence[Completion]:
        """Return what ended, after `timeout_s` seconds at most; at once where something has."""

    # -- quiet on cores

    def pause(self, device: Device) -> None:
        """Have searches and builds on a device's cores stand still, so that it may be measured on."""

    def resume(self, device: Device) -> None:
        """Let them go on."""

    def reserve_cores(self) -> bool:
        """Have nothing of this fleet run on the cores of this machine; say whether that is so by now.

        No candidate is measured on them any more, and when the last has ended, searches and builds stand
        still, until :meth:`release_cores`.
        """

    def release_cores(self) -> None:
        """Let them go on."""

    @property
    def paused_here(self) -> bool:
        """Searches and builds on this machine stand still."""


class FleetBackend(Protocol):
    """One way to have a fleet: what the attribute ``BACKEND`` of a folder beside this file offers."""

    @property
    def schemes(self) -> tuple[str, ...]:
        """What comes before ``://`` in the addresses that are for it.

        The empty one is for addresses that have none, and for those that are nobody's.
        """

    def make(self, engine: str, wanted: DevicesWanted, address: str | None, slots: int | None) -> Fleet:
        """Make a fleet, to be started.

        Parameters
        ----------
        address : str or None
            As its user gave it; None for this machine.
        slots : int or None
            Searches and builds at once on this machine; None for one a core.
        """

    def find_devices(
        self,
        engine: str,
        address: str,
        targets: tuple[str, ...],
        say: Callable[[str], None],
        stopped: Callable[[], bool],
    ) -> dict[str, DeviceInfo]:
        """Find out which devices targets mean there, without a fleet; see :meth:`Fleet.find`."""
