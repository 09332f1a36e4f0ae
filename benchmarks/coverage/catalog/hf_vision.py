"""Hugging Face: images."""

from __future__ import annotations

from typing import Any

from benchmarks.coverage.entry import DYNAMO, SCRIPT, Entry, of_torch

__all__ = ["ENTRIES"]

_VIT = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "image_size": 64,
    "patch_size": 16,
}
_DETR = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "num_queries": 5,
}
_BACKBONE = (
    "ResNetConfig",
    {
        "embedding_size": 16,
        "hidden_sizes": [16, 32],
        "depths": [1, 1],
        "layer_type": "basic",
        "out_features": ["stage2"],
    },
)
_PYRAMID = {
    "num_encoder_blocks": 2,
    "depths": [1, 1],
    "sr_ratios": [4, 2],
    "hidden_sizes": [16, 32],
    "patch_sizes": [7, 3],
    "strides": [4, 2],
    "num_attention_heads": [1, 2],
    "mlp_ratios": [2, 2],
    "decoder_hidden_size": 32,
}

# Class, configuration, exporter, opset, side of the image, sizes, outputs.
_MODELS: tuple[tuple[str, str, str, int, int, dict[str, Any], int], ...] = (
    ("ViTForImageClassification", "ViTConfig", SCRIPT, 12, 64, _VIT, 1),
    ("DeiTModel", "DeiTConfig", DYNAMO, 18, 64, _VIT, 1),
    ("BeitModel", "BeitConfig", SCRIPT, 17, 64, {**_VIT, "use_relative_position_bias": True}, 1),
    ("Dinov2Model", "Dinov2Config", DYNAMO, 20, 56, {**_VIT, "image_size": 56, "patch_size": 14}, 1),
    (
        "SwinModel",
        "SwinConfig",
        DYNAMO,
        18,
        64,
        {
            "image_size": 64,
            "patch_size": 4,
            "embed_dim": 24,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
        },
        1,
    ),
    (
        "Swin2SRForImageSuperResolution",
        "Swin2SRConfig",
        SCRIPT,
        16,
        32,
        {"image_size": 32, "embed_dim": 24, "depths": [2], "num_heads": [2], "window_size": 4, "upscale": 2},
        1,
    ),
    (
        "ConvNextModel",
        "ConvNextConfig",
        SCRIPT,
        11,
        64,
        {"hidden_sizes": [16, 32], "depths": [1, 1], "num_stages": 2},
        1,
    ),
    (
        "ResNetForImageClassification",
        "ResNetConfig",
        DYNAMO,
        21,
        64,
        {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1]},
        1,
    ),
    ("SegformerForSemanticSegmentation", "SegformerConfig", SCRIPT, 13, 64, _PYRAMID, 1),
    (
        "DPTForDepthEstimation",
        "DPTConfig",
        SCRIPT,
        17,
        64,
        {
            **_VIT,
            "num_hidden_layers": 4,
            "backbone_out_indices": [0, 1, 2, 3],
            "neck_hidden_sizes": [16, 16, 32, 32],
            "fusion_hidden_size": 16,
            "head_in_index": -1,
        },
        1,
    ),
    (
        "DepthAnythingForDepthEstimation",
        "DepthAnythingConfig",
        DYNAMO,
        18,
        56,
        {
            "backbone_config": (
                "Dinov2Config",
                {
                    **_VIT,
                    "image_size": 56,
                    "patch_size": 14,
                    "num_hidden_layers": 4,
                    "out_indices": [1, 2, 3, 4],
                    "reshape_hidden_states": False,
                    "apply_layernorm": True,
                },
            ),
            "reassemble_hidden_size": 64,
            "neck_hidden_sizes": [8, 16, 16, 16],
            "fusion_hidden_size": 16,
            "head_hidden_size": 8,
            "patch_size": 14,
        },
        1,
    ),
    (
        "MobileViTModel",
        "MobileViTConfig",
        SCRIPT,
        14,
        64,
        {"image_size": 64, "hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 64]},
        1,
    ),
    (
        "MobileNetV2Model",
        "MobileNetV2Config",
        DYNAMO,
        18,
        64,
        {"image_size": 64, "depth_multiplier": 0.35},
        1,
    ),
    (
        "EfficientNetModel",
        "EfficientNetConfig",
        SCRIPT,
        15,
        64,
        {"image_size": 64, "width_coefficient": 0.5, "depth_coefficient": 0.3, "hidden_dim": 640},
        1,
    ),
    (
        "PoolFormerModel",
        "PoolFormerConfig",
        DYNAMO,
        19,
        64,
        {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 16, 32, 32]},
        1,
    ),
    (
        "PvtModel",
        "PvtConfig",
        SCRIPT,
        13,
        64,
        {
            "image_size": 64,
            "depths": [1, 1, 1, 1],
            "hidden_sizes": [16, 32, 32, 64],
            "num_attention_heads": [1, 1, 2, 2],
        },
        1,
    ),
    (
        "YolosForObjectDetection",
        "YolosConfig",
        SCRIPT,
        16,
        64,
        {**_VIT, "image_size": [64, 64], "num_detection_tokens": 5},
        2,
    ),
    (
        "DetrForObjectDetection",
        "DetrConfig",
        SCRIPT,
        14,
        64,
        {
            **_DETR,
            "use_timm_backbone": False,
            "use_pretrained_backbone": False,
            "backbone": None,
            "backbone_config": _BACKBONE,
        },
        2,
    ),
    (
        "ConditionalDetrForObjectDetection",
        "ConditionalDetrConfig",
        DYNAMO,
        18,
        64,
        {
            **_DETR,
            "use_timm_backbone": False,
            "use_pretrained_backbone": False,
            "backbone": None,
            "backbone_config": _BACKBONE,
        },
        2,
    ),
    (
        "FocalNetModel",
        "FocalNetConfig",
        DYNAMO,
        20,
        64,
        {
            "image_size": 64,
            "embed_dim": 16,
            "depths": [1, 1],
            "hidden_sizes": [16, 32],
            "focal_levels": [2, 2],
            "focal_windows": [3, 3],
        },
        1,
    ),
    (
        "GLPNForDepthEstimation",
        "GLPNConfig",
        SCRIPT,
        12,
        64,
        {
            "depths": [1, 1, 1, 1],
            "hidden_sizes": [16, 16, 32, 32],
            "decoder_hidden_size": 16,
            "num_attention_heads": [1, 1, 2, 2],
        },
        1,
    ),
    ("SiglipVisionModel", "SiglipVisionConfig", DYNAMO, 23, 64, _VIT, 1),
    (
        "LevitModel",
        "LevitConfig",
        SCRIPT,
        11,
        64,
        {
            "image_size": 64,
            "hidden_sizes": [32, 48, 64],
            "num_attention_heads": [2, 3, 4],
            "depths": [1, 1, 1],
            "key_dim": [8, 8, 8],
            "patch_size": 16,
            "down_ops": [["Subsample", 8, 4, 4, 2, 2], ["Subsample", 8, 6, 4, 2, 2], [""]],
        },
        1,
    ),
    (
        "UperNetForSemanticSegmentation",
        "UperNetConfig",
        SCRIPT,
        17,
        64,
        {
            "backbone_config": (
                "ConvNextConfig",
                {
                    "hidden_sizes": [8, 8, 16, 16],
                    "depths": [1, 1, 1, 1],
                    "out_features": ["stage1", "stage2", "stage3", "stage4"],
                },
            ),
            "hidden_size": 16,
            "auxiliary_in_channels": 16,
            "auxiliary_channels": 8,
            "num_labels": 4,
        },
        1,
    ),
)


def _make(
    model: str, config: str, script: bool, side: int, sizes: dict[str, Any], most: int
) -> tuple[Any, tuple[Any, ...]]:
    from benchmarks.coverage.hugging_face import make

    inputs = {"pixel_values": (1, 3, side, side)}
    return make(model, config, sizes, inputs, script=script, most=most)


ENTRIES: list[Entry] = [
    of_torch(
        "hf-vision",
        f"hf-{model.lower()}",
        lambda m=model, c=config, s=exporter == SCRIPT, i=side, z=sizes, k=most: _make(m, c, s, i, z, k),  # type: ignore[misc]
        exporter,
        opset,
    )
    for model, config, exporter, opset, side, sizes, most in _MODELS
]
