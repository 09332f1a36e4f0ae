"""Operators of ``com.microsoft``, as onnxruntime's optimizers write them, in operators of the standard.

onnxruntime fuses what a model says in standard operators into larger ones of its own, and saves the
model so where it is asked to (``SessionOptions.optimized_model_filepath``,
``onnxruntime.transformers.optimizer``). Each file here holds the rules of one kind. What a rule writes is
what onnxruntime's kernels compute, by its document ``ContribOperators.md`` and their source.
"""

from workers.models.rewrites.microsoft.apply import (
    as_onnxruntime_has_it,
    holds,
    known,
    set_apart,
    write_out,
)

__all__ = ["as_onnxruntime_has_it", "holds", "known", "set_apart", "write_out"]
