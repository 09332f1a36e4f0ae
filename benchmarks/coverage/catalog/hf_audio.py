"""Hugging Face: sound, and what takes images and text together."""

from __future__ import annotations

from typing import Any

from benchmarks.coverage.catalog.hf_text import SMALL
from benchmarks.coverage.entry import DYNAMO, SCRIPT, Entry, of_torch

__all__ = ["ENTRIES"]

_WAVE = {"input_values": (1, 1600)}
_W2V = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "conv_dim": [32, 32, 32],
    "conv_stride": [5, 4, 2],
    "conv_kernel": [10, 3, 2],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 32,
    "mask_time_prob": 0.0,
}
_WHISPER = {
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "vocab_size": 200,
    "num_mel_bins": 16,
    "max_source_positions": 30,
    "max_target_positions": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}
_EYE = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "image_size": 64,
    "patch_size": 16,
}
_WORDS = {**SMALL, "max_position_embeddings": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_PAIR = {"input_ids": ((1, 12), 200), "pixel_values": (1, 3, 64, 64), "attention_mask": ("int64", 1, 12)}
_TWO = {"text_config": _WORDS, "vision_config": _EYE, "projection_dim": 32}

# Class, configuration, exporter, opset, sizes, inputs, part, outputs, what is fixed.
_MODELS: tuple[tuple[str, str, str, int, dict[str, Any], dict[str, Any], str, int, dict[str, Any]], ...] = (
    ("Wav2Vec2ForCTC", "Wav2Vec2Config", SCRIPT, 12, _W2V, _WAVE, "", 1, {}),
    ("HubertModel", "HubertConfig", DYNAMO, 18, _W2V, _WAVE, "", 1, {}),
    ("WavLMModel", "WavLMConfig", SCRIPT, 16, _W2V, _WAVE, "", 1, {}),
    ("UniSpeechModel", "UniSpeechConfig", SCRIPT, 14, _W2V, _WAVE, "", 1, {}),
    ("SEWModel", "SEWConfig", SCRIPT, 17, {**_W2V, "squeeze_factor": 2}, _WAVE, "", 1, {}),
    (
        "Data2VecAudioModel",
        "Data2VecAudioConfig",
        DYNAMO,
        20,
        {**_W2V, "num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 9},
        _WAVE,
        "",
        1,
        {},
    ),
    (
        "WhisperModel",
        "WhisperConfig",
        SCRIPT,
        17,
        _WHISPER,
        {"input_features": (1, 16, 60)},
        "encoder",
        1,
        {},
    ),
    (
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        DYNAMO,
        18,
        _WHISPER,
        {"input_features": (1, 16, 60), "decoder_input_ids": ((1, 8), 200)},
        "",
        1,
        {"use_cache": False},
    ),
    (
        "ASTForAudioClassification",
        "ASTConfig",
        DYNAMO,
        21,
        {**SMALL, "max_length": 64, "num_mel_bins": 32, "patch_size": 16},
        {"input_values": (1, 64, 32)},
        "",
        1,
        {},
    ),
    (
        "Speech2TextModel",
        "Speech2TextConfig",
        SCRIPT,
        15,
        {
            "d_model": 64,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "vocab_size": 100,
            "input_feat_per_channel": 16,
            "conv_channels": 32,
            "max_source_positions": 64,
        },
        {"input_features": (1, 64, 16)},
        "encoder",
        1,
        {},
    ),
    (
        "EncodecModel",
        "EncodecConfig",
        SCRIPT,
        13,
        {"num_filters": 8, "hidden_size": 16, "codebook_dim": 16, "num_lstm_layers": 1, "codebook_size": 16},
        {"hidden_states": (1, 1, 1280)},
        "encoder",
        1,
        {},
    ),
    (
        "Wav2Vec2ConformerModel",
        "Wav2Vec2ConformerConfig",
        DYNAMO,
        18,
        {**_W2V, "position_embeddings_type": "rotary"},
        _WAVE,
        "",
        1,
        {},
    ),
    ("CLIPModel", "CLIPConfig", SCRIPT, 14, _TWO, _PAIR, "", 2, {}),
    (
        "CLIPVisionModelWithProjection",
        "CLIPVisionConfig",
        DYNAMO,
        23,
        _EYE,
        {"pixel_values": (1, 3, 64, 64)},
        "",
        1,
        {},
    ),
    ("CLIPTextModel", "CLIPTextConfig", DYNAMO, 18, _WORDS, {"input_ids": ((1, 12), 200)}, "", 1, {}),
    (
        "SiglipModel",
        "SiglipConfig",
        DYNAMO,
        20,
        {"text_config": _WORDS, "vision_config": _EYE},
        {"input_ids": ((1, 12), 200), "pixel_values": (1, 3, 64, 64)},
        "",
        2,
        {},
    ),
    (
        "CLIPSegForImageSegmentation",
        "CLIPSegConfig",
        SCRIPT,
        17,
        {
            "text_config": _WORDS,
            "vision_config": {**_EYE, "num_hidden_layers": 3},
            "projection_dim": 64,
            "extract_layers": [0, 1, 2],
            "reduce_dim": 16,
            "decoder_num_attention_heads": 2,
            "decoder_intermediate_size": 32,
            "conditional_layer": 0,
        },
        _PAIR,
        "",
        1,
        {},
    ),
    (
        "ViltModel",
        "ViltConfig",
        SCRIPT,
        12,
        {**SMALL, "image_size": 64, "patch_size": 16, "max_image_length": 20},
        {"input_ids": ((1, 12), 200), "pixel_values": (1, 3, 64, 64), "attention_mask": ("int64", 1, 12)},
        "",
        1,
        {},
    ),
    (
        "BlipTextModel",
        "BlipTextConfig",
        DYNAMO,
        18,
        {**_WORDS, "encoder_hidden_size": 64, "is_decoder": False},
        {"input_ids": ((1, 12), 200), "attention_mask": ("int64", 1, 12)},
        "",
        1,
        {},
    ),
    (
        "OwlViTForObjectDetection",
        "OwlViTConfig",
        SCRIPT,
        16,
        {**_TWO, "projection_dim": 64},
        {"input_ids": ((1, 12), 200), "pixel_values": (1, 3, 64, 64)},
        "",
        2,
        {},
    ),
    (
        "GroupViTVisionModel",
        "GroupViTVisionConfig",
        DYNAMO,
        18,
        {
            "hidden_size": 32,
            "depths": [1, 1],
            "num_hidden_layers": 2,
            "num_group_tokens": [8, 0],
            "num_output_groups": [8, 0],
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "image_size": 64,
            "patch_size": 16,
        },
        {"pixel_values": (1, 3, 64, 64)},
        "",
        1,
        {},
    ),
)


def _make(row: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    from benchmarks.coverage.hugging_face import make

    model, config, exporter, _, sizes, inputs, part, most, fixed = row
    return make(model, config, sizes, inputs, script=exporter == SCRIPT, part=part, most=most, fixed=fixed)


ENTRIES: list[Entry] = [
    of_torch(
        "hf-audio-multimodal",
        f"hf-{row[0].lower()}" + (f"-{row[6]}" if row[6] else ""),
        lambda r=row: _make(r),  # type: ignore[misc]
        row[2],
        row[3],
    )
    for row in _MODELS
]
