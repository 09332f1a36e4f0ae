"""The versions of TVM and LLVM."""

from __future__ import annotations

import tvm
from tvm.target import codegen

__all__ = ["MetaScheduleToolchain", "engine_version"]

# Raise it when the same kernel and the same trace come to make other code than before, or to be timed in
# another way: records of before are stale then. What changes a kernel itself needs none of it, for that is
# another workload.
_KERNELS = "3"


def engine_version() -> str:
    """Return the version tasks are bound to."""
    # The number after the dash is this engine's own: raise it when the passes or the canonical form change.
    return f"tvm-{tvm.__version__}-19"


class MetaScheduleToolchain:
    """See :class:`workers.enginekit.roles.Toolchain`."""

    def version(self) -> str:
        """Return the version tasks are bound to."""
        return engine_version()

    def versions(self) -> dict[str, str]:
        """Return the versions of what decides about a measurement."""
        return {
            "tvm": str(tvm.__version__),
            "llvm": str(codegen.llvm_version_major()),
            "engine": engine_version(),
            "kernels": _KERNELS,
        }
