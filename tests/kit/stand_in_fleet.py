"""A simulated fleet that keeps a diary, and what tests read in it."""

from __future__ import annotations

from orchestrator.fleet.port import DevicesWanted
from orchestrator.fleet.simulated import Diary, Happening, SimulatedFleet, Simulation
from orchestrator.fleet.work import BuildWork, MeasureWork, OpenWork, ProposeWork
from tests.kit.planned_campaigns import CPU

__all__ = ["Simulated"]


class Simulated(Simulation):
    """A simulation with a diary; :attr:`fleet` is a fleet of it, with one CPU to measure on."""

    def __init__(self, *, slots: int = 2, shares_cores: bool = True) -> None:
        super().__init__(slots=slots, shares_cores=shares_cores)
        self.diary: Diary = Diary()
        self.fleet = SimulatedFleet(self, DevicesWanted((CPU,)))

    @property
    def happenings(self) -> list[Happening]:
        """What was asked of it, in order."""
        return self.diary.happenings

    @property
    def histories(self) -> list[int]:
        """How many records each search was opened with."""
        return [len(work.history) for work in self.diary.works if isinstance(work, OpenWork)]

    @property
    def related(self) -> list[int]:
        """How many records of other workloads each search was opened with."""
        return [len(work.related) for work in self.diary.works if isinstance(work, OpenWork)]

    @property
    def lent(self) -> list[int]:
        """How many schedules of other workloads each round was given."""
        return [len(work.lent) for work in self.diary.works if isinstance(work, ProposeWork)]

    @property
    def checked(self) -> list[tuple[bool, float]]:
        """Whether each build was asked for what its candidate is compared by, and its limit (seconds)."""
        return [(work.checked, work.timeout_s) for work in self.diary.works if isinstance(work, BuildWork)]

    @property
    def to_beat(self) -> list[float | None]:
        """The best known time that each measurement was given."""
        return [work.best_known_s for work in self.diary.works if isinstance(work, MeasureWork)]
