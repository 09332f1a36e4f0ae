"""ultralytics' networks, told that they are exported."""

from __future__ import annotations

from typing import Any

import torch
import torchvision
from torch import nn

__all__ = ["Selected", "exported"]


def exported(model: Any, side: int) -> Any:
    """Have the head give one tensor for all scales, as ultralytics' own exporter has it."""
    model.eval()
    for module in model.modules():
        if hasattr(module, "export"):
            module.export, module.format, module.dynamic = True, "onnx", False
            module.shape = None
        if module.__class__.__name__ == "C2f":
            module.forward = module.forward_split
    with torch.no_grad():
        for _ in range(2):
            model(torch.zeros(1, 3, side, side))
    return First(model)


class First(nn.Module):
    """The tensors of a result, without what was computed on the way."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Any) -> Any:
        """Return one tensor, or two where there are masks."""
        from benchmarks.coverage.torch_export import flat

        found = flat(self.model(images))
        return found[0] if len(found) == 1 else tuple(found[:2])


class Selected(nn.Module):
    """Boxes after non-maximum suppression: the best 20 of one image."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Any) -> Any:
        """Return boxes and scores."""
        found = self.model(images)[0].transpose(0, 1)
        scores = found[:, 4:].amax(1)
        half = found[:, 2:4] / 2
        boxes = torch.cat((found[:, :2] - half, found[:, :2] + half), 1)
        kept = torchvision.ops.nms(boxes, scores, 0.5)[:20]
        return boxes[kept], scores[kept]
