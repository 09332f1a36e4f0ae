"""The starter pack: the best schedules of some hundred workloads, and where each was measured.

It ships with the package, and is made by ``python -m benchmarks.starter_pack`` of a store's records. None of
its times counts as a measurement here: they only say which of several schedules is to be lent.
"""

from __future__ import annotations

import functools
import gzip
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.engines.metaschedule.starter.sketches import Sketch

__all__ = ["PACK", "Entry", "entries_of", "read_pack", "written"]

#: The file that ships.
PACK = Path(__file__).with_name("pack.json.gz")


@dataclass(frozen=True)
class Entry:
    """A schedule that was the best of its workload on some device.

    Attributes
    ----------
    sketch : Sketch
        Its decisions.
    flops, seconds : float
        Of one call.
    vector_bits : int
        How wide that device's vectors are.
    where : str
        The device class on which it was measured.
    """

    sketch: Sketch
    flops: float
    seconds: float
    vector_bits: int
    where: str

    @property
    def rate(self) -> float:
        """Operations in a second."""
        return self.flops / self.seconds


def entries_of(does: str) -> tuple[Entry, ...]:
    """Return what the starter pack has for what a kernel does."""
    return _shipped().get(does, ())


@functools.cache
def _shipped() -> Mapping[str, tuple[Entry, ...]]:
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in read_pack(PACK.read_bytes()) if PACK.exists() else ():
        found[entry.sketch.does].append(entry)
    return {does: tuple(entries) for does, entries in found.items()}


def read_pack(data: bytes) -> tuple[Entry, ...]:
    """Read what :func:`written` made."""
    document = json.loads(gzip.decompress(data))
    return tuple(
        Entry(
            Sketch(does, structure, tuple(map(tuple, tiles)), tuple(choices), tuple(places)),
            flops,
            seconds,
            part["vector_bits"],
            part["device_class"],
        )
        for part in document["measured"]
        for does, structure, tiles, choices, places, flops, seconds in part["schedules"]
    )


def written(entries: tuple[Entry, ...], about: Mapping[str, Any]) -> bytes:
    """Write a pack; the same entries give the same bytes.

    Parameters
    ----------
    about : mapping
        What is said of all of it: versions, models, how it was made.
    """
    parts: dict[tuple[str, int], list[Any]] = defaultdict(list)
    for entry in entries:
        sketch = entry.sketch
        parts[entry.where, entry.vector_bits].append(
            [
                sketch.does,
                sketch.structure,
                sketch.tiles,
                sketch.choices,
                sketch.places,
                entry.flops,
                float(f"{entry.seconds:.3g}"),
            ]
        )
    document = {
        **about,
        "measured": [
            {"device_class": where, "vector_bits": bits, "schedules": sorted(rows)}
            for (where, bits), rows in sorted(parts.items())
        ],
    }
    text = json.dumps(document, separators=(",", ":"))
    return gzip.compress(text.encode(), 9, mtime=0)
