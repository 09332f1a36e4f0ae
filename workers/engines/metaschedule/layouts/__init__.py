"""Layouts of convolutions: from the model's NCHW to one that suits the target.

The importer leaves every convolution in NCHW, where a row of the image lies side by side in memory, and a
search finds about half the speed there that it finds with channels side by side. So a model is rewritten
before its kernels are made: activations get their channels in blocks, ``(N, C/b, H, W, b)``, weights are laid
out for that once and for all, and what lies between the convolutions (elementwise operators, pools,
concatenations, means, resizing) works on the blocks as they are. A transform is put in only where an operator
needs NCHW.

The block is chosen for each convolution by its output channels, so that tensors that meet have the same one,
and a convolution reads whatever block its input has: there is no transform between two convolutions. NHWC is
the same with one block of all channels.

What an operator does on blocks is said in :mod:`.operators`, a file for each family.
"""

from __future__ import annotations

from workers.engines.metaschedule.layouts.choice import Choice, chosen_layout
from workers.engines.metaschedule.layouts.costs import convolutions
from workers.engines.metaschedule.layouts.rewrite import LaidOut, with_layout
from workers.engines.metaschedule.layouts.transforms import Transform

__all__ = ["Choice", "LaidOut", "Transform", "chosen_layout", "convolutions", "with_layout"]
