"""The versions of classic TVM and its LLVM."""

from __future__ import annotations

from workers.engines.autotvm.classic import tvm

__all__ = ["AutoTVMToolchain", "engine_version"]

# Raise it when the same template and the same configuration come to make other code than before, or to be
# timed in another way: records of before are stale then.
_KERNELS = "1"


def engine_version() -> str:
    """Return the version tasks are bound to."""
    # The number after the dash is this engine's own: raise it when the import or the canonical form changes.
    return f"tvm-{tvm.__version__}-3"


class AutoTVMToolchain:
    """See :class:`workers.enginekit.roles.Toolchain`."""

    def version(self) -> str:
        """Return the version tasks are bound to."""
        return engine_version()

    def versions(self) -> dict[str, str]:
        """Return the versions of what decides about a measurement."""
        return {
            "tvm": str(tvm.__version__),
            "llvm": str(tvm.support.libinfo().get("LLVM_VERSION", "unknown")),
            "engine": engine_version(),
            "kernels": _KERNELS,
        }
