"""An exporter's ONNX model, as it is written: inputs and outputs with the source's names, in its order.

Runs in a converter's own interpreter: onnx and the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workers.converters.contract import NO_ONNX_FORM, ConversionError, Tensor

__all__ = [
    "fix_shapes",
    "foreign_operators",
    "keep_outputs",
    "name_inputs",
    "name_open_sizes",
    "name_outputs",
    "tensors",
    "write",
]

# A protobuf message ends at 2 GiB, the graph itself included.
_MOST_INLINE_BYTES = 2**31 - 2**24


def name_inputs(model: Any, names: Mapping[str, str]) -> None:
    """Give inputs other names and put them in the order of those; one that is missing was unused."""
    _rename(model.graph, names)
    _sort(model.graph.input, list(names.values()))


def name_outputs(model: Any, names: Mapping[str, str]) -> None:
    """Give outputs other names and put them in the order of those."""
    _rename(model.graph, names)
    _sort(model.graph.output, list(names.values()))


def keep_outputs(model: Any, names: Sequence[str]) -> None:
    """Leave out all outputs but some; what made the others alone goes too.

    Raises
    ------
    ConversionError
        None would be left.
    """
    kept = [value for value in model.graph.output if value.name in names]
    if not kept:
        raise ConversionError(NO_ONNX_FORM, "none of the model's outputs is a tensor of numbers")
    copies = [type(value).FromString(value.SerializeToString()) for value in kept]
    del model.graph.output[:]
    model.graph.output.extend(copies)
    used = set(names)
    nodes = []
    for node in reversed(model.graph.node):
        if used.intersection(node.output):
            nodes.append(type(node).FromString(node.SerializeToString()))
            used.update(node.input)
            used.update(*(_names(attribute.g) for attribute in node.attribute if attribute.HasField("g")))
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))


def name_open_sizes(model: Any, first: str) -> None:
    """Name the sizes that inputs leave open.

    Exporters number them (`unk__17`), which tells nobody anything, and hides which of them is the batch.

    Parameters
    ----------
    first : str
        Name of the first size of all inputs and outputs, "batch" where it is known to be one; empty for none.
    """
    renamed: dict[str, str] = {}
    for value in model.graph.input:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.HasField("dim_value") and size.dim_value >= 0:
                continue
            name = first if axis == 0 else f"{value.name}_{axis}"
            if size.dim_param:
                renamed[size.dim_param] = name
            size.Clear()
            if name:
                size.dim_param = name
    for place, value in enumerate([*model.graph.output, *model.graph.value_info]):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.HasField("dim_value") and size.dim_value >= 0:
                continue
            name = renamed.get(size.dim_param, "")
            if not name and axis == 0 and place < len(model.graph.output):
                name = first
            size.Clear()
            if name:
                size.dim_param = name


def fix_shapes(model: Any, inputs: Sequence[Tensor]) -> None:
    """Write the sizes that are known into a graph's inputs, which have the same names."""
    known = {tensor.name: tensor.shape for tensor in inputs}
    for value in model.graph.input:
        for size, wanted in zip(value.type.tensor_type.shape.dim, known[value.name], strict=True):
            if isinstance(wanted, int) and wanted >= 0:
                size.dim_value = wanted


def tensors(values: Sequence[Any]) -> tuple[Tensor, ...]:
    """Describe a graph's inputs or outputs."""
    import onnx

    return tuple(
        Tensor(
            value.name,
            str(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)),
            tuple(
                size.dim_value if size.HasField("dim_value") else size.dim_param or -1
                for size in value.type.tensor_type.shape.dim
            ),
        )
        for value in values
    )


def foreign_operators(model: Any) -> list[tuple[str, str]]:
    """Return operators that ONNX doesn't have, each with its node's name.

    tf2onnx and paddle2onnx write a model all the same, with the framework's operator in it.
    """
    import onnx

    known = {"", "ai.onnx.ml", "com.microsoft"}
    own = {(function.domain, function.name) for function in model.functions}
    found: list[tuple[str, str]] = []

    def look(graph: Any) -> None:
        for node in graph.node:
            if (node.domain, node.op_type) not in own and (
                node.domain not in known
                or (node.domain != "com.microsoft" and not onnx.defs.has(node.op_type, node.domain))
            ):
                found.append((node.op_type, node.name))
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    look(attribute.g)

    look(model.graph)
    return found


def write(model: Any, folder: str, exporter: str) -> str:
    """Write a model into a folder, weights beside it where one file can't hold them, and return its name."""
    import onnx

    name = f"model-{exporter}.onnx"
    large = sum(len(tensor.raw_data) for tensor in model.graph.initializer) > _MOST_INLINE_BYTES
    onnx.save(
        model,
        str(Path(folder) / name),
        **({"save_as_external_data": True, "location": f"{name}.data"} if large else {}),
    )
    return name


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Rename values everywhere; one that has a wanted name already makes room for it."""
    changed = {old: new for old, new in names.items() if old != new}
    taken = _names(graph)
    for new in set(changed.values()) & (taken - set(changed)):
        free = f"{new}_inner"
        while free in taken:
            free += "_"
        changed[new] = free
    if changed:
        _replace(graph, changed)


def _names(graph: Any) -> set[str]:
    names = {value.name for value in [*graph.input, *graph.output, *graph.initializer]}
    for node in graph.node:
        names.update(node.input, node.output)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names |= _names(attribute.g)
    return names


def _replace(graph: Any, names: Mapping[str, str]) -> None:
    for value in [*graph.input, *graph.output, *graph.initializer, *graph.value_info]:
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _replace(attribute.g, names)


def _sort(values: Any, order: Sequence[str]) -> None:
    places = {name: place for place, name in enumerate(order)}
    kept = sorted(values, key=lambda value: places.get(value.name, len(places)))
    copies = [type(value).FromString(value.SerializeToString()) for value in kept]
    del values[:]
    values.extend(copies)
