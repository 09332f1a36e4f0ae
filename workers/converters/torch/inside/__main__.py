"""A source of PyTorch's, converted."""

from __future__ import annotations

import importlib.metadata
import warnings

import torch

from workers.converters.contract import Candidate, ConversionRequest, Converted, Tensor
from workers.converters.serving import main, save_checks
from workers.converters.torch.inside.draws import drawn
from workers.converters.torch.inside.export import export_all
from workers.converters.torch.inside.load import load

__all__ = ["convert"]

_FRAMEWORK = f"PyTorch {importlib.metadata.version('torch')}"


def convert(request: ConversionRequest) -> Converted:
    """Load, run for the comparison, and export in every way there is."""
    warnings.simplefilter("ignore")
    # torch's own shortcut through its attention layer at inference, which no exporter knows.
    torch.backends.mha.set_fastpath_enabled(False)
    torch.manual_seed(request.seed)
    with torch.no_grad():
        loaded = load(request)
        draws = drawn(loaded, request.seed)
        candidates, notes = export_all(loaded, request)
    save_checks(request.out, draws)
    inputs, outputs = draws[0]
    sizes = loaded.open_sizes
    return Converted(
        framework=_FRAMEWORK,
        candidates=tuple(Candidate(file, exporter) for file, exporter in candidates),
        inputs=tuple(
            Tensor(
                name,
                value.dtype.name,
                tuple(sizes.get(name, {}).get(axis, size) for axis, size in enumerate(value.shape)),
            )
            for name, value in inputs.items()
        ),
        outputs=tuple(
            Tensor(name, value.dtype.name, _open(value.shape, draws[1][1][name].shape))
            for name, value in outputs.items()
        ),
        notes=(*loaded.notes, *notes),
        files=tuple(loaded.files),
    )


def _open(shape: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape, -1 for the sizes that went with the inputs'."""
    if len(shape) != len(other):
        return shape
    return tuple(one if one == two else -1 for one, two in zip(shape, other, strict=True))


if __name__ == "__main__":
    main(convert)
