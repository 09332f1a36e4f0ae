"""Export a small PyTorch model to ONNX: where the tutorial begins, and the place to put a model of yours.

It runs where PyTorch is, which need not be where tunefleet is:

    pip install torch onnx onnxscript
    python examples/export_torch.py digits.onnx
"""

from __future__ import annotations

import sys

import torch
from torch import nn


class Digits(nn.Module):
    """Tell ten digits in a grey image of 32x32 pixels; a residual network of 47,000 weights, all random."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(1, 16)
        self.first = _Residual(16)
        self.down = _convolution(16, 32, stride=2)
        self.second = _Residual(32)
        self.last = _convolution(32, 64, stride=2)
        self.head = nn.Linear(64, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return ten logits for each image; `image` has the shape (batch, 1, 32, 32)."""
        features = self.second(self.down(self.first(self.stem(image))))
        return self.head(self.last(features).mean(dim=(2, 3)))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = _convolution(channels, channels)
        self.two = _convolution(channels, channels)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values + self.two(self.one(values))


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def main() -> None:
    """Write the model to the file that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: export_torch.py MODEL.onnx")
    torch.manual_seed(1)
    # In inference mode: otherwise normalisations are exported as they train, and Dropout draws.
    model = Digits().eval()
    torch.onnx.export(
        model,
        (torch.rand(1, 1, 32, 32),),
        sys.argv[1],
        input_names=["image"],
        output_names=["logits"],
        # Kernels are tuned for sizes that are known, and the example's are what the file says.
        dynamic_shapes=None,
        # Weights in the file itself; otherwise they go into a second one beside it, to be copied with it.
        external_data=False,
    )
    print(f"wrote {sys.argv[1]}: {sum(p.numel() for p in model.parameters()):,} weights")


if __name__ == "__main__":
    main()
