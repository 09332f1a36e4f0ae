"""What the toy has, as data."""

from __future__ import annotations

from workers.messages import Setting, Traits

__all__ = ["NAME", "TRAITS"]

NAME = "toy"

TRAITS = Traits(
    name=NAME,
    settings=(
        Setting("largest", "the largest block that is tried; 64 if left out", 64, least=1),
        Setting(
            "order", "how blocks are tried; shuffled if left out", "shuffled", choices=("shuffled", "sorted")
        ),
    ),
)
