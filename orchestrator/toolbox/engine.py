"""What a command asks of the engine, in a process on its own machine."""

from __future__ import annotations

from workers.clients import EngineClient
from workers.messages import LogFormat, SearchOptions

__all__ = ["EngineTools"]


class EngineTools(EngineClient):
    """All that an engine does for one command, and what its traits answer without being asked anything."""

    def check_layout(self, layout: str) -> None:
        """Refuse a layout that the engine doesn't have; see :meth:`workers.messages.Traits.check_layout`."""
        self.traits.check_layout(layout)

    def check_options(self, options: SearchOptions) -> None:
        """Refuse search options that mean nothing to the engine."""
        self.traits.settings_of(options)

    def check_comparison(self, kind: str) -> None:
        """Refuse to compare candidates where the engine can't."""
        self.traits.check_comparison(kind)

    def transfers(self, options: SearchOptions) -> bool:
        """Say whether the engine's searches learn from records of other workloads."""
        return self.traits.transfers_with(options)

    def lends(self, options: SearchOptions) -> int:
        """Say how many schedules of each related workload the engine's searches look at."""
        del options
        return self.traits.lends

    def packed_samples(self, kind: str) -> bytes:
        """Return what comes with the engine for cost models of a kind; nothing where nothing does."""
        return self.traits.packed_samples(kind)

    def alternatives(self) -> int:
        """Say how many records of a workload the engine's plans choose from."""
        return self.traits.alternatives

    def log_format(self) -> LogFormat:
        """Say what a log in the engine's own format consists of."""
        return self.traits.own_log_format()
