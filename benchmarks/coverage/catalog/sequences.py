"""Speech and other sequences: recurrent networks, and what came between them and attention."""

from __future__ import annotations

from typing import Any

from benchmarks.coverage.entry import DYNAMO, SCRIPT, Entry, of_torch

__all__ = ["ENTRIES"]

# Name, function of benchmarks.coverage.networks.sequences, exporter, opset, arguments.
_MODELS: tuple[tuple[str, str, str, int, dict[str, Any]], ...] = (
    ("lstm", "recurrent", SCRIPT, 9, {"kind": "LSTM"}),
    ("lstm-bidirectional", "recurrent", SCRIPT, 14, {"kind": "LSTM", "bidirectional": True, "num_layers": 2}),
    ("gru", "recurrent", SCRIPT, 13, {"kind": "GRU", "num_layers": 2}),
    ("rnn", "recurrent", SCRIPT, 11, {"kind": "RNN"}),
    ("lstm-state", "stateful", SCRIPT, 16, {}),
    ("lstm-dynamo", "recurrent", DYNAMO, 18, {"kind": "LSTM", "num_layers": 2}),
    ("gru-dynamo", "recurrent", DYNAMO, 20, {"kind": "GRU"}),
    ("voice-activity", "voice_activity", SCRIPT, 16, {}),
    ("rnn-t", "transducer", SCRIPT, 13, {}),
    ("deep-speech", "deep_speech", SCRIPT, 12, {}),
    ("conformer", "conformer", DYNAMO, 18, {}),
    ("conv-tasnet", "separator", SCRIPT, 17, {}),
    ("wavenet", "wavenet", DYNAMO, 21, {}),
    ("ocr", "text_recognizer", SCRIPT, 11, {}),
    ("seq2seq-attention", "translator", SCRIPT, 15, {}),
    ("melspectrogram", "spectrogram", SCRIPT, 17, {}),
    ("vocoder", "vocoder", DYNAMO, 18, {}),
)


def _make(name: str, arguments: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    from benchmarks.coverage.networks import sequences

    made: tuple[Any, tuple[Any, ...]] = getattr(sequences, name)(**arguments)
    return made


ENTRIES: list[Entry] = [
    of_torch("speech-recurrent", name, lambda f=function, m=more: _make(f, m), exporter, opset)  # type: ignore[misc]
    for name, function, exporter, opset, more in _MODELS
]
