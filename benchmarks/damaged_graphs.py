"""What goes wrong in the parts of an ONNX model: nodes, attributes, sizes, names, weights, versions."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["KINDS", "NAME", "WEIGHTS", "Case", "as_bytes"]

#: The model's file, and the one for weights that lie beside it.
NAME, WEIGHTS = "model.onnx", "weights.bin"

_HUGE = (2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1)
_NUMBERS = (0, 1, -1, 2, 3, 7, 64, 1000, 65537, -(2**31), -(2**63), *_HUGE)
_FLOATS = (0.0, -1.0, 1e38, -1e38, float("inf"), float("nan"), 1e-40)
_DTYPES = (0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 13, 14, 16, 17, 21, 22, 23, 99, -1)
# Stands in a name for bytes that are no text, and is as long as they are: protobuf's Python takes only text.
_MARK, _NO_TEXT = "@@bytes@@", b"\xff\xfe\x80\xc3\x28\xf0\x9f\x00\xed"
_NAMES = (
    *(
        "",
        _MARK,
        "数据",
        "a b",
        "a/b:0",
        "../x",
        "x\ny",
        "x\ty",
        "\x1b[31mred",
        "x\x00y",
        "%s%n",
        "{0}",
        "'",
        '"',
    ),
    *("🦙" * 50, "n" * 70000, "lambda", "None", "-1", "p0", "main", "\u202eevil", "\ud7ff"),
)
_LOCATIONS = (
    *(
        "",
        ".",
        "..",
        "/",
        "/etc/passwd",
        "../" + WEIGHTS,
        "a/../../b",
        NAME,
        "no-such-file",
        "x\x00y",
        "/dev/zero",
    ),
    *("\\windows\\x", "C:\\x", "n" * 300, _MARK, "weights.bin/", "./weights.bin", "file:///etc/passwd", "~"),
)
_OPERATORS = sorted({schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""})


@dataclass
class Case:
    """A model that is being damaged, and the files beside it.

    Attributes
    ----------
    rng : random.Random
        Says what is damaged and how.
    """

    rng: random.Random
    model: onnx.ModelProto
    files: dict[str, bytes] = field(default_factory=dict)


Kind = Callable[[Case], None]
#: Each is there as often as it is to be chosen. One that finds nothing to damage raises what it likes.
KINDS: list[Kind] = []


def _kind(weight: int = 1) -> Callable[[Kind], Kind]:
    def keep(function: Kind) -> Kind:
        KINDS.extend([function] * weight)
        return function

    return keep


def as_bytes(model: onnx.ModelProto) -> bytes:
    """Return a model's file, with names that are no text where such were chosen."""
    data: bytes = model.SerializeToString()
    return data.replace(_MARK.encode(), _NO_TEXT)


def _graphs(graph: Any) -> list[Any]:
    found = [graph]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found += _graphs(attribute.g)
    return found


def _graph(case: Case) -> Any:
    return case.rng.choice(_graphs(case.model.graph))


def _node(case: Case) -> Any:
    return case.rng.choice(_graph(case).node)


def _attribute(case: Case) -> Any:
    nodes = [node for graph in _graphs(case.model.graph) for node in graph.node if node.attribute]
    return case.rng.choice(case.rng.choice(nodes).attribute)


def _value(case: Case) -> Any:
    graph = _graph(case)
    return case.rng.choice([*graph.input, *graph.output, *graph.value_info])


def _tensor(case: Case) -> Any:
    found = [one for graph in _graphs(case.model.graph) for one in graph.initializer]
    found += [
        a.t for graph in _graphs(case.model.graph) for n in graph.node for a in n.attribute if a.HasField("t")
    ]
    return case.rng.choice(found)


def _some_name(case: Case) -> str:
    graph = case.model.graph
    known = [name for node in graph.node for name in (*node.input, *node.output)]
    known += [value.name for value in (*graph.input, *graph.output, *graph.initializer)]
    return str(case.rng.choice([*known, *known, *_NAMES]))


@_kind()
def _drop_a_node(case: Case) -> None:
    nodes = _graph(case).node
    del nodes[case.rng.randrange(len(nodes))]


@_kind()
def _duplicate_a_node(case: Case) -> None:
    graph = _graph(case)
    graph.node.add().CopyFrom(case.rng.choice(graph.node))


@_kind()
def _shuffle_the_nodes(case: Case) -> None:
    graph = _graph(case)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    case.rng.shuffle(nodes)
    del graph.node[:]
    graph.node.extend(nodes)


@_kind(2)
def _rewire_an_input(case: Case) -> None:
    node = _node(case)
    node.input[case.rng.randrange(len(node.input))] = _some_name(case)


