"""diffusers: what denoises, and what takes images apart and puts them together."""

from __future__ import annotations

from typing import Any

from benchmarks.coverage.entry import DYNAMO, SCRIPT, Entry, of_torch

__all__ = ["ENTRIES"]

_UNET = {"sample_size": 16, "block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8}
_CONDITIONED = {
    **_UNET,
    "cross_attention_dim": 32,
    "attention_head_dim": 4,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
_VAE = {
    "block_out_channels": (16, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "latent_channels": 4,
}
_STEP = {"sample": (1, 4, 16, 16), "timestep": ("int64", 1), "encoder_hidden_states": (1, 8, 32)}
_DIT = {
    "num_attention_heads": 4,
    "attention_head_dim": 8,
    "num_layers": 2,
    "sample_size": 16,
    "patch_size": 2,
}

# Name, class, exporter, opset, sizes, inputs, the method or part that is meant.
_MODELS: tuple[tuple[str, str, str, int, dict[str, Any], dict[str, Any], str], ...] = (
    (
        "unet",
        "UNet2DModel",
        SCRIPT,
        14,
        {
            **_UNET,
            "in_channels": 3,
            "out_channels": 3,
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
            "attention_head_dim": 8,
        },
        {"sample": (1, 3, 16, 16), "timestep": ("int64", 1)},
        "",
    ),
    ("unet-conditioned", "UNet2DConditionModel", SCRIPT, 17, _CONDITIONED, _STEP, ""),
    ("unet-conditioned-dynamo", "UNet2DConditionModel", DYNAMO, 18, _CONDITIONED, _STEP, ""),
    (
        "controlnet",
        "ControlNetModel",
        SCRIPT,
        15,
        {
            "block_out_channels": (16, 32),
            "layers_per_block": 1,
            "norm_num_groups": 8,
            "cross_attention_dim": 32,
            "attention_head_dim": 4,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "conditioning_embedding_out_channels": (8, 16, 16, 32),
        },
        {**_STEP, "controlnet_cond": (1, 3, 128, 128)},
        "",
    ),
    ("vae-encoder", "AutoencoderKL", SCRIPT, 14, _VAE, {"sample": (1, 3, 32, 32)}, "encoder"),
    ("vae-decoder", "AutoencoderKL", DYNAMO, 20, _VAE, {"sample": (1, 4, 16, 16)}, "decoder"),
    (
        "vae-tiny",
        "AutoencoderTiny",
        DYNAMO,
        18,
        {
            "encoder_block_out_channels": (8, 8),
            "decoder_block_out_channels": (8, 8),
            "num_encoder_blocks": (1, 1),
            "num_decoder_blocks": (1, 1),
        },
        {"x": (1, 4, 16, 16)},
        "decoder",
    ),
    (
        "vq-decoder",
        "VQModel",
        SCRIPT,
        16,
        {
            "block_out_channels": (16, 32),
            "down_block_types": ("DownEncoderBlock2D",) * 2,
            "up_block_types": ("UpDecoderBlock2D",) * 2,
            "norm_num_groups": 8,
            "num_vq_embeddings": 16,
        },
        {"sample": (1, 3, 16, 16)},
        "decoder",
    ),
    (
        "dit",
        "DiTTransformer2DModel",
        SCRIPT,
        17,
        {**_DIT, "in_channels": 4, "out_channels": 4},
        {"hidden_states": (1, 4, 16, 16), "timestep": ("int64", 1), "class_labels": ("int64", 1)},
        "",
    ),
    (
        "pixart",
        "PixArtTransformer2DModel",
        DYNAMO,
        18,
        {
            **_DIT,
            "in_channels": 4,
            "out_channels": 4,
            "cross_attention_dim": 32,
            "caption_channels": 32,
            "use_additional_conditions": False,
        },
        {"hidden_states": (1, 4, 16, 16), "encoder_hidden_states": (1, 8, 32), "timestep": ("int64", 1)},
        "",
    ),
    (
        "sd3",
        "SD3Transformer2DModel",
        SCRIPT,
        14,
        {
            **_DIT,
            "in_channels": 4,
            "out_channels": 4,
            "joint_attention_dim": 32,
            "caption_projection_dim": 32,
            "pooled_projection_dim": 16,
            "pos_embed_max_size": 16,
        },
        {
            "hidden_states": (1, 4, 16, 16),
            "encoder_hidden_states": (1, 8, 32),
            "pooled_projections": (1, 16),
            "timestep": ("int64", 1),
        },
        "",
    ),
    (
        "flux",
        "FluxTransformer2DModel",
        DYNAMO,
        21,
        {
            "num_layers": 1,
            "num_single_layers": 1,
            "in_channels": 16,
            "attention_head_dim": 16,
            "num_attention_heads": 2,
            "joint_attention_dim": 32,
            "pooled_projection_dim": 16,
            "axes_dims_rope": (4, 6, 6),
            "patch_size": 1,
        },
        {
            "hidden_states": (1, 16, 16),
            "encoder_hidden_states": (1, 8, 32),
            "pooled_projections": (1, 16),
            "timestep": ("float32", 1),
            "img_ids": ("float32", 16, 3),
            "txt_ids": ("float32", 8, 3),
        },
        "",
    ),
    (
        "prior",
        "PriorTransformer",
        SCRIPT,
        15,
        {
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "num_layers": 2,
            "embedding_dim": 32,
            "num_embeddings": 8,
            "additional_embeddings": 4,
        },
        {
            "hidden_states": (1, 32),
            "timestep": ("int64", 1),
            "proj_embedding": (1, 32),
            "encoder_hidden_states": (1, 8, 32),
        },
        "",
    ),
)


def _make(name: str, sizes: dict[str, Any], inputs: dict[str, Any], part: str) -> tuple[Any, tuple[Any, ...]]:
    import diffusers

    from benchmarks.coverage.hugging_face import values_of
    from benchmarks.coverage.torch_export import Called

    model = getattr(diffusers, name)(**sizes)
    fixed = {} if part else {"return_dict": False}
    names, values = values_of(inputs)
    return Called(getattr(model, part) if part else model, names, **fixed), values


ENTRIES: list[Entry] = [
    of_torch(
        "diffusers",
        f"diffusers-{name}",
        lambda k=kind, z=sizes, i=inputs, p=part: _make(k, z, i, p),  # type: ignore[misc]
        exporter,
        opset,
    )
    for name, kind, exporter, opset, sizes, inputs, part in _MODELS
]
