"""Images with their channels last, and rows of samples, made images with their channels first.

Exporters of TensorFlow leave a Transpose before and after nearly every convolution, and models as ConvNeXt
normalize and multiply with their channels last. What such a permute makes is an image as before, seen with
its axes in another order; what is computed of it can as well be computed of the image itself. So here a
permute of an image emits nothing: what follows is done on the image, axes translated, until a permute leads
back, or until somebody asks who has to have the order of the model (a reshape, say, or the model's output):
for that one permute is made. A product with constant weights over the last axis is a convolution of 1x1.

A signal, (N, C, W), is an image of one row, (N, C, 1, W), in the same way: convolutions and pools along one
axis are those along two.

All is Relax before and after, so that blocks know nothing of it.
"""

from __future__ import annotations

from workers.engines.metaschedule.layouts.channels_first.images import with_channels_first

__all__ = ["with_channels_first"]
