"""Damaged ONNX files, each from a seed and a number: what bad disks and bad exporters make of one."""

from __future__ import annotations

import random
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.damaged_graphs import KINDS, NAME, WEIGHTS, Case, as_bytes
from tests.kit.hard_models import HARD
from tests.kit.model_builders import constant, dense_model, model_of, tensor, weight
from tests.kit.tiny_models import tiny

__all__ = ["NAME", "Damaged", "damaged", "sources"]


@dataclass(frozen=True)
class Damaged:
    """A damaged file.

    Attributes
    ----------
    files : dict of str to bytes
        What is written, by name: the model, and weights beside it where it has such.
    history : tuple of str
        The model it was made from, and what was done to it.
    """

    files: dict[str, bytes]
    history: tuple[str, ...]


def sources() -> dict[str, onnx.ModelProto]:
    """Return the models that are damaged, all small, by name."""
    found = {"dense": dense_model(2), "open batch": dense_model(), "tiny": tiny()}
    found["recurrent"] = model_of(
        [helper.make_node("LSTM", ["x", "w", "r"], ["y", "h"], hidden_size=3)],
        [tensor("x", [4, 1, 2])],
        [tensor("y", [4, 1, 1, 3]), tensor("h", [1, 1, 3])],
        [weight("w", 1, 12, 2), weight("r", 1, 12, 3)],
    )
    found["shapes"] = model_of(
        [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Gather", ["s", "zero"], ["b"]),
            helper.make_node("Concat", ["b", "rest"], ["t"], axis=0),
            helper.make_node("Reshape", ["x", "t"], ["r"]),
            helper.make_node("Transpose", ["r"], ["p"], perm=[0, 2, 1]),
            helper.make_node("Slice", ["p", "zero", "two"], ["y"]),
        ],
        [tensor("x", [2, 3, 4])],
        [tensor("y", [2, 2, 6])],
        [constant("zero", 0), constant("rest", 6, 2), constant("two", 2)],
    )
    found["own function"] = _with_function()
    found.update((f"hard: {name}", hard.model()) for name, hard in HARD.items())
    return found


def damaged(seed: int, number: int, models: dict[str, onnx.ModelProto]) -> Damaged:
    """Return the damaged file of a number: always the same one for a seed.

    Parameters
    ----------
    models : dict of str to onnx.ModelProto
        What :func:`sources` returns.
    """
    rng = random.Random(f"{seed}:{number}")
    name = rng.choice(list(models))
    model = onnx.ModelProto()
    model.CopyFrom(models[name])
    case, history = Case(rng, model), [name]
    if rng.random() < 0.1:
        _put_weights_beside(case)
        history.append("weights beside")
    # Most keep their form, so that they get further than the parser.
    spoilt = number % 4 == 0
    for _ in range(rng.choice((0, 0, 1) if spoilt else (1, 1, 1, 2, 3, 5))):
        kind = rng.choice(KINDS)
        try:
            kind(case)
        except Exception:  # nothing there that could be damaged so, or it is damaged too much already
            continue
        history.append(kind.__name__.strip("_"))
    data = as_bytes(case.model)
    if spoilt:
        for _ in range(rng.choice((1, 1, 2))):
            if not data:
                break
            spoil = rng.choice(_OF_BYTES)
            other = models[rng.choice(list(models))].SerializeToString()
            data = spoil(rng, data, other)
            history.append(spoil.__name__.strip("_"))
    return Damaged({NAME: data, **case.files}, tuple(history))


def _with_function() -> onnx.ModelProto:
    inner = [helper.make_node("Add", ["a", "a"], ["t"]), helper.make_node("Relu", ["t"], ["b"])]
    function = helper.make_function("own", "Twice", ["a"], ["b"], inner, [helper.make_opsetid("", 17)])
    return model_of(
        [helper.make_node("Twice", ["x"], ["y"], domain="own")],
        [tensor("x", [3])],
        [tensor("y", [3])],
        domains=["own"],
        functions=[function],
    )


def _put_weights_beside(case: Case) -> None:
    data = bytearray()
    for stored in case.model.graph.initializer:
        raw = numpy_helper.to_array(stored).tobytes()
        if not raw:
            continue
        shape, dtype, name = list(stored.dims), stored.data_type, stored.name
        stored.Clear()
        stored.dims.extend(shape)
        stored.data_type, stored.name, stored.data_location = dtype, name, TensorProto.EXTERNAL
        places = {"location": WEIGHTS, "offset": str(len(data)), "length": str(len(raw))}
        for key, value in places.items():
            stored.external_data.add(key=key, value=value)
        data += raw
    case.files[WEIGHTS] = bytes(data)


# -- what is done to a file's bytes


def _flip_bits(rng: random.Random, data: bytes, other: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def _cut(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _cut_out(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice((1, 2, 16, 512)) :]


def _splice(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def _insert(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start, length = rng.randrange(len(data)), rng.choice((1, 4, 100))
    return data[:start] + rng.randbytes(length) + data[start:]


def _blank(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start, length = rng.randrange(len(data)), rng.choice((4, 64, 512))
    return data[:start] + b"\x00" * len(data[start : start + length]) + data[start + length :]


def _repeat(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start = rng.randrange(len(data))
    part = data[start : start + rng.choice((8, 64, 4096))]
    return data[:start] + part * rng.choice((2, 3)) + data[start + len(part) :]


def _append(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data + rng.choice((other, b"\n", rng.randbytes(32), b"\x3a\xff\xff\xff\xff\x0f"))


def _nest(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Put branches within branches, deeper than any writer does, and than protobuf reads."""
    node = _message({4: b"Relu", 1: b"deep in", 2: b"deep"})
    for _ in range(rng.choice((20, 31, 33, 500, 2000))):
        graph = _message({1: node, 2: b"branch"})
        branch = _message({1: b"then_branch", 6: graph}) + b"\xa0\x01\x05"  # of type GRAPH
        node = _message({4: b"If", 1: b"deep if", 2: b"deep", 5: branch})
    # A second graph of a model is merged with the first.
    return data + _message({7: _message({1: node})})


def _message(fields: dict[int, bytes]) -> bytes:
    """Write fields of protobuf by their numbers."""
    found = b""
    for number, value in fields.items():
        length, size = len(value), b""
        while length > 127:
            size += bytes([length & 127 | 128])
            length >>= 7
        found += bytes([number << 3 | 2]) + size + bytes([length]) + value
    return found


_OF_BYTES = (
    _flip_bits,
    _flip_bits,
    _flip_bits,
    _cut,
    _cut_out,
    _splice,
    _insert,
    _blank,
    _repeat,
    _append,
    _nest,
)
