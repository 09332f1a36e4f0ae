"""What an engine compiles with."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Toolchain"]


class Toolchain(Protocol):
    """What decides about a measurement besides the candidate: TVM, its compiler, the engine itself."""

    def version(self) -> str:
        """Return what an extraction is bound to: tasks of another version are extracted anew."""

    def versions(self) -> dict[str, str]:
        """Return the version of each, under its name.

        Records that were measured with others are stale. Not on account of ``engine``, which is what
        extractions are bound to: where kernels are others, so are the workloads. ``kernels`` is for what the
        engine makes of the same workload and candidate; raise it when that changes.
        """
