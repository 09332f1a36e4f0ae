"""How steady the devices of a campaign were: read from their checks, as a document, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.documents.text import device_text, instant, plural
from orchestrator.storage.rows import CheckState, drift_words

if TYPE_CHECKING:
    from orchestrator.storage import CampaignTaskRow, DeviceCheckRow, Storage

__all__ = [
    "CampaignDrift",
    "DriftedTime",
    "check_document",
    "drift_document",
    "drift_text",
    "drifting_text",
    "read_drift",
]


@dataclass(frozen=True)
class DriftedTime:
    """A time in which a device took longer or shorter than before, from its last good check to the next.

    Attributes
    ----------
    began_at, ended_at : datetime or None
        Of those two checks; None where there was none.
    seconds : float or None
        Between them, on a clock that nobody sets; None where the next one didn't come.
    drift : float
        By which part of its time the known kernel took more, at the most; below 0 for less.
    marked : int
        Measurements that were made meanwhile.
    settled : bool
        It ended because the device was held against its new level from then on.
    """

    device: str
    host: str
    device_class: str
    began_at: datetime | None
    ended_at: datetime | None
    seconds: float | None
    drift: float
    marked: int
    settled: bool = False


@dataclass(frozen=True)
class CampaignDrift:
    """What came of the checks of a campaign's devices.

    Attributes
    ----------
    devices : tuple of (int, DeviceCheckRow)
        How often each was checked, and the last time.
    times : tuple of DriftedTime
        When they had drifted.
    most : float or None
        By how much a device that had not drifted was off, at the most; None where none was checked twice.
    bests : int
        Tasks whose best was measured on a device that had drifted.
    messages : tuple of str
        What is to be known besides: that a device drifted for good.
    """

    devices: tuple[tuple[int, DeviceCheckRow], ...] = ()
    times: tuple[DriftedTime, ...] = ()
    most: float | None = None
    bests: int = 0
    messages: tuple[str, ...] = ()

    @property
    def marked(self) -> int:
        """Measurements that are marked."""
        return sum(time.marked for time in self.times)


def read_drift(store: Storage, campaign_id: int, tasks: Sequence[CampaignTaskRow]) -> CampaignDrift:
    """Read how steady the devices of a campaign were."""
    rows = store.device_checks.of_campaign(campaign_id)
    if not rows:
        return CampaignDrift()
    of_device: dict[tuple[str, str, str], list[DeviceCheckRow]] = {}
    for row in rows:
        of_device.setdefault((row.device, row.host, row.device_class), []).append(row)
    bests = [task.best_trial_id for task in tasks if task.best_trial_id is not None]
    steady = [abs(row.drift or 0.0) for row in rows if row.state is CheckState.STEADY]
    return CampaignDrift(
        tuple((len(of_one), of_one[-1]) for of_one in of_device.values()),
        tuple(time for of_one in of_device.values() for time in _times(of_one)),
        max(steady, default=None),
        len(store.measurements.drifts(bests)),
        tuple(row.message for row in rows if row.state is CheckState.LEVEL),
    )


def _times(rows: Sequence[DeviceCheckRow]) -> Iterator[DriftedTime]:
    """Find when one device had drifted, of its checks in their order."""
    found: DriftedTime | None = None
    good: DeviceCheckRow | None = None
    began_s, run = 0.0, ""
    for row in (row for row in rows if row.drift is not None):
        if row.run != run:
            # What an earlier run of the campaign left open ended with that, and seconds began anew.
            if found is not None:
                yield found
            found, good, began_s, run = None, None, 0.0, row.run
        off = row.state is CheckState.DRIFTED
        if off or (found is None and row.marked):
            if found is None:
                at = None if good is None else good.checked_at
                found = DriftedTime(
                    row.device, row.host, row.device_class, at, None, None, row.drift or 0.0, 0
                )
            found = replace(
                found, marked=found.marked + row.marked, drift=max(found.drift, row.drift or 0.0, key=abs)
            )
        elif found is not None:
            yield replace(
                found,
                ended_at=row.checked_at,
                seconds=max(0.0, row.at_s - began_s),
                marked=found.marked + row.marked,
                settled=row.state is CheckState.LEVEL,
            )
            found = None
        if not off:
            good, began_s = row, row.at_s
    if found is not None:
        yield found


def drift_document(drift: CampaignDrift) -> dict[str, Any]:
    """How steady the devices were."""
    return {
        "measurements_marked": drift.marked,
        "tasks_marked": drift.bests,
        "within": drift.most,
        "devices": [
            {"device": row.device, "host": row.host, "device_class": row.device_class, "checks": count}
            | check_document(row)
            for count, row in drift.devices
        ],
        "intervals": [
            {
                "device": time.device,
                "host": time.host,
                "device_class": time.device_class,
                "began_at": instant(time.began_at),
                "ended_at": instant(time.ended_at),
                "seconds": time.seconds,
                "drift": time.drift,
                "measurements_marked": time.marked,
                "settled": time.settled,
            }
            for time in drift.times
        ],
        "messages": list(drift.messages),
    }


def check_document(row: DeviceCheckRow) -> dict[str, Any]:
    """A check of a device."""
    return {
        "state": row.state.value,
        "checked_at": instant(row.checked_at),
        "time_s": row.time_s,
        "times_s": list(row.times),
        "reference_s": row.reference_s,
        "drift": row.drift,
        "message": row.message,
        **asdict(row.condition),
    }


def drift_text(drift: CampaignDrift) -> str:
    """Say in a line how steady the devices were; empty where none was checked."""
    if not drift.devices:
        return ""
    checks = sum(count for count, _ in drift.devices)
    if not drift.times:
        if drift.most is not None:
            return f"none: within {drift.most:.1%} in {plural(checks, 'check')} of a known kernel"
        timed = any(row.drift is not None for _, row in drift.devices)
        return "unknown, for no device was checked twice" if timed else "unknown, for all checks failed"
    parts = [
        f"{device_text(time.device)} was up to {drift_words(time.drift)}"
        + (f" for {time.seconds / 60:.3g} min" if time.seconds is not None else ", up to the last check")
        + (", and is for good" if time.settled else "")
        for time in drift.times
    ]
    text = "; ".join(parts[:3]) + (f"; and {len(parts) - 3} times more" if len(parts) > 3 else "")
    text += f": {plural(drift.marked, 'measurement')} {'is' if drift.marked == 1 else 'are'} marked"
    if drift.bests:
        text += f", the best of {plural(drift.bests, 'task')} among them"
    return text


def drifting_text(latest: Sequence[DeviceCheckRow]) -> str:
    """Say which devices have drifted as of their last checks; empty where none has."""
    off = [row for row in latest if row.state is CheckState.DRIFTED]
    if not off:
        return ""
    worst = max(off, key=lambda row: abs(row.drift or 0.0))
    more = f" (and {len(off) - 1} more devices drift)" if len(off) > 1 else ""
    how = f"{device_text(worst.device)} is {drift_words(worst.drift or 0.0)} than before"
    return f"{how}: what it measures is marked{more}"
