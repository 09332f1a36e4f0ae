"""Targets: ``c x86_64`` is one core of a machine of that kind."""

from __future__ import annotations

import platform

from workers.enginekit.machine import cpu_model, slug
from workers.errors import TargetError
from workers.messages import Candidate, DeviceInfo, Endpoint, Workload

from .products import Blocks, Product

__all__ = ["ToyTargets"]


class ToyTargets:
    """See :class:`workers.enginekit.roles.Targets`."""

    def resolve_target(self, spec: str) -> DeviceInfo:
        """Find the device of a target."""
        language, _, machine = (f"c {platform.machine()}" if spec == "auto" else spec).partition(" ")
        if language != "c" or not machine.strip():
            raise TargetError(f"the toy engine doesn't know the target {spec!r}: it has `c MACHINE`")
        here = machine == platform.machine()
        model = cpu_model() if here else "unknown"
        return DeviceInfo(
            target=f"c {machine}",
            device_class=f"c-{machine}@{slug(model)}",
            model=model,
            cores=1,
            kind="cpu",
            unfit="" if here else f"it is for {machine}, this machine is {platform.machine()}",
        )

    def known_kernel(self, target: str) -> tuple[Workload, Candidate]:
        """Return a small product, and one way to compute it."""
        del target
        return Product(64, 64, 64).workload(), Blocks(16, 16, 16).candidate()

    def unfit(self, target: str, endpoint: Endpoint) -> str:
        """Say nothing: a device of another machine isn't asked what it is."""
        del target, endpoint
        return ""
