"""The default engine on a machine that is said to have GPUs; tracker and servers are real.

In the place of NVIDIA's driver, GPUs are counted as it would count them: those of CUDA_VISIBLE_DEVICES. And
in place of running anything, a measurement says which of them its server sees.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property

import tvm

from workers.enginekit.roles import Address
from workers.enginekit.rpc import RpcDevices, requested
from workers.engines.metaschedule.engine import MetaScheduleEngine
from workers.engines.metaschedule.targets import MetaScheduleTargets
from workers.messages import Artifact, DeviceInfo, Endpoint, EvaluatorConfig, Station, Timing


class Targets(MetaScheduleTargets):
    """Finds GPUs."""

    def resolve_target(self, spec: str) -> DeviceInfo:
        """Find a GPU, whatever is here."""
        return replace(super().resolve_target(spec), unfit="")


class Devices(RpcDevices):
    """Serves them."""

    def count_devices(self, kind: str) -> int:
        """Count what CUDA would be shown."""
        return len([name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name])

    def serve_device(self, host: str, tracker: Address, station: Station) -> None:
        """Serve, and tell who asks what is seen."""
        tvm.register_global_func("stand_in.seen", lambda: os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
        super().serve_device(host, tracker, station)


class Measure:
    """Asks what they see."""

    def measure(
        self,
        artifact: Artifact,
        endpoint: Endpoint,
        evaluator: EvaluatorConfig,
        best_known_s: float | None = None,
    ) -> Timing:
        """Fail, with what the server sees."""
        session = requested(endpoint, 10)
        raise RuntimeError(f"seen: {session.get_function('stand_in.seen')()}.")


class Gpus(MetaScheduleEngine):
    """Like its base but for this."""

    def warm(self, role: str) -> None:
        """Import what a server needs: nothing is searched, built or run."""

    @cached_property
    def targets(self) -> Targets:
        """One GPU."""
        return Targets()

    @cached_property
    def devices(self) -> Devices:
        """Several."""
        return Devices()

    @cached_property
    def measure(self) -> Measure:
        """Nothing is measured."""
        return Measure()


ENGINE = Gpus()
