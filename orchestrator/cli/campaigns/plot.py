"""The curve of a campaign, drawn with characters over the width of a terminal."""

from __future__ import annotations

from orchestrator.cli.campaigns.curve import sampled
from orchestrator.cli.kit.text import duration, latency
from orchestrator.storage import CurveRow

__all__ = ["plot"]

_ROWS = 12
_MARGIN = 0.05


def plot(row: CurveRow, width: int) -> list[str]:
    """Return the lines of a drawing; none where there is no curve yet.

    Parameters
    ----------
    width : int
        Characters of a line.
    """
    if not row.points:
        return []
    lines = {
        name: value
        for name, value in (("at the beginning", row.library_s), ("onnxruntime", row.reference_s))
        if value is not None
    }
    values = [value for _, value in row.points] + list(lines.values())
    low, high = min(values), max(values)
    margin = (high - low or high) * _MARGIN
    low, high = max(0.0, low - margin), high + margin
    labels = {_place(value, low, high): latency(value) for value in (row.points[0][1], row.points[-1][1])}
    labels |= {_place(value, low, high): latency(value) for value in lines.values()}
    edge = max(map(len, labels.values()))
    columns = max(20, width - edge - 3)
    grid = [[" "] * columns for _ in range(_ROWS)]
    for name, value in lines.items():
        grid[_place(value, low, high)] = list(f"{'┄' * (columns - len(name) - 1)} {name}"[-columns:])
    _draw(grid, [_place(value, low, high) for value in sampled(row.points, columns)])
    drawn = [f"{labels.get(number, ''):>{edge}} ┤{''.join(cells)}" for number, cells in enumerate(grid)]
    begin, end = duration(row.points[0][0]), duration(row.points[-1][0])
    drawn.append(f"{'':>{edge}} └{'─' * columns}")
    drawn.append(f"{'':>{edge}}  {begin}{end:>{columns - len(begin)}}")
    return [line.rstrip() for line in drawn]


def _place(value: float, low: float, high: float) -> int:
    """Return the row of a value; the topmost is 0."""
    return round((high - value) / (high - low) * (_ROWS - 1)) if high > low else _ROWS // 2


def _draw(grid: list[list[str]], rows: list[int]) -> None:
    before = rows[0]
    for column, row in enumerate(rows):
        if row == before:
            grid[row][column] = "─"
        else:
            top, bottom = sorted((before, row))
            for between in range(top + 1, bottom):
                grid[between][column] = "│"
            falls = row > before
            grid[top][column] = "╮" if falls else "╭"
            grid[bottom][column] = "╰" if falls else "╯"
        before = row
