"""What a model took in float32 and in another precision on a device, remembered beside the conversion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.conversion.kept import digest_of, find_entry, keep_entry
from orchestrator.toolbox import Toolbox

__all__ = ["FormTimes", "find_times", "keep_times"]


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


def find_times(
    tools: Toolbox, float32: Path, other: Path, shapes: Mapping[str, tuple[int, ...]], device_class: str
) -> FormTimes | None:
    """Return what was remembered of two files; None where that is nothing, or by another engine."""
    stored = find_entry(_key(tools, float32, other, shapes, device_class))
    try:
        return None if stored is None else FormTimes(**{name: float(stored[name]) for name in _FIELDS})
    except (KeyError, TypeError, ValueError):
        return None


def keep_times(
    tools: Toolbox,
    float32: Path,
    other: Path,
    shapes: Mapping[str, tuple[int, ...]],
    device_class: str,
    times: FormTimes,
) -> None:
    """Remember what both took."""
    keep_entry(_key(tools, float32, other, shapes, device_class), asdict(times))


_FIELDS = ("float32_s", "other_s", "ratio")


def _key(
    tools: Toolbox, float32: Path, other: Path, shapes: Mapping[str, tuple[int, ...]], device_class: str
) -> str:
    asked = {
        "forms": [digest_of(float32), digest_of(other)],
        "shapes": {name: list(shape) for name, shape in sorted(shapes.items())},
        "device_class": device_class,
        "versions": tools.versions(),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
