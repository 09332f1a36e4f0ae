"""Keras: its applications and layers, through tf2onnx and through Keras' own exporter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.coverage.entry import Entry

__all__ = ["ENTRIES"]

_TF2ONNX, _OWN = "tf2onnx", "keras"

# Class in keras.applications, side of the image, exporter, opset, arguments.
_APPLICATIONS: tuple[tuple[str, int, str, int, dict[str, Any]], ...] = (
    ("MobileNet", 64, _TF2ONNX, 9, {"alpha": 0.25}),
    ("MobileNetV2", 64, _TF2ONNX, 13, {"alpha": 0.35}),
    ("MobileNetV3Small", 64, _TF2ONNX, 15, {}),
    ("EfficientNetB0", 64, _TF2ONNX, 11, {}),
    ("EfficientNetV2B0", 64, _OWN, 18, {}),
    ("ResNet50", 64, _TF2ONNX, 17, {}),
    ("ResNet50V2", 64, _OWN, 15, {}),
    ("DenseNet121", 64, _TF2ONNX, 12, {}),
    ("Xception", 96, _TF2ONNX, 18, {}),
    ("NASNetMobile", 64, _TF2ONNX, 16, {}),
)
# Functions of benchmarks.coverage.networks.keras, exporter, opset.
_OWN_NETWORKS: tuple[tuple[str, str, int], ...] = (
    ("lstm", _TF2ONNX, 13),
    ("bidirectional_gru", _TF2ONNX, 15),
    ("transformer", _TF2ONNX, 17),
    ("text_convolutions", _OWN, 18),
    ("unet", _TF2ONNX, 14),
    ("separable", _OWN, 16),
    ("conv_lstm", _TF2ONNX, 17),
    ("volumes", _TF2ONNX, 12),
)


def _entry(name: str, make: Any, exporter: str, opset: int) -> Entry:
    def write(path: Path) -> None:
        from benchmarks.coverage.keras_export import export

        export(path, make, own=exporter == _OWN, opset=opset)

    return Entry(f"keras-{name}", "keras", write, exporter, opset, environment="keras")


def _application(name: str, side: int, more: dict[str, Any]) -> Any:
    import keras

    return getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3), classes=10, **more)


def _network(name: str) -> Any:
    from benchmarks.coverage.networks import keras as networks

    return getattr(networks, name)()


ENTRIES: list[Entry] = [
    *(
        _entry(name.lower(), lambda n=name, s=side, m=more: _application(n, s, m), exporter, opset)
        for name, side, exporter, opset, more in _APPLICATIONS
    ),
    *(_entry(name, lambda n=name: _network(n), exporter, opset) for name, exporter, opset in _OWN_NETWORKS),
]
