"""Toolchains: what a measurement was made with, and which of them compare."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["PACK", "ToolchainRow", "toolchain_key", "toolchain_text"]

#: Part of a toolchain of which others say that they measured with it: whose key signed that.
PACK = "pack"
# Of these a time doesn't depend: what an extraction is bound to (another import has other workloads), which
# release of this project wrote it down, and the log that it comes from.
_NO_PART = ("engine", "tunefleet", "imported")
# What an engine that doesn't say so is taken to be, and so is what was recorded before any of them did.
_FIRST = {"kernels": "1"}
_KEY_DIGITS = 12
# In the order in which people are told; then come others.
_NAMES = {
    "tvm": "TVM",
    "llvm": "LLVM",
    "kernels": "kernels",
    "driver": "driver",
    "compiler": "compiler",
    PACK: "signed by",
}


def toolchain_key(versions: Mapping[str, str]) -> str:
    """Return what two toolchains have in common whose times compare, for the same device class.

    Those of one TVM, one LLVM, one way in which the engine makes code of a schedule (``kernels``), and on a
    GPU one driver and one compiler of CUDA. The release of this project is no part of it; that others signed
    it (:data:`PACK`) is.
    """
    said = {name: text for name, text in versions.items() if name not in _NO_PART and text}
    canonical = json.dumps({**_FIRST, **said}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_KEY_DIGITS]


def toolchain_text(versions: Mapping[str, str]) -> str:
    """Say for people what a toolchain consists of."""
    said = {name: text for name, text in versions.items() if name not in _NO_PART and text}
    if said.get("kernels") == _FIRST["kernels"]:
        del said["kernels"]
    ordered = [*(name for name in _NAMES if name in said), *sorted(said.keys() - _NAMES.keys())]
    return ", ".join(f"{_NAMES.get(name, name)} {said[name]}" for name in ordered) or "unknown"


@dataclass(frozen=True)
class ToolchainRow:
    """A toolchain that something was measured with.

    Attributes
    ----------
    key : str
        See :func:`toolchain_key`.
    tvm, llvm, driver : str
        Empty where nothing was said of it.
    engine : str
        What the engine's extractions were bound to.
    kernels : str
        Number of the way in which the engine makes code of a schedule.
    tunefleet : str
        The release of this project that measured; empty where that is not known.
    versions : dict of str to str
        All that the engine said of itself.
    """

    id: int
    key: str
    tvm: str
    llvm: str
    engine: str
    kernels: str
    driver: str
    tunefleet: str
    created_at: datetime
    versions: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return toolchain_text(self.versions)
