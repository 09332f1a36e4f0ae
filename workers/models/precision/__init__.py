"""A float32 model in another precision: by onnxruntime's own tools, within an error that is asked for."""

from workers.models.precision.convert import to_precision

__all__ = ["to_precision"]
