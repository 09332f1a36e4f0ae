"""What of a prepared model stands in the way of a fast library, counted: the lightest export is taken."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from workers.messages import PreparedModel
from workers.models import _graphs

__all__ = ["Burden", "burden"]

# A pass over memory between two kernels: where layouts meet, and what was not folded into a convolution.
_OF_A_PASS = 10
# Behind a cut nothing is tuned.
_BEHIND = 100


@dataclass(frozen=True)
class Burden:
    """What is left after the preparation.

    Attributes
    ----------
    nodes : int
        All, constants apart.
    transposes : int
        Of these, those that only move values.
    batch_norms : int
        Those that were not folded into what comes before them.
    behind : int
        Nodes behind the place where the model is cut: loops that depend on what is fed, operators whose
        sizes do. Only onnxruntime runs them.
    """

    nodes: int
    transposes: int
    batch_norms: int
    behind: int

    @property
    def weight(self) -> int:
        """A node is 1, a transpose or batch normalization 10 more, a node behind the cut 100."""
        return self.nodes + _OF_A_PASS * (self.transposes + self.batch_norms) + _BEHIND * self.behind

    def __str__(self) -> str:
        others = {
            "transpose": self.transposes,
            "batch normalization": self.batch_norms,
            "operator behind the cut": self.behind,
        }
        counted = [("operator", self.nodes), *((word, number) for word, number in others.items() if number)]
        return ", ".join(f"{number} {_plural(word, number)}" for word, number in counted)


def _plural(word: str, number: int) -> str:
    head, space, rest = word.partition(" behind")
    return word if number == 1 else f"{head}s{space}{rest}"


def burden(model: PreparedModel) -> Burden:
    """Count what is left of a model."""
    counts = _graphs.operator_counts(onnx.load_from_string(model.onnx))
    behind = 0 if model.rest is None else len(onnx.load_from_string(model.rest.onnx).graph.node)
    return Burden(
        nodes=counts.total() - counts["Constant"],
        transposes=counts["Transpose"],
        batch_norms=counts["BatchNormalization"],
        behind=behind,
    )
