"""Small Paddle models, saved: python paddle_models.py FUNCTION FOLDER. Prints the path."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import paddle
from paddle import nn

_Spec = paddle.static.InputSpec


def _images() -> Any:
    return nn.Sequential(
        nn.Conv2D(3, 4, 3),
        nn.BatchNorm2D(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2D(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def _saved(layer: Any, folder: Path, *specs: Any) -> Path:
    layer.eval()
    paddle.jit.save(layer, str(folder / "model" / "inference"), input_spec=list(specs))
    return folder / "model"


def images(folder: Path) -> Path:
    """A program of Paddle 3."""
    return _saved(_images(), folder, _Spec([None, 3, 16, 16], "float32", name="image"))


def images_of_paddle_2(folder: Path) -> Path:
    """The same as Paddle 2 wrote it."""
    # Made before: within, nothing may be initialized.
    layer = _images()
    with paddle.pir_utils.OldIrGuard():
        return _saved(layer, folder, _Spec([None, 3, 16, 16], "float32", name="image"))


class _Words(nn.Layer):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(20, 8), nn.Linear(8, 4)

    def forward(self, words: Any, scale: Any) -> Any:
        made = self.last(self.table(words).mean(1))
        return made * scale, nn.functional.softmax(made)


def words(folder: Path) -> Path:
    """Indices of a table, and two outputs."""
    return _saved(
        _Words(),
        folder,
        _Spec([None, None], "int64", name="words"),
        _Spec([None, 4], "float32", name="scale"),
    )


class _Svd(nn.Layer):  # type: ignore[misc]
    def forward(self, x: Any) -> Any:
        return paddle.linalg.svd(x)[1]


def without_form(folder: Path) -> Path:
    """An operator that paddle2onnx has no form of."""
    return _saved(_Svd(), folder, _Spec([4, 4], "float32", name="x"))


def weights(folder: Path) -> Path:
    """Weights without a model."""
    paddle.save(_images().state_dict(), str(folder / "model.pdparams"))
    return folder / "model.pdparams"


if __name__ == "__main__":
    paddle.seed(1)
    print(globals()[sys.argv[1]](Path(sys.argv[2])))
