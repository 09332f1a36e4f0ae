"""Hugging Face: decoders, and both parts of what translates."""

from __future__ import annotations

from typing import Any

from benchmarks.coverage.catalog.hf_text import SMALL
from benchmarks.coverage.entry import DYNAMO, SCRIPT, Entry, of_torch

__all__ = ["ENTRIES"]

_IDS = {"input_ids": ((1, 16), 200)}
_MASKED = {**_IDS, "attention_mask": ("int64", 1, 16)}
_BOTH = {"input_ids": ((1, 16), 200), "decoder_input_ids": ((1, 8), 200)}
_GQA = {**SMALL, "num_key_value_heads": 2}
_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_GPT = {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 200, "n_positions": 64, **_TOKENS}
_PAIR = {
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "vocab_size": 200,
    "max_position_embeddings": 64,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
    **_TOKENS,
}
_T5 = {
    "d_model": 64,
    "d_kv": 16,
    "d_ff": 128,
    "num_layers": 2,
    "num_heads": 4,
    "vocab_size": 200,
    "decoder_start_token_id": 0,
}

# Class, configuration, exporter, opset, sizes, inputs, and the part that is meant.
_MODELS: tuple[tuple[str, str, str, int, dict[str, Any], dict[str, Any], str], ...] = (
    ("GPT2LMHeadModel", "GPT2Config", DYNAMO, 18, _GPT, _IDS, ""),
    ("GPT2Model", "GPT2Config", SCRIPT, 13, _GPT, _MASKED, ""),
    (
        "GPTNeoForCausalLM",
        "GPTNeoConfig",
        DYNAMO,
        18,
        {
            "hidden_size": 64,
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "vocab_size": 200,
            "max_position_embeddings": 64,
            "intermediate_size": 128,
            "window_size": 8,
            **_TOKENS,
        },
        _IDS,
        "",
    ),
    ("GPTNeoXForCausalLM", "GPTNeoXConfig", SCRIPT, 17, {**SMALL, **_TOKENS}, _MASKED, ""),
    ("GPTJForCausalLM", "GPTJConfig", DYNAMO, 20, {**_GPT, "rotary_dim": 8}, _IDS, ""),
    (
        "OPTForCausalLM",
        "OPTConfig",
        DYNAMO,
        18,
        {
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 128,
            "vocab_size": 200,
            "max_position_embeddings": 64,
            "word_embed_proj_dim": 32,
            **_TOKENS,
        },
        _MASKED,
        "",
    ),
    ("LlamaForCausalLM", "LlamaConfig", DYNAMO, 23, {**_GQA, **_TOKENS}, _IDS, ""),
    (
        "MistralForCausalLM",
        "MistralConfig",
        SCRIPT,
        16,
        {**_GQA, "sliding_window": 8, **_TOKENS},
        _MASKED,
        "",
    ),
    ("Qwen2ForCausalLM", "Qwen2Config", DYNAMO, 18, {**_GQA, **_TOKENS}, _MASKED, ""),
    ("Qwen3ForCausalLM", "Qwen3Config", DYNAMO, 21, {**_GQA, "head_dim": 16, **_TOKENS}, _IDS, ""),
    ("GemmaForCausalLM", "GemmaConfig", SCRIPT, 14, {**_GQA, "head_dim": 16, **_TOKENS}, _MASKED, ""),
    (
        "Gemma2ForCausalLM",
        "Gemma2Config",
        DYNAMO,
        18,
        {**_GQA, "head_dim": 16, "sliding_window": 8, **_TOKENS},
        _IDS,
        "",
    ),
    ("PhiForCausalLM", "PhiConfig", DYNAMO, 19, {**_GQA, **_TOKENS}, _IDS, ""),
    (
        "FalconForCausalLM",
        "FalconConfig",
        DYNAMO,
        18,
        {
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "vocab_size": 200,
            "new_decoder_architecture": True,
            "num_kv_heads": 2,
            **_TOKENS,
        },
        _IDS,
        "",
    ),
    (
        "BloomForCausalLM",
        "BloomConfig",
        SCRIPT,
        13,
        {"hidden_size": 64, "n_layer": 2, "n_head": 4, "vocab_size": 200, **_TOKENS},
        _MASKED,
        "",
    ),
    (
        "MixtralForCausalLM",
        "MixtralConfig",
        DYNAMO,
        20,
        {**_GQA, "num_local_experts": 2, "num_experts_per_tok": 1, **_TOKENS},
        _IDS,
        "",
    ),
    (
        "MambaForCausalLM",
        "MambaConfig",
        SCRIPT,
        17,
        {"hidden_size": 32, "num_hidden_layers": 1, "state_size": 4, "vocab_size": 100, **_TOKENS},
        {"input_ids": ((1, 8), 100)},
        "",
    ),
    ("T5ForConditionalGeneration", "T5Config", DYNAMO, 18, _T5, _BOTH, ""),
    ("T5EncoderModel", "T5Config", SCRIPT, 12, _T5, _MASKED, ""),
    ("BartModel", "BartConfig", SCRIPT, 14, _PAIR, _BOTH, ""),
    ("MBartModel", "MBartConfig", DYNAMO, 22, _PAIR, _BOTH, ""),
    ("MarianMTModel", "MarianConfig", DYNAMO, 18, _PAIR, _BOTH, ""),
    ("PegasusModel", "PegasusConfig", SCRIPT, 15, _PAIR, _BOTH, ""),
    ("M2M100Model", "M2M100Config", SCRIPT, 17, _PAIR, {**_MASKED}, "encoder"),
)


def _make(
    model: str, config: str, script: bool, sizes: dict[str, Any], inputs: dict[str, Any], part: str
) -> tuple[Any, tuple[Any, ...]]:
    from benchmarks.coverage.hugging_face import make

    fixed = {} if part or "Encoder" in model else {"use_cache": False}
    return make(model, config, sizes, inputs, script=script, part=part, fixed=fixed)


ENTRIES: list[Entry] = [
    of_torch(
        "hf-decoders",
        f"hf-{model.lower()}",
        lambda m=model, c=config, s=exporter == SCRIPT, z=sizes, i=inputs, p=part: _make(m, c, s, z, i, p),  # type: ignore[misc]
        exporter,
        opset,
    )
    for model, config, exporter, opset, sizes, inputs, part in _MODELS
]
