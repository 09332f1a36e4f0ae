"""torch modules, with weights at which a wrong result shows, as ONNX. Runs in the environment."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.coverage.entry import SCRIPT

__all__ = ["Called", "export", "flat", "integers", "lively", "seed"]


def seed(name: str) -> None:
    """Have the weights of a name always be the same ones."""
    torch.manual_seed(zlib.crc32(name.encode()))


def integers(most: int, *shape: int) -> Any:
    """Return random integers below `most`."""
    return torch.randint(0, most, shape, dtype=torch.int64)


def lively(module: Any) -> Any:
    """Move what is initialized to all zeros or all ones: scaled by 0, a branch hides what it computes."""
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if not value.is_floating_point() or value.numel() == 0:
                continue
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                value.normal_(0, 0.1)
            elif isinstance(value, nn.Parameter) and bool((value == value.flatten()[0]).all()):
                value.add_(torch.randn_like(value) * 0.1)
    return module.eval()


def flat(result: Any) -> list[Any]:
    """Return the tensors of a result, whatever holds them."""
    if torch.is_tensor(result):
        return [result]
    if hasattr(result, "to_tuple"):
        result = result.to_tuple()
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (list, tuple)):
        return [tensor for one in result for tensor in flat(one)]
    return []


class Called(nn.Module):
    """A module whose arguments have names, some of them fixed, and whose result is a tuple of tensors.

    Parameters
    ----------
    most : int
        Tensors of its result that count: models return all that they have computed on the way.
    """

    def __init__(self, module: Any, names: Sequence[str], most: int = 1, **fixed: Any) -> None:
        super().__init__()
        self.module, self.names, self.most, self.fixed = module, tuple(names), most, fixed

    def forward(self, *values: Any) -> Any:
        """Call it."""
        named = dict(zip(self.names, values, strict=True))
        outputs = flat(self.module(**named, **self.fixed))[: self.most]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


def export(
    path: Path, module: Any, inputs: Sequence[Any], *, exporter: str, opset: int, names: Sequence[str] = ()
) -> None:
    """Write a module as ONNX."""
    module = lively(module)
    # torch's own shortcut through its attention layer at inference, which no exporter knows.
    torch.backends.mha.set_fastpath_enabled(False)
    if not names and isinstance(module, Called):
        names = module.names
    options: dict[str, Any] = {"input_names": list(names)} if names else {}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if exporter == SCRIPT:
            torch.onnx.export(module, tuple(inputs), str(path), opset_version=opset, dynamo=False, **options)
        else:
            torch.onnx.export(
                module,
                tuple(inputs),
                str(path),
                opset_version=opset,
                dynamo=True,
                external_data=False,
                verbose=False,
                **options,
            )
