"""Which fleet an address is for. Each folder beside this file is one; another takes no other edit."""

from __future__ import annotations

import importlib
import pkgutil

import orchestrator.fleet
from orchestrator.fleet.port import FleetBackend

__all__ = ["choose_backend"]


def choose_backend(address: str | None) -> FleetBackend:
    """Return the fleet that an address is for. What is behind it is imported when a fleet is made.

    Parameters
    ----------
    address : str or None
        ``SCHEME://...`` names a backend by one of its schemes. None, an address without a scheme, and one of
        a scheme that is nobody's are for the backend of the empty scheme.
    """
    known = _backends()
    scheme, separator, _ = (address or "").partition("://")
    return known.get(scheme if separator else "", known[""])


def _backends() -> dict[str, FleetBackend]:
    found: dict[str, FleetBackend] = {}
    for module in pkgutil.iter_modules(orchestrator.fleet.__path__):
        if module.ispkg:
            backend: FleetBackend = importlib.import_module(f"orchestrator.fleet.{module.name}").BACKEND
            found.update(dict.fromkeys(backend.schemes, backend))
    return found
