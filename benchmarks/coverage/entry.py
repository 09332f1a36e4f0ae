"""One model of the catalog: its name, and the function that writes its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["DYNAMO", "SCRIPT", "Entry", "of_torch"]

#: torch's two exporters.
DYNAMO, SCRIPT = "dynamo", "torchscript"


@dataclass(frozen=True)
class Entry:
    """A model and how it comes to be a file.

    Attributes
    ----------
    name : str
        Of the architecture and what is special about it; unique.
    family : str
        A share is counted of each.
    write : callable
        Writes the ONNX file. Called in the environment, so what it needs it imports itself.
    exporter : str
        What writes it.
    opset : int
        Asked for; exporters don't always obey.
    environment : str
        ``torch`` or ``keras``.
    shapes : mapping of str to tuple of int
        Of inputs whose sizes the file leaves open.
    counted : bool
        It counts in the share of all.
    """

    name: str
    family: str
    write: Callable[[Path], None]
    exporter: str
    opset: int
    environment: str = "torch"
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    counted: bool = True


def of_torch(
    family: str,
    name: str,
    make: Callable[[], tuple[Any, tuple[Any, ...]]],
    exporter: str,
    opset: int,
    names: tuple[str, ...] = (),
) -> Entry:
    """Return an entry of a torch module.

    Parameters
    ----------
    make : callable
        Returns the module and the inputs to export it with.
    names : tuple of str, optional
        Of the inputs.
    """

    def write(path: Path) -> None:
        from benchmarks.coverage import torch_export

        torch_export.seed(name)
        module, inputs = make()
        torch_export.export(path, module, inputs, exporter=exporter, opset=opset, names=names)

    return Entry(name, family, write, exporter, opset)