@_kind()
def _rewire_an_output(case: Case) -> None:
    node = _node(case)
    node.output[case.rng.randrange(len(node.output))] = _some_name(case)


@_kind()
def _close_a_circle(case: Case) -> None:
    node = _node(case)
    node.input[case.rng.randrange(len(node.input))] = case.rng.choice(node.output)


@_kind()
def _more_or_fewer_inputs(case: Case) -> None:
    node = _node(case)
    names = case.rng.choice((node.input, node.output))
    if names and case.rng.random() < 0.5:
        names.pop()
    else:
        names.extend(_some_name(case) for _ in range(case.rng.choice((1, 2, 300))))


@_kind(2)
def _another_operator(case: Case) -> None:
    _node(case).op_type = case.rng.choice([*_OPERATORS, *_OPERATORS, *_NAMES])


@_kind()
def _another_domain(case: Case) -> None:
    _node(case).domain = case.rng.choice(
        ("ai.onnx", "ai.onnx.ml", "com.microsoft", "ai.onnx.training", *_NAMES)
    )


@_kind()
def _rename_a_node(case: Case) -> None:
    _node(case).name = case.rng.choice(_NAMES)


@_kind(3)
def _change_an_attribute(case: Case) -> None:
    rng, attribute = case.rng, _attribute(case)
    kind = attribute.type
    if kind == onnx.AttributeProto.INT:
        attribute.i = rng.choice(_NUMBERS)
    elif kind == onnx.AttributeProto.INTS:
        numbers = list(attribute.ints)
        if numbers and rng.random() < 0.6:
            numbers[rng.randrange(len(numbers))] = rng.choice(_NUMBERS)
        else:
            numbers = numbers[:-1] if rng.random() < 0.5 else [*numbers, rng.choice(_NUMBERS)]
        attribute.ints[:] = numbers
    elif kind == onnx.AttributeProto.FLOAT:
        attribute.f = rng.choice(_FLOATS)
    elif kind == onnx.AttributeProto.STRING:
        attribute.s = rng.choice(
            (b"", b"\xff\xfe", b"NOTSET", b"SAME_UPPER", b"linear", b"x" * 9999, b"\x00")
        )
    else:
        attribute.name = rng.choice(_NAMES)


@_kind(2)
def _another_type_of_attribute(case: Case) -> None:
    rng, attribute = case.rng, _attribute(case)
    if rng.random() < 0.4:
        attribute.type = rng.choice(range(15))  # and the value stays where it was
        return
    name = attribute.name
    values: tuple[Any, ...] = (
        1,
        1.5,
        "text",
        [1, 2],
        [],
        [0.5],
        ["a"],
        numpy_helper.from_array(np.zeros(2, np.float32)),
    )
    attribute.Clear()
    value = rng.choice(values)
    kind = onnx.AttributeProto.INTS if value == [] else None
    attribute.CopyFrom(helper.make_attribute(name, value, attr_type=kind))


@_kind()
def _drop_an_attribute(case: Case) -> None:
    node = _node(case)
    del node.attribute[case.rng.randrange(len(node.attribute))]


@_kind()
def _one_more_attribute(case: Case) -> None:
    node, rng = _node(case), case.rng
    if node.attribute and rng.random() < 0.5:
        node.attribute.add().CopyFrom(rng.choice(node.attribute))
        return
    name = rng.choice(("axis", "axes", "k", "to", "mode", "body", "then_branch", "value", *_NAMES))
    node.attribute.add(name=name, type=onnx.AttributeProto.INT, i=rng.choice(_NUMBERS))


@_kind()
def _an_attribute_of_a_function(case: Case) -> None:
    _attribute(case).ref_attr_name = case.rng.choice(("alpha", "", "axis"))


@_kind(2)
def _change_a_size(case: Case) -> None:
    rng, kind = case.rng, _value(case).type.tensor_type
    dims = kind.shape.dim
    if not dims or rng.random() < 0.2:
        dims.add(dim_value=rng.choice(_NUMBERS))
    elif rng.random() < 0.2:
        del dims[rng.randrange(len(dims))]
    else:
        dim = rng.choice(dims)
        if rng.random() < 0.7:
            dim.dim_value = rng.choice(_NUMBERS)
        else:
            dim.dim_param = rng.choice(("N", "batch", "?", *_NAMES))


@_kind()
def _forget_a_shape(case: Case) -> None:
    value = _value(case)
    value.type.tensor_type.ClearField("shape") if case.rng.random() < 0.7 else value.ClearField("type")


@_kind()
def _another_element_type(case: Case) -> None:
    _value(case).type.tensor_type.elem_type = case.rng.choice(_DTYPES)


