"""A module as the exporters get it: inputs in a row, by name, and outputs in a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils import _pytree

__all__ = ["TENSOR", "InARow", "Loaded", "flat_outputs", "output_names"]

#: Stands for a tensor among the constants of a call.
TENSOR = object()
_OUTPUT = "output"


@dataclass(frozen=True)
class Loaded:
    """A model, ready to be run and exported.

    Attributes
    ----------
    module : torch.nn.Module
        Takes the inputs in a row, and returns outputs in a row.
    names : list of str
        Of the inputs.
    examples : list of torch.Tensor
    program : torch.export.ExportedProgram or None
        Where the source is one.
    script : bool
        It holds TorchScript, which only one of the exporters takes.
    open_sizes : dict
        By input and axis, the names of sizes that the source leaves open.
    dynamic : list or None
        The same as torch.export has them, one for each input.
    notes, files : list of str
        As :class:`workers.converters.contract.Converted` has them.
    """

    module: Any
    names: list[str]
    examples: list[Any]
    program: Any = None
    script: bool = False
    open_sizes: dict[str, dict[int, str]] = field(default_factory=dict)
    dynamic: list[Any] | None = None
    notes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def run(self, inputs: Sequence[Any]) -> dict[str, Any]:
        """Return a module's outputs by name."""
        outputs = self.module(*inputs)
        return dict(zip(self.output_names, outputs, strict=True))

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs; known once it was run."""
        return list(self.module.names)


class InARow(torch.nn.Module):
    """A module that takes tensors one by one, and returns a tuple of them.

    Parameters
    ----------
    module : callable
    spec : TreeSpec or None
        Of ``(args, kwargs)``; None where tensors are all there are.
    constants : list
        The leaves of those, `TENSOR` where a tensor goes.
    taken : iterable of str
        Names of inputs, for outputs to have others.
    """

    def __init__(self, module: Any, spec: Any, constants: Sequence[Any], taken: Iterable[str]) -> None:
        super().__init__()
        self.module, self.spec = module, spec
        self.constants, self.taken = tuple(constants), frozenset(taken)
        self.names: tuple[str, ...] = ()

    def train(self, mode: bool = True) -> Any:
        """Stay as it is: an exporter sets the mode, which a module of torch.export's refuses."""
        del mode
        return self

    def forward(self, *values: Any) -> Any:
        """Call the module as it is meant to be called."""
        if self.spec is None:
            result = self.module(*values)
        else:
            given = iter(values)
            leaves = [next(given) if constant is TENSOR else constant for constant in self.constants]
            args, kwargs = _pytree.tree_unflatten(leaves, self.spec)
            result = self.module(*args, **kwargs)
        found = flat_outputs(result)
        if not self.names:
            self.names = tuple(output_names(result, self.taken))
        return tuple(found)


def flat_outputs(result: Any) -> list[Any]:
    """Return the tensors of what a module returned, in its order."""
    return [leaf for leaf in _pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]


def output_names(result: Any, taken: Iterable[str]) -> list[str]:
    """Name them by where they stand: by their keys, or ``output_1``."""
    names, used = [], set(taken)
    for path, leaf in _pytree.tree_flatten_with_path(result)[0]:
        if not isinstance(leaf, torch.Tensor):
            continue
        parts = [_part(key) for key in path]
        name = "_".join(parts) or _OUTPUT
        if name[0].isdigit():
            name = f"{_OUTPUT}_{name}"
        while name in used:
            name += "_out"
        used.add(name)
        names.append(name)
    return names


def _part(key: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
