"""What the pages refer to is there: every relative link leads to a file, and every anchor to a heading."""

from __future__ import annotations

import re
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for folder in (ROOT, ROOT / "docs", ROOT / "examples") for path in folder.glob("*.md"))

_FENCED = re.compile(r"^(```|~~~).*?^\1[`~]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)


def broken_links(page: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere, each with its reason."""
    return [f"{link}: {reason}" for link in _links(page) if (reason := _wrong_with(page, link))]


def _links(page: Path) -> Iterator[str]:
    # Headings and links may hold code, but a link within code is none.
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    spans = [found.span() for found in _CODE.finditer(text)]
    for found in _LINK.finditer(text):
        if not any(start <= found.start() and found.end() <= end for start, end in spans):
            yield found[1]


def _wrong_with(page: Path, link: str) -> str:
    if re.match(r"[a-z][a-z0-9+.-]*:", link):
        return ""  # of another place, which may be away today
    path, _, anchor = urllib.parse.unquote(link).partition("#")
    there = page.parent / path if path else page
    if not there.exists():
        return f"there is no {there.resolve()}"
    if anchor and there.suffix == ".md" and anchor not in anchors(there):
        return f"{there.name} has no heading of that name"
    return ""


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to a page's headings."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    listed = {link.partition("#")[0] for link in _links(ROOT / "docs" / "index.md")}
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages <= listed


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](there.md)", 0),
        ("[a](there.md#two-words-of-code)", 0),
        ("[a](there.md#twice-1)", 0),
        ("[a](#here)\n\n# Here", 0),
        ("[a](https://example.org/nothing#at-all)", 0),
        ("`[a](missing.md)`", 0),
        ("```\n[a](missing.md)\n```", 0),
        ("[`code`](missing.md)", 1),
        ("[a\nb](missing.md) and ![c](missing.svg)", 2),
        ("[a](there.md#missing)", 1),
        ("[a](there.md#twice-2)", 1),
        ("[a](#missing)", 1),
        ("[a](folder/)", 1),
    ],
)
def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, text: str, broken: int) -> None:
    (tmp_path / "there.md").write_text(
        "# Two words, of `code`\n\n## Twice\n\n## Twice\n\n```\n# Missing\n```\n"
    )
    page = tmp_path / "page.md"
    page.write_text(text)
    assert len(broken_links(page)) == broken
