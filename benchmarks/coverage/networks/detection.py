"""torchvision's detectors and optical flow, as one function of tensors."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["Detector", "Flow"]


class Detector(nn.Module):
    """Boxes, scores and classes of one image: what is beyond the network is part of it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Any) -> Any:
        """Detect."""
        found = self.model([image[0]])
        if isinstance(found, tuple):
            found = found[1]
        return found[0]["boxes"], found[0]["scores"], found[0]["labels"]


class Flow(nn.Module):
    """The last of the flows that are refined in turns."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, first: Any, second: Any) -> Any:
        """Return the flow from one image to the other."""
        return self.model(first, second, num_flow_updates=2)[-1]
