"""Measurements of trials: many for each."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from orchestrator.storage.rows.toolchains import PACK, toolchain_key
from workers.messages import Measurement, TrialState

__all__ = ["MeasurementKind", "MeasurementRow", "NewMeasurement"]


class MeasurementKind(str, Enum):
    """How a candidate was timed."""

    FULL = "full"
    #: Three looks found it far behind the best, so that it wasn't timed in full.
    SHORT = "short"
    #: Once more, in turns with what was about as fast.
    AGAIN = "again"
    #: With another toolchain than before.
    REVALIDATED = "revalidated"
    #: Once more, after its device had drifted.
    RECHECKED = "rechecked"
    #: By another program, of which only the times are known.
    IMPORTED = "imported"
    #: Not timed: its outputs were compared, and are others than its workload's.
    COMPARED = "compared"


@dataclass(frozen=True)
class NewMeasurement:
    """What came of measuring a stored trial once more.

    Attributes
    ----------
    candidate : str
        Its hash.
    token : str
        Of the attempt: together with `kind` it names this measurement of the trial.
    versions : mapping of str to str
        What it was measured with.
    drift : float or None
        See :class:`MeasurementRow`.
    """

    workload_hash: str
    device_class: str
    candidate: str
    measurement: Measurement
    kind: MeasurementKind
    token: str
    versions: Mapping[str, str] = field(default_factory=dict)
    build_s: float = 0.0
    drift: float | None = None


@dataclass(frozen=True)
class MeasurementRow:
    """A stored measurement.

    Attributes
    ----------
    times : tuple of float
        Seconds of one call, one value a repeat.
    versions : dict of str to str
        Of its toolchain.
    counts : bool
        It is what its trial is judged by.
    drift : float or None
        By which part of its time a known kernel took more on this device while it was made, below 0 for less;
        None where that was about as long as before, or isn't known.
    """

    kind: MeasurementKind
    state: TrialState
    times: tuple[float, ...]
    message: str
    device: str
    host: str
    versions: dict[str, str]
    build_s: float
    run_s: float
    token: str
    measured_at: datetime
    counts: bool = False
    drift: float | None = None

    @property
    def cost_s(self) -> float | None:
        """Median of its times; None where it failed."""
        return statistics.median(self.times) if self.state is TrialState.OK and self.times else None

    @property
    def toolchain(self) -> str:
        """Key of its toolchain."""
        return toolchain_key(self.versions)

    @property
    def of_pack(self) -> bool:
        """Others say that they made it: it came in a file that they signed."""
        return PACK in self.versions