@_kind()
def _another_kind_of_value(case: Case) -> None:
    value, rng = _value(case), case.rng
    inner = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
    kinds = (
        helper.make_sequence_type_proto(inner),
        helper.make_optional_type_proto(inner),
        helper.make_map_type_proto(TensorProto.INT64, inner),
        helper.make_sparse_tensor_type_proto(TensorProto.FLOAT, [2]),
        helper.make_sequence_type_proto(helper.make_sequence_type_proto(inner)),
    )
    value.type.CopyFrom(rng.choice(kinds))


@_kind()
def _rename_a_value(case: Case) -> None:
    _value(case).name = _some_name(case)


@_kind()
def _one_more_or_less_input_or_output(case: Case) -> None:
    graph, rng = _graph(case), case.rng
    values = rng.choice((graph.input, graph.output))
    if values and rng.random() < 0.5:
        del values[rng.randrange(len(values))]
    else:
        values.add().CopyFrom(helper.make_tensor_value_info(_some_name(case), rng.choice((1, 7, 9)), [2]))


@_kind()
def _change_a_tensors_sizes(case: Case) -> None:
    rng, stored = case.rng, _tensor(case)
    if stored.dims and rng.random() < 0.7:
        stored.dims[rng.randrange(len(stored.dims))] = rng.choice(_NUMBERS)
    else:
        stored.dims.append(rng.choice(_NUMBERS))


@_kind()
def _another_type_of_tensor(case: Case) -> None:
    _tensor(case).data_type = case.rng.choice(_DTYPES)


@_kind()
def _cut_a_tensor(case: Case) -> None:
    stored, rng = _tensor(case), case.rng
    if stored.raw_data:
        stored.raw_data = stored.raw_data[: rng.randrange(len(stored.raw_data))]
    else:
        for name in ("float_data", "int32_data", "int64_data"):
            if len(getattr(stored, name)):
                getattr(stored, name).pop()


@_kind()
def _two_data_in_a_tensor(case: Case) -> None:
    stored = _tensor(case)
    stored.float_data.extend([1.0, 2.0])
    stored.string_data.extend([b"\xff"])


@_kind()
def _rename_a_tensor(case: Case) -> None:
    _tensor(case).name = _some_name(case)


@_kind(2)
def _odd_numbers_in_a_tensor(case: Case) -> None:
    rng, stored = case.rng, _tensor(case)
    values = numpy_helper.to_array(stored).copy()
    if values.size == 0 or values.dtype.kind not in "iuf":
        raise ValueError("nothing to put one in")
    choice = rng.choice(_FLOATS if values.dtype.kind == "f" else _NUMBERS)
    with np.errstate(all="ignore"):
        values.reshape(-1)[rng.randrange(values.size)] = np.asarray([choice]).astype(values.dtype)[0]
    stored.CopyFrom(numpy_helper.from_array(values, stored.name))


@_kind()
def _point_a_tensor_elsewhere(case: Case) -> None:
    rng, stored = case.rng, _tensor(case)
    stored.data_location = TensorProto.EXTERNAL
    if rng.random() < 0.5 or not stored.external_data:
        entries = {"location": rng.choice((WEIGHTS, *_LOCATIONS))}
        if rng.random() < 0.7:
            entries["offset"] = rng.choice(
                ("0", "-1", "4", "x", "", "1e3", str(2**63), str(2**70), " 1", "٣")
            )
        if rng.random() < 0.7:
            entries["length"] = rng.choice(("0", "-1", "4", "x", str(2**40), str(2**63), "0x10"))
        del stored.external_data[:]
        for key, value in entries.items():
            stored.external_data.add(key=key, value=value)
    else:
        entry = rng.choice(stored.external_data)
        entry.value = rng.choice((*_LOCATIONS, "-1", "x", str(2**63)))
    case.files.setdefault(WEIGHTS, b"\x00" * rng.choice((0, 4, 64)))


@_kind()
def _sparse_constants(case: Case) -> None:
    rng = case.rng
    values = helper.make_tensor(_some_name(case), TensorProto.FLOAT, [2], [1.0, 2.0])
    places = rng.choice(([0, 3], [3, 0], [0, 99], [-1, 2], [0, 0]))
    indices = helper.make_tensor("places", TensorProto.INT64, [2], places)
    dims = rng.choice(([4], [2, 2], [], [0], [2**40], [-1]))
    case.model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, dims))


@_kind()
def _other_versions(case: Case) -> None:
    rng, model = case.rng, case.model
    if rng.random() < 0.3:
        model.ir_version = rng.choice((0, -1, 1, 2, 3, 7, 10, 13, 99, 2**31, 2**62))
    elif rng.random() < 0.2:
        del model.opset_import[:]
    else:
        chosen = rng.choice(model.opset_import)
        chosen.version = rng.choice((0, -1, *range(1, 27), 99, 2**31, 2**62))
        if rng.random() < 0.2:
            model.opset_import.add(domain=rng.choice(("", "ai.onnx", _MARK)), version=rng.choice((1, 12, 18)))


