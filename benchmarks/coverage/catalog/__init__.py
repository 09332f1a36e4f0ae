"""All models, by family. Nothing is imported for the list but this package."""

from __future__ import annotations

from benchmarks.coverage.catalog import (
    classical,
    diffusers,
    hf_audio,
    hf_decoders,
    hf_text,
    hf_vision,
    keras,
    optimized,
    research,
    sequences,
    timm,
    torchvision,
    types,
    yolo,
)
from benchmarks.coverage.entry import Entry

__all__ = ["CATALOG", "by_turns"]

CATALOG: tuple[Entry, ...] = tuple(
    entry
    for module in (
        torchvision,
        timm,
        hf_text,
        hf_decoders,
        hf_vision,
        hf_audio,
        diffusers,
        yolo,
        keras,
        types,
        optimized,
        classical,
        sequences,
        research,
    )
    for entry in module.ENTRIES
)


def by_turns(entries: list[Entry]) -> list[Entry]:
    """Order entries so that a run that ends early has tried something of each family."""
    place: dict[str, int] = {}
    turns = []
    for entry in entries:
        turns.append(place.get(entry.family, 0))
        place[entry.family] = turns[-1] + 1
    order = sorted(range(len(entries)), key=lambda index: (turns[index], index))
    return [entries[index] for index in order]
