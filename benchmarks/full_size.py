"""Models at the sizes people run them at, as torch exports them, with random weights.

Runs in the environment of the coverage benchmark (benchmarks/coverage/requirements.txt)::

    ENV/bin/python -m benchmarks.full_size --out full mobilenet_v3_large yolov8n
    python -m benchmarks.latency --time 4m --db full.db full/*.onnx

The coverage benchmark has the same architectures small, to see whether they come out right.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable
from typing import Any

__all__ = ["MODELS", "main"]


def _torchvision(name: str) -> Callable[[], Any]:
    def make() -> Any:
        import torchvision

        return torchvision.models.get_model(name, weights=None)

    return make


def _yolo(name: str) -> Callable[[], Any]:
    def make() -> Any:
        import ultralytics

        from benchmarks.coverage.networks.yolo import exported

        # As its own exporter has it: batch normalizations are part of the convolutions.
        return exported(ultralytics.YOLO(f"{name}.yaml").model.fuse(), 640)

    return make


def _segformer() -> Any:
    import transformers

    from benchmarks.coverage.torch_export import Called

    # That of segformer-b0, the smallest there is.
    config = transformers.SegformerConfig(num_labels=19)
    return Called(transformers.SegformerForSemanticSegmentation(config), ("pixel_values",))


def _vit_s_16() -> Any:
    import timm

    return timm.create_model("vit_small_patch16_224", pretrained=False)


def _bert(**sizes: int) -> Callable[[], Any]:
    def make() -> Any:
        import transformers

        from benchmarks.coverage.torch_export import Called

        config = transformers.BertConfig(**sizes)
        return Called(transformers.BertModel(config), ("input_ids", "attention_mask"))

    return make


def _image(size: int) -> tuple[Any, ...]:
    import torch

    return (torch.rand(1, 3, size, size),)


def _tokens(count: int) -> tuple[Any, ...]:
    import torch

    return torch.randint(0, 30522, (1, count)), torch.ones(1, count, dtype=torch.int64)


#: What makes a module, what makes its inputs, and how large these are.
MODELS: dict[str, tuple[Callable[[], Any], Callable[[int], tuple[Any, ...]], int]] = {
    **{
        name: (_torchvision(name), _image, 224)
        for name in (
            "mobilenet_v2",
            "mobilenet_v3_large",
            "efficientnet_b0",
            "efficientnet_v2_s",
            "regnet_y_400mf",
            "resnext50_32x4d",
            "shufflenet_v2_x1_0",
            "convnext_tiny",
            "resnet18",
            "resnet50",
            "densenet121",
        )
    },
    "yolov8n": (_yolo("yolov8n"), _image, 640),
    "yolo11n": (_yolo("yolo11n"), _image, 640),
    "segformer": (_segformer, _image, 224),
    "vit_s_16": (_vit_s_16, _image, 224),
    "bert_base": (_bert(), _tokens, 128),
    # The sizes of all-MiniLM-L6-v2.
    "minilm": (_bert(hidden_size=384, num_hidden_layers=6, intermediate_size=1536), _tokens, 128),
}


def main() -> None:
    """Write a file for each model that isn't there."""
    from benchmarks.coverage import torchvision_ops
    from benchmarks.coverage.entry import SCRIPT
    from benchmarks.coverage.torch_export import export, lively, seed

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="*", choices=[*MODELS, []], help="left out, all")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder")
    options = parser.parse_args()
    torchvision_ops.define()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.models or MODELS:
        path = options.out / f"{name}.onnx"
        if not path.exists():
            make, inputs, size = MODELS[name]
            seed(name)
            export(path, lively(make()), inputs(size), exporter=SCRIPT, opset=17)
            print(path, flush=True)


if __name__ == "__main__":
    main()
