"""Operators of ai.onnx.ml, as scikit-learn, LightGBM and XGBoost are exported, written as tensor programs.

Each file holds the rules of one kind. What an operator means is what onnxruntime computes, its habits with
two classes included, since that is what a library is compared with. Trees are written after Hummingbird
(Nakandala et al., OSDI 2020). Strings stay out: a rule ends in an index, and the text is gathered by it.
"""

from workers.models.rewrites.classical.apply import write_out_classical

__all__ = ["write_out_classical"]
