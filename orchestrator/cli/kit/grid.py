"""The one style of table: numbers are never cut, names give way where the terminal is narrow."""

from __future__ import annotations

from collections.abc import Collection

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

__all__ = ["Grid"]

_NARROWEST = 8


class Grid:
    """A table in the making.

    Parameters
    ----------
    columns : str
        Headings.
    right : collection of str
        Columns of numbers.
    flexible : collection of str
        Columns that are cut where the terminal is narrow.
    """

    def __init__(self, *columns: str, right: Collection[str] = (), flexible: Collection[str] = ()) -> None:
        self._columns, self._right, self._flexible = columns, right, flexible
        self._rows: list[tuple[str | Text, ...]] = []
        self._styles: list[str] = []

    def add(self, *cells: str | Text, style: str = "") -> None:
        """Add a row."""
        self._rows.append(cells)
        self._styles.append(style)

    def table(self) -> Table:
        """Return what can be printed."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
        for place, column in enumerate(self._columns):
            widest = max(
                [len(column), *(cell_len(str(row[place]).split("\n")[0]) for row in self._rows)], default=0
            )
            table.add_column(
                column,
                justify="right" if column in self._right else "left",
                # Only what may wrap gives way; the cells below say that it is cut instead.
                no_wrap=column not in self._flexible,
                overflow="ellipsis",
                min_width=min(widest, _NARROWEST) if column in self._flexible else widest,
            )
        for cells, style in zip(self._rows, self._styles, strict=True):
            table.add_row(*map(_in_one_line, cells), style=style)
        return table


def _in_one_line(cell: str | Text) -> Text:
    text = Text(cell) if isinstance(cell, str) else cell
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
