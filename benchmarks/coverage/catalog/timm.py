"""timm: convolutional networks and transformers for images."""

from __future__ import annotations

from typing import Any

from benchmarks.coverage.entry import DYNAMO, SCRIPT, Entry, of_torch

__all__ = ["ENTRIES"]

# Name, exporter, opset, side of the image, and what makes the network smaller than it is named.
_CONVOLUTIONAL: tuple[tuple[str, str, int, int, dict[str, Any]], ...] = (
    ("resnet10t", SCRIPT, 11, 64, {}),
    ("resnest14d", DYNAMO, 18, 64, {}),
    ("skresnet18", SCRIPT, 12, 64, {}),
    ("seresnet18", DYNAMO, 20, 64, {}),
    ("mobilenetv4_conv_small", DYNAMO, 21, 64, {}),
    ("efficientnet_lite0", SCRIPT, 9, 64, {}),
    ("tf_efficientnetv2_b0", DYNAMO, 18, 64, {}),
    ("convnextv2_atto", SCRIPT, 14, 64, {}),
    ("convnext_atto", DYNAMO, 23, 64, {}),
    ("regnety_002", SCRIPT, 10, 64, {}),
    ("ghostnet_050", SCRIPT, 13, 64, {}),
    ("lcnet_050", DYNAMO, 19, 64, {}),
    ("tinynet_e", SCRIPT, 15, 64, {}),
    ("repvgg_a0", DYNAMO, 18, 64, {}),
    ("mobileone_s0", SCRIPT, 16, 64, {}),
    ("dla46_c", SCRIPT, 11, 64, {}),
    ("hrnet_w18_small", DYNAMO, 18, 64, {}),
    ("ese_vovnet19b_dw", SCRIPT, 17, 64, {}),
    ("nf_regnet_b0", DYNAMO, 22, 64, {}),
    ("rexnet_100", SCRIPT, 12, 64, {}),
    ("selecsls42", SCRIPT, 9, 64, {}),
    ("mambaout_femto", DYNAMO, 18, 64, {}),
)
_TRANSFORMERS: tuple[tuple[str, str, int, int, dict[str, Any]], ...] = (
    ("vit_tiny_patch16_224", SCRIPT, 17, 64, {"img_size": 64, "depth": 2}),
    ("deit_tiny_distilled_patch16_224", DYNAMO, 18, 64, {"img_size": 64, "depth": 2}),
    ("beit_base_patch16_224", SCRIPT, 14, 64, {"img_size": 64, "depth": 2, "embed_dim": 96, "num_heads": 3}),
    ("eva02_tiny_patch14_224", DYNAMO, 20, 56, {"img_size": 56, "depth": 2}),
    (
        "swin_tiny_patch4_window7_224",
        SCRIPT,
        13,
        112,
        {"img_size": 112, "depths": (2, 2), "embed_dim": 24, "num_heads": (2, 4)},
    ),
    ("swinv2_cr_tiny_ns_224", DYNAMO, 18, 64, {"img_size": 64, "depths": (1, 1), "embed_dim": 24}),
    ("cait_xxs24_224", SCRIPT, 16, 64, {"img_size": 64, "depth": 2, "depth_token_only": 1}),
    ("xcit_nano_12_p16_224", DYNAMO, 18, 64, {"depth": 2}),
    ("gmlp_ti16_224", SCRIPT, 15, 64, {"img_size": 64}),
    ("resmlp_12_224", DYNAMO, 21, 64, {"img_size": 64}),
    ("mixer_s32_224", SCRIPT, 11, 64, {"img_size": 64}),
    ("pvt_v2_b0", DYNAMO, 18, 64, {}),
    ("poolformer_s12", SCRIPT, 12, 64, {}),
    ("levit_128s", DYNAMO, 23, 224, {}),
    ("mobilevit_xxs", SCRIPT, 17, 64, {}),
    ("mobilevitv2_050", DYNAMO, 18, 64, {}),
    ("efficientformer_l1", SCRIPT, 14, 224, {}),
    ("tiny_vit_5m_224", DYNAMO, 18, 224, {}),
    ("crossvit_tiny_240", SCRIPT, 18, 240, {"depth": ((1, 1, 0),)}),
    ("fastvit_t8", SCRIPT, 13, 64, {}),
    ("edgenext_xx_small", DYNAMO, 20, 64, {}),
    ("coatnet_nano_rw_224", DYNAMO, 18, 64, {"img_size": 64}),
)


def _make(name: str, side: int, more: dict[str, Any], fused: bool) -> tuple[Any, tuple[Any, ...]]:
    import timm
    import torch

    # Attention as its parts, or as torch's one function: exporters meet both.
    timm.layers.set_fused_attn(fused)
    return timm.create_model(name, pretrained=False, num_classes=10, **more), (torch.randn(1, 3, side, side),)


def _table(family: str, rows: tuple[tuple[str, str, int, int, dict[str, Any]], ...]) -> list[Entry]:
    return [
        of_torch(
            family,
            f"timm-{name}",
            lambda n=name, s=side, m=more, f=opset % 2 == 0: _make(n, s, m, f),  # type: ignore[misc]
            exporter,
            opset,
        )
        for name, exporter, opset, side, more in rows
    ]


ENTRIES = [*_table("timm-convolutional", _CONVOLUTIONAL), *_table("timm-transformers", _TRANSFORMERS)]
