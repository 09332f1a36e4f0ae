"""Simulations by their addresses, so that what takes an address of a fleet can be given one."""

from __future__ import annotations

import itertools

from orchestrator.errors import UsageError
from orchestrator.fleet.simulated.simulation import Simulation

__all__ = ["offer", "offered"]

_SCHEME = "simulated://"
_OFFERS: dict[str, Simulation] = {}
_NUMBERS = itertools.count(1)


def offer(simulation: Simulation) -> str:
    """Return an address for a simulation. Whoever uses it, in this process, gets a fleet of that."""
    address = f"{_SCHEME}{next(_NUMBERS)}"
    _OFFERS[address] = simulation
    return address


def offered(address: str) -> Simulation:
    """Return the simulation of an address.

    Raises
    ------
    UsageError
        None was offered there by this process.
    """
    if address not in _OFFERS:
        raise UsageError(f"nothing is simulated at {address}: this fleet is for tests and benchmarks")
    return _OFFERS[address]
