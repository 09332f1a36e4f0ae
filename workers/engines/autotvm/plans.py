"""Which records a model is compiled with: the graph tuner weighs layouts, see :mod:`.layouts`."""

from __future__ import annotations

from workers.engines.autotvm import layouts
from workers.engines.autotvm.targets import parse_target
from workers.engines.autotvm.traits import NAME
from workers.messages import Candidate, PreparedModel, Record, RecordChoice, Workload

__all__ = ["AutoTVMPlans"]


class AutoTVMPlans:
    """See :class:`workers.enginekit.roles.Plans`."""

    def transforms(
        self,
        model: PreparedModel,
        target: str,
        workloads: tuple[Workload, ...],
        history: dict[str, tuple[Record, ...]],
    ) -> tuple[tuple[Workload, Candidate], ...]:
        """Return the layout transforms that the graph tuner has to know the time of."""
        return layouts.transforms(model, parse_target(target), workloads, history, NAME)

    def plans(
        self,
        model: PreparedModel,
        target: str,
        workloads: tuple[Workload, ...],
        history: dict[str, tuple[Record, ...]],
        measured: dict[str, tuple[Record, ...]],
    ) -> tuple[RecordChoice, ...]:
        """Return the graph tuner's plan, each workload's best, and the fallback."""
        return layouts.plans(model, parse_target(target), workloads, history, measured)
