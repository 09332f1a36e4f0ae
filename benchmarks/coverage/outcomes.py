"""What became of a model, in one word."""

from __future__ import annotations

import re

from orchestrator.errors import (
    DisagreementError,
    EngineTimeoutError,
    UsageError,
)

__all__ = [
    "CAUGHT",
    "EXPORT_FAILED",
    "INTERNAL_ERROR",
    "MEMORY",
    "OUTCOMES",
    "RIGHT",
    "TIMEOUT",
    "WRONG",
    "outcome_of",
]

RIGHT, REFUSED, REFUSED_POOR = "right", "refused", "refused_poor"
#: It was said before anything was written that the library is wrong.
CAUGHT = "caught"
#: A library was written, and computes something else.
WRONG = "wrong"
INTERNAL_ERROR, TIMEOUT, MEMORY = "internal_error", "timeout", "memory"
#: There is no file to try: nobody's fault here, and not counted.
EXPORT_FAILED = "export_failed"

OUTCOMES = {
    RIGHT: "built, and its outputs are those of onnxruntime on the export, in two draws",
    REFUSED: "refused, with the node or value and what to do",
    REFUSED_POOR: "refused, without one of the two, or with words of an internal error",
    CAUGHT: "its library was wrong, which was said before anything was written",
    WRONG: "a library was written that is wrong",
    INTERNAL_ERROR: "ended with an error that is nobody's to understand",
    TIMEOUT: "took longer than the limit",
    MEMORY: "took more memory than the limit",
    EXPORT_FAILED: "not exported, and not counted",
}

_NAMES_SOMETHING = re.compile(r"['\"][^'\"]+['\"]|\bnode\b|--input-shape")
_SAYS_WHAT_TO_DO = re.compile(
    r"(?:[;:,.]|^|and|or) *(?:\w+ )?"
    r"(?:cut|export|make|give|pass|convert|leave|replace|put|add|use|get|fix|set|choose|say)\b",
    re.IGNORECASE,
)
_INTERNAL = re.compile(
    r"InternalError|Check failed|Traceback|"
    r"\b(?:Type|Value|Key|Index|Attribute|Assertion|Runtime|NotImplemented)Error\b"
)


def outcome_of(error: Exception) -> str:
    """Return the word for an error of the product."""
    if isinstance(error, DisagreementError):
        return CAUGHT
    if isinstance(error, UsageError):
        text = str(error)
        clear = _NAMES_SOMETHING.search(text) and _SAYS_WHAT_TO_DO.search(text) and not _INTERNAL.search(text)
        return REFUSED if clear else REFUSED_POOR
    if isinstance(error, EngineTimeoutError):
        return TIMEOUT
    return INTERNAL_ERROR
