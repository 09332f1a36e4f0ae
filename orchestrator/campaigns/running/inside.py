"""What a model's kernels take where they run, in the library that it begins with."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.builds.pace import REPEATS
from orchestrator.errors import EngineError, EngineTimeoutError
from orchestrator.storage import NewInside
from orchestrator.toolbox import Toolbox
from workers.messages import Array, CompiledModel, Kernel, PreparedModel, Profile

__all__ = ["inside_of", "seen_inside"]

# A library is looked into so many times, in a process of its own each, and in so many inferences. What was
# quickest counts, for a machine has slow moments, and none in which it is too fast.
_LOOKS, _RUNS = 3, 20
# Where that takes longer than so many seconds, it is looked into once.
_SECONDS = 5.0


def seen_inside(
    tools: Toolbox,
    model: PreparedModel,
    compiled: CompiledModel,
    inputs: Mapping[str, Array],
    target: str,
    library_s: float,
) -> dict[str, NewInside]:
    """Look into a library, and say what a call of each kernel takes there; see :func:`inside_of`.

    Nothing else may use the cores meanwhile. Of a library that the engine can't look into nothing is known,
    and it is tuned all the same.

    Raises
    ------
    EngineTimeoutError
        There was no time for it.
    """
    few = _LOOKS * _RUNS * library_s > _SECONDS
    try:
        looks = [
            tools.profile(model, compiled, inputs, target, REPEATS if few else _RUNS)
            for _ in range(1 if few else _LOOKS)
        ]
    except EngineTimeoutError:
        raise
    except EngineError:
        return {}
    return inside_of(compiled, min(looks, key=_kernels_s), library_s)


def inside_of(compiled: CompiledModel, profile: Profile, library_s: float) -> dict[str, NewInside]:
    """Say what a call of each kernel took, by the hash of its workload, of those whose schedule is known.

    Looking into a library takes time at each call, by which its kernels together come out longer than a run
    that nobody looked into.

    Parameters
    ----------
    library_s : float
        Seconds of such a run.
    """
    calls = sum(kernel.calls for kernel in profile.kernels)
    looking_s = max(0.0, _kernels_s(profile) - library_s) / max(1, calls)
    found: dict[str, list[Kernel]] = {}
    for kernel in profile.kernels:
        if kernel.workload in compiled.lent:
            found.setdefault(kernel.workload, []).append(kernel)
    insides = {}
    for workload, kernels in found.items():
        call_s = sum(kernel.seconds for kernel in kernels) / sum(kernel.calls for kernel in kernels)
        insides[workload] = NewInside(compiled.lent[workload], max(call_s - looking_s, call_s / 2))
    return insides


def _kernels_s(profile: Profile) -> float:
    return sum(kernel.seconds for kernel in profile.kernels)
