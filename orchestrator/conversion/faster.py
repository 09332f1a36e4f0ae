"""What a model took in float32 and in another precision on a device, remembered beside the conversion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.conversion.kept import digest_of, find_entry, keep_entry, key_of_values
from orchestrator.toolbox import Toolbox

__all__ = ["FormTimes", "find_times", "keep_times", "times_key"]


@dataclass(frozen=True)
class FormTimes:
    """What both took.

    Attributes
    ----------
    float32_s, other_s : float
        Median seconds of several turns.
    ratio : float
        The second as a part of the first, moment by moment; its median.
    """

    float32_s: float
    other_s: float
    ratio: float


def times_key(
    tools: Toolbox, float32: Path, other: Path, shapes: Mapping[str, tuple[int, ...]], device_class: str
) -> str:
    """Return what names the times of two files on a device: by their content and the engine's versions."""
    return key_of_values(
        {
            "forms": [digest_of(float32), digest_of(other)],
            "shapes": {name: list(shape) for name, shape in sorted(shapes.items())},
            "device_class": device_class,
            "versions": tools.versions(),
        }
    )


def find_times(key: str) -> FormTimes | None:
    """Return what was remembered; None where that is nothing."""
    stored = find_entry(key)
    try:
        return None if stored is None else FormTimes(**{name: float(one) for name, one in stored.items()})
    except (TypeError, ValueError):
        return None


def keep_times(key: str, times: FormTimes) -> None:
    """Remember what both took."""
    keep_entry(key, asdict(times))
