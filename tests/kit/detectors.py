"""Small models that end in post-processing: how many outputs there are, the values say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

__all__ = ["CUT", "Cut", "save_detector"]

_CONVOLUTIONS = """
    f = Conv <pads = [1, 1, 1, 1]> (x, w0)
    r = Relu (f)
    p = Conv (r, w1)
"""
_WEIGHTS = {"w0": (8, 3, 3, 3), "w1": (6, 8, 1, 1)}


@dataclass(frozen=True)
class Cut:
    """A model as text behind two convolutions, which make ``p``, float[1,6,8,8].

    Attributes
    ----------
    at : tuple of str
        Operators at which it is cut.
    before : tuple of str
        Outputs of what comes before the cut.
    """

    outputs: str
    text: str
    at: tuple[str, ...]
    before: tuple[str, ...]
    inputs: str = ""

    def model(self) -> onnx.ModelProto:
        """Return it, with random weights."""
        head = '<ir_version: 9, opset_import: ["" : 18, "ai.onnx.ml": 3]>'
        body = f"detector (float[1,3,8,8] x{self.inputs}) => ({self.outputs}) {{{_CONVOLUTIONS}{self.text}}}"
        model = onnx.parser.parse_model(head + body)
        generator = np.random.default_rng(0)
        for name, shape in _WEIGHTS.items():
            weights = generator.normal(0, 0.3, shape).astype(np.float32)
            model.graph.initializer.append(numpy_helper.from_array(weights, name))
        return model


CUT: Mapping[str, Cut] = {
    "boxes": Cut(
        "float[n,4] kept, float[1,64,4] boxes, int64[1] size",
        """
        shape = Constant <value_ints = [1, 64, 6]> ()
        t = Transpose <perm = [0, 2, 3, 1]> (p)
        rows = Reshape (t, shape)
        four = Constant <value_ints = [4, 2]> ()
        boxes, classes = Split <axis = 2> (rows, four)
        scores = Transpose <perm = [0, 2, 1]> (classes)
        most = Constant <value_ints = [5]> ()
        iou = Constant <value_floats = [0.5]> ()
        least = Constant <value_floats = [0.1]> ()
        chosen = NonMaxSuppression (boxes, scores, most, iou, least)
        two = Constant <value_ints = [2]> ()
        which = Gather <axis = 1> (chosen, two)
        flat = Squeeze (which, one)
        one = Constant <value_ints = [1]> ()
        zero = Constant <value_ints = [0]> ()
        image = Squeeze (boxes, zero)
        kept = Gather (image, flat)
        known = Shape (rows)
        three = Constant <value_ints = [2]> ()
        size = Gather (known, three)
        """,
        ("NonMaxSuppression",),
        ("boxes", "image", "scores", "size"),
    ),
    "entries": Cut(
        "int64[k,n] where",
        """
        zero = Constant <value_float = 0.0> ()
        big = Greater (p, zero)
        n = NonZero (big)
        where = Identity (n)
        """,
        ("NonZero",),
        ("big",),
    ),
    "entries and sizes": Cut(
        "float[1,6,n] y",
        """
        s = Shape (p)
        cut = Slice (s, zero, two)
        zero = Constant <value_ints = [0]> ()
        two = Constant <value_ints = [2]> ()
        open = Constant <value_ints = [-1]> ()
        shape = Concat <axis = 0> (cut, open)
        flat = Reshape (p, shape)
        m = ReduceSum <keepdims = 0> (flat, zero_one)
        zero_one = Constant <value_ints = [0, 1]> ()
        none = Constant <value_float = 0.0> ()
        good = Greater (m, none)
        part = Compress <axis = 2> (flat, good)
        y = Reshape (part, shape)
        """,
        ("Compress",),
        ("flat", "good"),
    ),
    "sizes that are fed": Cut(
        "float[a,b,c,d] y",
        "y = Pad (p, pads)",
        ("Pad",),
        ("p",),
        ", int64[8] pads",
    ),
    "text": Cut(
        "string[1,8,8] label, int64[1,8,8] best",
        """
        best = ArgMax <axis = 1, keepdims = 0> (p)
        names = Constant <value_strings = ["a", "b", "c", "d", "e", "f"]> ()
        label = Gather (names, best)
        """,
        ("Gather",),
        ("best",),
    ),
    "steps": Cut(
        "float[1,6,8,8] y",
        """
        zero = Constant <value_ints = [0, 1, 2, 3]> ()
        m = ReduceMax <keepdims = 0> (p, zero)
        steps = Cast <to = 7> (m)
        y = Loop (steps, "", p) <body = step (int64 i, bool go, float[1,6,8,8] v) =>
            (bool on, float[1,6,8,8] next) { on = Identity (go) next = Add (v, v) }>
        """,
        ("Loop",),
        ("steps", "p"),
    ),
}


def save_detector(path: Path, name: str = "boxes") -> Path:
    """Write one of the models."""
    path.write_bytes(CUT[name].model().SerializeToString())
    return path
