"""Documents that commands write, held against the examples in docs/json.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

__all__ = ["DOCUMENT", "EXAMPLES", "assert_documented"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "json.md"
EXAMPLES: dict[str, Any] = {
    example["schema"]: example
    for example in map(
        json.loads, re.findall(r"^```json\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    )
}
# What a person or an engine names; the rest of a document has fixed fields.
_FREE = {"spec", "versions", "toolchain", "shapes", "parts_s", "detail"}


def assert_like(example: Any, found: Any, where: str = "document") -> None:
    """Same fields and kinds of values; null may stand for anything that has no value."""
    if example is None or found is None:
        return
    if isinstance(example, dict):
        assert isinstance(found, dict), where
        assert sorted(found) == sorted(example), where
        for name, value in example.items():
            if name not in _FREE:
                assert_like(value, found[name], f"{where}.{name}")
    elif isinstance(example, list):
        assert isinstance(found, list), where
        for value in found:
            assert_like(example[0], value, f"{where}[]") if example else None
    else:
        assert kind(found) == kind(example), f"{where}: {found!r} where {example!r} is documented"
        if where.endswith("_at"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found), where


def kind(value: Any) -> type:
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)


def assert_sensible(value: Any, where: str = "document") -> None:
    """No number is one that nobody measured or asked for: less than nothing, or what stands for no limit."""
    if isinstance(value, dict):
        for name, part in value.items():
            assert_sensible(part, f"{where}.{name}")
    elif isinstance(value, list):
        for part in value:
            assert_sensible(part, f"{where}[]")
    elif isinstance(value, int | float) and not where.endswith(_ANY_NUMBER):
        assert 0 <= value < _NO_COUNT, f"{where}: {value}"


# Operations and bytes may be that many, a priority and a difference of times less than 0, and what a model
# computes anything.
_DIFFERENCES = (".lost_s", ".between_s")
_ANY_NUMBER = (
    ".flops",
    ".seed",
    ".priority",
    ".drift",
    ".least",
    ".mean",
    ".largest",
    "_bytes",
    *_DIFFERENCES,
)
# Of trials, seconds, calls or tasks there are never as many: 2**31 - 1 stands for no limit in the store.
_NO_COUNT = 2**31 - 1


def assert_documented(document: dict[str, Any], *, example: str = "") -> None:
    name = document["schema"]
    assert_sensible(document)
    shown = EXAMPLES[f"tunefleet/{example}/1" if example else name]
    assert_like({**shown, "schema": name}, document)
