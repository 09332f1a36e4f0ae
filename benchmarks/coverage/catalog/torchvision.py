"""torchvision: classifiers, and what segments, detects and looks at videos."""

from __future__ import annotations

from typing import Any

from benchmarks.coverage.entry import DYNAMO, SCRIPT, Entry, of_torch

__all__ = ["ENTRIES"]

# Name of the function, exporter, opset, side of the image, and arguments beside the number of classes.
_CLASSIFIERS: tuple[tuple[str, str, int, int, dict[str, Any]], ...] = (
    ("resnet18", SCRIPT, 9, 96, {}),
    ("resnet50", DYNAMO, 18, 64, {}),
    ("resnext50_32x4d", SCRIPT, 13, 64, {}),
    ("densenet121", DYNAMO, 20, 64, {}),
    ("mobilenet_v2", SCRIPT, 11, 96, {}),
    ("mobilenet_v3_small", DYNAMO, 18, 96, {}),
    ("mobilenet_v3_large", SCRIPT, 17, 96, {}),
    ("efficientnet_b0", SCRIPT, 14, 96, {}),
    ("regnet_y_400mf", DYNAMO, 21, 64, {}),
    ("regnet_x_400mf", SCRIPT, 12, 64, {}),
    ("shufflenet_v2_x1_0", SCRIPT, 10, 64, {}),
    ("squeezenet1_1", SCRIPT, 9, 96, {}),
    ("mnasnet0_5", DYNAMO, 19, 96, {}),
    ("googlenet", SCRIPT, 15, 96, {"aux_logits": False, "init_weights": False}),
    ("inception_v3", DYNAMO, 22, 96, {"aux_logits": False, "init_weights": False}),
    ("convnext_tiny", DYNAMO, 23, 64, {}),
)
# The same for what segments: it gives a dictionary, of which the first is taken.
_DENSE: tuple[tuple[str, str, int, int, dict[str, Any]], ...] = (
    ("lraspp_mobilenet_v3_large", DYNAMO, 20, 64, {}),
    ("deeplabv3_mobilenet_v3_large", SCRIPT, 11, 64, {}),
    ("fcn_resnet50", SCRIPT, 13, 64, {}),
    ("deeplabv3_resnet50", DYNAMO, 18, 64, {}),
)
_FEW = {"topk_candidates": 50, "detections_per_img": 10}
_FEW_PROPOSALS = {"rpn_pre_nms_top_n_test": 50, "rpn_post_nms_top_n_test": 20, "box_detections_per_img": 10}
_SMALL = {"min_size": 64, "max_size": 64}
_DETECTORS: tuple[tuple[str, str, int, int, dict[str, Any]], ...] = (
    ("ssdlite320_mobilenet_v3_large", SCRIPT, 17, 320, _FEW),
    ("fasterrcnn_mobilenet_v3_large_320_fpn", SCRIPT, 16, 64, {**_SMALL, **_FEW_PROPOSALS}),
    ("retinanet_resnet50_fpn", SCRIPT, 13, 64, {**_SMALL, **_FEW}),
    ("fcos_resnet50_fpn", SCRIPT, 17, 64, {**_SMALL, **_FEW}),
)
_VIDEO: tuple[tuple[str, str, int, int, dict[str, Any]], ...] = (
    ("r3d_18", SCRIPT, 12, 32, {}),
    ("mc3_18", DYNAMO, 18, 32, {}),
    ("r2plus1d_18", SCRIPT, 17, 32, {}),
)


def _model(name: str, **arguments: Any) -> Any:
    import torchvision

    return torchvision.models.get_model(name, weights=None, **arguments)


def _image(side: int) -> Any:
    import torch

    return torch.randn(1, 3, side, side)


def _classifier(name: str, side: int, more: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    return _model(name, num_classes=10, **more), (_image(side),)


def _dense(name: str, side: int, more: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    from benchmarks.coverage.torch_export import Called

    model = _model(name, weights_backbone=None, num_classes=5, **more)
    return Called(model, ["input" if "lraspp" in name else "x"]), (_image(side),)


def _detector(name: str, side: int, more: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    from benchmarks.coverage.networks.detection import Detector

    return Detector(_model(name, weights_backbone=None, num_classes=4, **more)), (_image(side).sigmoid(),)


def _video(name: str, side: int, more: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    import torch

    return _model(name, num_classes=10, **more), (torch.randn(1, 3, 4, side, side),)


def _vision_transformer() -> tuple[Any, tuple[Any, ...]]:
    from torchvision.models import VisionTransformer

    sizes = {"num_layers": 2, "num_heads": 4, "hidden_dim": 64, "mlp_dim": 128, "num_classes": 10}
    return VisionTransformer(image_size=64, patch_size=16, **sizes), (_image(64),)


def _swin(version: str) -> tuple[Any, tuple[Any, ...]]:
    from torchvision.models import swin_transformer as swin

    block = swin.SwinTransformerBlockV2 if version == "v2" else swin.SwinTransformerBlock
    merging = swin.PatchMergingV2 if version == "v2" else swin.PatchMerging
    sizes = {"patch_size": [4, 4], "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4]}
    model = swin.SwinTransformer(
        **sizes, window_size=[4, 4], num_classes=10, block=block, downsample_layer=merging
    )
    return model, (_image(64),)


def _maxvit() -> tuple[Any, tuple[Any, ...]]:
    from torchvision.models import MaxVit

    model = MaxVit(
        input_size=(64, 64),
        stem_channels=16,
        partition_size=4,
        block_channels=[16, 32],
        block_layers=[1, 1],
        head_dim=8,
        stochastic_depth_prob=0.0,
        num_classes=10,
    )
    return model, (_image(64),)


def _optical_flow() -> tuple[Any, tuple[Any, ...]]:
    from benchmarks.coverage.networks.detection import Flow

    return Flow(_model("raft_small")), (_image(128), _image(128))


def _table(
    family: str, kind: Any, rows: tuple[tuple[str, str, int, int, dict[str, Any]], ...]
) -> list[Entry]:
    return [
        of_torch(family, name, lambda n=name, s=side, m=more: kind(n, s, m), exporter, opset)  # type: ignore[misc]
        for name, exporter, opset, side, more in rows
    ]


_IMAGES, _TASKS = "torchvision-classification", "torchvision-tasks"

ENTRIES = [
    *_table(_IMAGES, _classifier, _CLASSIFIERS),
    of_torch(_IMAGES, "vision_transformer", _vision_transformer, SCRIPT, 16),
    of_torch(_IMAGES, "swin_transformer", lambda: _swin("v1"), DYNAMO, 18),
    of_torch(_IMAGES, "swin_transformer_v2", lambda: _swin("v2"), SCRIPT, 17),
    of_torch(_IMAGES, "maxvit", _maxvit, SCRIPT, 13),
    *_table(_TASKS, _dense, _DENSE),
    *_table(_TASKS, _detector, _DETECTORS),
    *_table(_TASKS, _video, _VIDEO),
    of_torch(_TASKS, "raft_small", _optical_flow, SCRIPT, 16),
]
