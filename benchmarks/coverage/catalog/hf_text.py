"""Hugging Face: encoders of text."""

from __future__ import annotations

from typing import Any

from benchmarks.coverage.entry import DYNAMO, SCRIPT, Entry, of_torch

__all__ = ["ENTRIES", "SMALL"]

SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 200,
    "max_position_embeddings": 64,
}
_TEXT = {"input_ids": ((1, 24), 200), "attention_mask": ("int64", 1, 24)}

# Prefix of its classes, what it does, exporter, opset, and what differs from the sizes above.
_MODELS: tuple[tuple[str, str, str, int, dict[str, Any]], ...] = (
    ("Bert", "Model", SCRIPT, 11, {}),
    ("Roberta", "ForSequenceClassification", DYNAMO, 18, {}),
    (
        "DistilBert",
        "ForTokenClassification",
        SCRIPT,
        13,
        {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128},
    ),
    ("Albert", "Model", DYNAMO, 20, {"embedding_size": 32}),
    ("Electra", "ForMaskedLM", SCRIPT, 14, {"embedding_size": 32}),
    ("MPNet", "Model", SCRIPT, 17, {}),
    (
        "MobileBert",
        "Model",
        DYNAMO,
        18,
        {"embedding_size": 32, "intra_bottleneck_size": 32, "true_hidden_size": 32},
    ),
    ("SqueezeBert", "Model", SCRIPT, 12, {"embedding_size": 64}),
    ("Deberta", "Model", SCRIPT, 15, {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}),
    (
        "DebertaV2",
        "ForSequenceClassification",
        SCRIPT,
        16,
        {
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "position_buckets": 16,
            "share_att_key": True,
        },
    ),
    (
        "ModernBert",
        "Model",
        DYNAMO,
        18,
        {
            "global_attn_every_n_layers": 2,
            "local_attention": 8,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "cls_token_id": 1,
            "sep_token_id": 2,
        },
    ),
    ("RoFormer", "Model", SCRIPT, 13, {"embedding_size": 64}),
    ("ConvBert", "Model", SCRIPT, 17, {"embedding_size": 64, "head_ratio": 2}),
    (
        "Funnel",
        "BaseModel",
        SCRIPT,
        14,
        {
            "d_model": 64,
            "n_head": 4,
            "d_head": 16,
            "d_inner": 128,
            "block_sizes": [1, 1],
            "num_decoder_layers": 1,
        },
    ),
    (
        "Nystromformer",
        "Model",
        SCRIPT,
        12,
        {"num_landmarks": 4, "segment_means_seq_len": 24, "max_position_embeddings": 24},
    ),
    ("Ernie", "Model", DYNAMO, 21, {}),
    (
        "Esm",
        "Model",
        DYNAMO,
        18,
        {"pad_token_id": 1, "mask_token_id": 2, "position_embedding_type": "rotary"},
    ),
    ("XLMRoberta", "ForQuestionAnswering", DYNAMO, 23, {}),
    ("BigBird", "Model", SCRIPT, 15, {"attention_type": "original_full"}),
    ("LayoutLM", "Model", SCRIPT, 11, {}),
    ("FNet", "Model", DYNAMO, 18, {"type_vocab_size": 2}),
    ("XLNet", "Model", SCRIPT, 16, {"d_model": 64, "n_layer": 2, "n_head": 4, "d_inner": 128}),
)


def _inputs(prefix: str) -> dict[str, Any]:
    inputs: dict[str, Any] = dict(_TEXT)
    if prefix == "Bert":
        inputs["token_type_ids"] = ((1, 24), 2)
    if prefix == "LayoutLM":
        inputs["bbox"] = ("int64", 1, 24, 4)
    if prefix == "FNet":
        del inputs["attention_mask"]
    return inputs


def _make(prefix: str, head: str, script: bool, more: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    from benchmarks.coverage.hugging_face import make

    most = 2 if head.endswith("Answering") else 1
    # Some have other words for all of it, and refuse these.
    sizes = {"vocab_size": 200, **more} if "d_model" in more else {**SMALL, **more}
    return make(f"{prefix}{head}", f"{prefix}Config", sizes, _inputs(prefix), script=script, most=most)


ENTRIES: list[Entry] = [
    of_torch(
        "hf-text",
        f"hf-{prefix.lower()}" + (f"-{head.lower()}" if head != "Model" else ""),
        lambda p=prefix, h=head, s=exporter == SCRIPT, m=more: _make(p, h, s, m),  # type: ignore[misc]
        exporter,
        opset,
    )
    for prefix, head, exporter, opset, more in _MODELS
]
