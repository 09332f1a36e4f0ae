"""What torch.export made: its inputs, their names, and the sizes that it leaves open."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree

from workers.converters.contract import FAILED, ConversionError, ConversionRequest
from workers.converters.serving import draw
from workers.converters.torch.inside.loaded import TENSOR, InARow, Loaded

__all__ = ["of_program"]


def of_program(program: Any, request: ConversionRequest) -> Loaded:
    """Take a program as it is: what it left open stays open.

    Raises
    ------
    ConversionError
        It has no tensor among its inputs, or was exported in training mode.
    """
    if _trains(program):
        raise ConversionError(
            FAILED,
            "the program was exported in training mode: what it computes is random, or depends on the batch",
            "export it after module.eval()",
        )
    metas = _inputs(program)
    names = [name for name, _ in metas]
    if not names:
        raise ConversionError(FAILED, "the program takes no tensor")
    open_sizes: dict[str, dict[int, str]] = {}
    for name, meta in metas:
        for axis, size in enumerate(meta.shape):
            if not isinstance(size, int):
                open_sizes.setdefault(name, {})[axis] = str(size)
    leaves, spec = _leaves(program)
    constants = [TENSOR if isinstance(leaf, torch.Tensor) or leaf is TENSOR else leaf for leaf in leaves]
    examples = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    if len(examples) != len(names):
        examples = [_drawn(name, meta, request) for name, meta in metas]
    module = InARow(program.module(), spec, constants, names)
    return Loaded(module, names, examples, program=program, open_sizes=open_sizes)


def _inputs(program: Any) -> list[tuple[str, Any]]:
    """Return the names of the user's inputs that are tensors, and what is known of each."""
    user = list(program.graph_signature.user_inputs)
    metas = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    return [(name, metas[name]) for name in user if isinstance(metas.get(name), torch.Tensor)]


def _leaves(program: Any) -> tuple[list[Any], Any]:
    """Return the example inputs in a row, and how they go together."""
    spec = program.call_spec.in_spec
    if program.example_inputs is not None:
        return list(_pytree.tree_leaves(program.example_inputs)), spec
    metas = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    found = []
    for name in program.graph_signature.user_inputs:
        known = metas.get(name) if isinstance(name, str) else name
        found.append(TENSOR if isinstance(known, torch.Tensor) else known)
    return found, spec


def _drawn(name: str, meta: Any, request: ConversionRequest) -> Any:
    shape = [int(size.node.hint) if not isinstance(size, int) else size for size in meta.shape]
    kind = str(meta.dtype).removeprefix("torch.")
    return torch.from_numpy(draw({name: (kind, shape)}, request.seed)[name])


def _trains(program: Any) -> bool:
    for node in program.graph.nodes:
        name = str(node.target)
        if name.startswith("aten.dropout") and node.args[2:3] == (True,):
            return True
        if name.startswith("aten.batch_norm") and node.args[5:6] == (True,):
            return True
    return False
