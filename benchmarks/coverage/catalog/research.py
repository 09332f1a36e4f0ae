"""Networks of papers that no package has: images made and mended, graphs, points, recommendations."""

from __future__ import annotations

from typing import Any

from benchmarks.coverage.entry import DYNAMO, SCRIPT, Entry, of_torch

__all__ = ["ENTRIES"]

# Function of benchmarks.coverage.networks.research, exporter, opset.
_MODELS: tuple[tuple[str, str, int], ...] = (
    ("unet", SCRIPT, 11),
    ("super_resolution", SCRIPT, 12),
    ("style_transfer", DYNAMO, 18),
    ("gan_generator", SCRIPT, 9),
    ("style_gan", SCRIPT, 16),
    ("pix2pix", DYNAMO, 20),
    ("point_net", SCRIPT, 13),
    ("graph_convolutions", SCRIPT, 18),
    ("graph_attention", DYNAMO, 18),
    ("dlrm", DYNAMO, 21),
    ("wide_and_deep", SCRIPT, 10),
    ("radiance_field", SCRIPT, 17),
    ("normalizing_flow", DYNAMO, 18),
    ("spline_network", SCRIPT, 15),
    ("forecaster", DYNAMO, 23),
    ("spatial_transformer", SCRIPT, 16),
    ("deformed", SCRIPT, 19),
    ("segnet", SCRIPT, 11),
    ("monai_volume", SCRIPT, 13),
    ("siamese_tracker", SCRIPT, 12),
)


def _make(name: str) -> tuple[Any, tuple[Any, ...]]:
    from benchmarks.coverage.networks import research

    made: tuple[Any, tuple[Any, ...]] = getattr(research, name)()
    return made


ENTRIES: list[Entry] = [
    of_torch("research", f"research-{name}", lambda n=name: _make(n), exporter, opset)  # type: ignore[misc]
    for name, exporter, opset in _MODELS
]
