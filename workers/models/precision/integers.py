"""onnxruntime's static quantizer, asked again and again for other layers of one model."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
import onnxruntime

from workers.errors import ModelError
from workers.models._reference import first_line
from workers.models.precision.layers import OPERATORS, name_nodes

__all__ = ["TOOL", "Quantizer", "ready"]

_Feeds = dict[str, npt.NDArray[Any]]

TOOL = f"onnxruntime {onnxruntime.__version__}"


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep to itself what the tools log: advice on settings that are not a person's to choose.

    Raises
    ------
    ModelError
        They fail.
    """
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    # Anything: they raise whatever their internals do.
    except Exception as error:
        raise ModelError(
            f"the tools of {TOOL} can't convert the model: {type(error).__name__}: {first_line(error)}"
        ) from None
    finally:
        logging.disable(before)


def ready(model: onnx.ModelProto, folder: Path) -> Path:
    """Write a model as the quantizer wants it: simplified, with shapes, every node with a name of its own."""
    from onnxruntime.quantization import quant_pre_process

    plain, prepared = folder / "plain.onnx", folder / "ready.onnx"
    plain.write_bytes(model.SerializeToString())
    with quietly():
        # Symbolic shapes are for models whose sizes are open, and take a package more.
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
    named = onnx.load(prepared)
    name_nodes(named)
    prepared.write_bytes(named.SerializeToString())
    return prepared


class Quantizer:
    """Quantizes chosen layers of a model: their weights, each channel for itself, and what they read.

    What they write stays in floats: where the next layer reads it, it is rounded there, after the additions
    and activations between, and so once. These take no time of their own behind a product.

    Parameters
    ----------
    model : Path
        From :func:`ready`.
    samples : sequence of dict
        Their values give the ranges.
    """

    def __init__(self, model: Path, samples: Sequence[_Feeds]) -> None:
        self._model, self._samples = model, samples
        # The ranges are found once, and are the same whichever layers are asked for.
        self._ranges = model.with_name("ranges.json")

    def quantized(self, nodes: Sequence[str]) -> onnx.ModelProto:
        """Return the model with these layers quantized; at least one."""
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

        class Reader(CalibrationDataReader):  # type: ignore[misc]
            def __init__(self, samples: Sequence[_Feeds]) -> None:
                self._left = iter(samples)

            def get_next(self) -> _Feeds | None:
                return next(self._left, None)

        assert nodes, "the quantizer takes none for all"
        out = self._model.with_name("quantized.onnx")
        with quietly():
            quantize_static(
                str(self._model),
                str(out),
                Reader(self._samples),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                per_channel=True,
                # As dot products of bytes take them on x86; an engine makes what another CPU takes.
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=list(nodes),
                calibration_cache_path=self._ranges,
                extra_options={
                    "MatMulConstBOnly": True,
                    "OpTypesToExcludeOutputQuantization": list(OPERATORS),
                },
            )
        return onnx.load(out)
