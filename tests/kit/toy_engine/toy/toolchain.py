"""The version of gcc, and the toy's own."""

from __future__ import annotations

import subprocess

__all__ = ["VERSION", "ToyToolchain"]

#: Raise it where a workload is named or computed in another way.
VERSION = "toy-1"


class ToyToolchain:
    """See :class:`workers.enginekit.roles.Toolchain`."""

    def version(self) -> str:
        """Return what tasks are bound to."""
        return VERSION

    def versions(self) -> dict[str, str]:
        """Return what a measurement depends on."""
        gcc = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True)
        return {"gcc": gcc.stdout.strip(), "engine": VERSION}
