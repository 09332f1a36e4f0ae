"""Functions that return modules, as people's own files have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn


class Small(nn.Module):
    """A convolution, a batch normalization, and two outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Linear(8, 4)
        self.drop = nn.Dropout(0.5)

    def forward(self, image: Any) -> Any:
        features = torch.relu(self.bn(self.conv(image)))
        return {"logits": self.fc(self.drop(features.mean((2, 3)))), "features": features}


class Tokens(nn.Module):
    """Integers, and a mask that may be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(32, 8), nn.Linear(8, 2)

    def forward(self, ids: Any, mask: Any = None) -> Any:
        found = self.table(ids)
        if mask is not None:
            found = found * mask.unsqueeze(-1)
        return self.out(found.mean(1))


class Optional(nn.Module):
    """Needs nothing by its signature, as models of transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 2)

    def forward(self, ids: Any = None, vectors: Any = None) -> Any:
        return self.out(ids if vectors is None else vectors)


def optional() -> Any:
    return Optional()


class Eigen(nn.Module):
    """Holds what has no ONNX form."""

    def forward(self, x: Any) -> Any:
        return torch.linalg.eigvals(x).real


class Raises(nn.Module):
    """Can't be run."""

    def forward(self, x: Any) -> Any:
        raise ValueError("half a model")


def small() -> Any:
    return Small(), torch.randn(1, 3, 16, 16)


def alone() -> Any:
    return Small()


def dynamic() -> Any:
    batch = torch.export.Dim("batch")
    return Small(), (torch.randn(2, 3, 16, 16),), {"image": {0: batch}}


def tokens() -> Any:
    return Tokens(), {"ids": torch.tensor([[1, 31, 4]]), "mask": torch.ones(1, 3)}


def loaded() -> Any:
    module = Small()
    module.load_state_dict(torch.load(Path(__file__).with_name("weights.pth")))
    return module, torch.randn(1, 3, 16, 16)


class Branches(nn.Module):
    """Does one of two things, by what comes in."""

    def forward(self, x: Any) -> Any:
        if x.sum() > 0:
            return x * 2
        return x - 1


def branches() -> Any:
    return Branches(), torch.tensor([[3.0, 3.0, -5.0]])


def branches_alike() -> Any:
    return Branches(), torch.tensor([[3.0, 1.0, 2.0]])


def eigen() -> Any:
    return Eigen(), torch.randn(4, 4)


def raises_inside() -> Any:
    return Raises(), torch.randn(4, 4)


def raises() -> Any:
    raise ValueError("no such checkpoint")


def needs(width: int) -> Any:
    return Small(), width


def weights() -> Any:
    return Small().state_dict()


def text() -> Any:
    return "a model"