@_kind()
def _odd_names_of_the_whole(case: Case) -> None:
    model, rng = case.model, case.rng
    model.graph.name = rng.choice(_NAMES)
    setattr(model, rng.choice(("producer_name", "doc_string", "domain")), rng.choice(_NAMES))
    model.metadata_props.add(key=rng.choice(_NAMES), value=rng.choice(_NAMES))


@_kind()
def _huge_constants(case: Case) -> None:
    """Have something made whose size would take all memory, and read."""
    graph, rng = case.model.graph, case.rng
    size = rng.choice((2**20, 2**31, 2**36, 2**40, 2**62))
    kind = rng.choice(("ConstantOfShape", "Expand", "Tile", "Range", "EyeLike"))
    name = graph.input[0].name
    graph.initializer.append(numpy_helper.from_array(np.asarray([size, 4], np.int64), "huge"))
    graph.initializer.append(numpy_helper.from_array(np.asarray(size, np.int64), "limit"))
    graph.initializer.append(numpy_helper.from_array(np.asarray(1, np.int64), "one"))
    inputs = {"ConstantOfShape": ["huge"], "Range": ["one", "limit", "one"], "EyeLike": [name]}
    graph.node.insert(0, helper.make_node(kind, inputs.get(kind, [name, "huge"]), ["very large"]))
    graph.node.append(helper.make_node("ReduceMax", ["very large"], ["largest"], keepdims=0))
    graph.output.append(helper.make_tensor_value_info("largest", rng.choice((1, 7)), []))


@_kind()
def _turns_without_end(case: Case) -> None:
    graph, rng = case.model.graph, case.rng
    steps = rng.choice((3, 10**6, 2**40, 2**62))
    body = onnx.parser.parse_graph(
        "body (int64 i, bool c, float v) => (bool c2, float v2) { v2 = Add (v, v) c2 = Identity (c) }"
    )
    graph.initializer.append(numpy_helper.from_array(np.asarray(steps, np.int64), "steps"))
    graph.initializer.append(numpy_helper.from_array(np.asarray(True), "go on"))
    graph.initializer.append(numpy_helper.from_array(np.asarray(1, np.float32), "first"))
    graph.node.append(helper.make_node("Loop", ["steps", "go on", "first"], ["last"], body=body))
    graph.output.append(helper.make_tensor_value_info("last", 1, []))


@_kind()
def _branches_in_branches(case: Case) -> None:
    made = [helper.make_tensor_value_info("deep", 1, [2])]
    inner = helper.make_node("Relu", ["deep in"], ["deep"])
    flat = helper.make_graph([inner], "flat", [], made)
    for _ in range(case.rng.choice((2, 20, 31))):  # protobuf reads 100 messages deep, 32 branches
        branch = helper.make_graph([inner], "branch", [], made)
        inner = helper.make_node("If", ["deep if"], ["deep"], then_branch=branch, else_branch=flat)
    graph = case.model.graph
    graph.node.append(inner)
    graph.input.append(helper.make_tensor_value_info("deep if", TensorProto.BOOL, []))
    graph.input.append(helper.make_tensor_value_info("deep in", TensorProto.FLOAT, [2]))
    graph.output.append(helper.make_tensor_value_info("deep", TensorProto.FLOAT, [2]))


@_kind()
def _functions_of_each_other(case: Case) -> None:
    rng, model = case.rng, case.model
    opsets = [helper.make_opsetid("", rng.choice((12, 17, 18, 99))), helper.make_opsetid("own", 1)]
    other = rng.choice(("Again", "Other", "Missing"))
    for name, calls in (("Again", other), ("Other", rng.choice(("Again", "Relu")))):
        domain = "" if calls == "Relu" else "own"
        inner = [helper.make_node(calls, ["a"], ["b"], domain=domain)]
        model.functions.append(helper.make_function("own", name, ["a"], ["b"], inner, opsets))
    model.opset_import.add(domain="own", version=1)
    node = _node(case)
    node.op_type, node.domain = "Again", "own"


@_kind()
def _a_long_chain(case: Case) -> None:
    graph, last = case.model.graph, case.model.graph.input[0].name
    for number in range(case.rng.choice((20, 300))):
        graph.node.append(helper.make_node("Neg", [last], [f"chain{number}"]))
        last = f"chain{number}"
    graph.output.append(helper.make_tensor_value_info(last, 1, None))
