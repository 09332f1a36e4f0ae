"""Writes files of each kind into this folder; runs where PyTorch is."""

from __future__ import annotations

import torch
import zoo  # type: ignore[import-not-found]


class Traced(zoo.Small):
    """What TorchScript takes."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.bn(self.conv(image))).mean((2, 3)))


torch.manual_seed(0)
small = zoo.Small().eval()
batch = {"image": {0: torch.export.Dim("batch")}}
example = (torch.randn(2, 3, 16, 16),)
torch.export.save(torch.export.export(small, example, dynamic_shapes=batch), "open.pt2")
torch.export.save(torch.export.export(zoo.Small().train(), example), "training.pt2")
traced = Traced().eval()
torch.jit.save(torch.jit.script(traced), "script.pt")
torch.save(small, "module.pth")
torch.save(small.state_dict(), "weights.pth")
torch.save({"model": small.state_dict(), "epoch": 3}, "checkpoint.pth")
torch.save(small.state_dict(), "old.pth", _use_new_zipfile_serialization=False)
