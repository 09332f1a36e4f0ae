"""A running campaign on one terminal screen, and in one line."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.cli.campaigns.curve import curve_text, reference_text
from orchestrator.cli.campaigns.wording import asked_text, expectation
from orchestrator.cli.kit.text import amount, duration, latency, plural
from orchestrator.documents.snapshot import Snapshot, TaskLine
from orchestrator.storage import CampaignState, CurveRow, TaskState

__all__ = ["View", "line_of"]

_TASK_STATES = {
    TaskState.OPEN: ("open", ""),
    TaskState.SATISFIED: ("done", "green"),
    TaskState.PLATEAUED: ("plateau", "green"),
    TaskState.EXHAUSTED: ("used up", "green"),
    TaskState.FAILED: ("failed", "red"),
}
# Lines of the screen that are no task: 4 of header, 3 around the table, the sum, the activity, the cursor's.
_OTHER_LINES = 10
_FEWEST_TASKS = 3


@dataclass(frozen=True)
class View:
    """All that is drawn.

    Attributes
    ----------
    elapsed_s : float
        Seconds that were spent on the campaign so far, by all who worked on it.
    per_hour : float or None
        Trials per hour of late.
    busy : frozenset of int
        Ids of tasks that had a trial measured of late.
    activity : str
        What is going on.
    curves : tuple of CurveRow
        How the estimate came down, on each device class.
    drift : str
        What is to be known of devices that have drifted; empty for nothing.
    """

    snapshot: Snapshot
    elapsed_s: float
    per_hour: float | None = None
    busy: frozenset[int] = frozenset()
    activity: str = ""
    curves: tuple[CurveRow, ...] = ()
    drift: str = ""

    @property
    def left_s(self) -> float | None:
        """Seconds left, by the pace or by the time budget, whichever ends first."""
        ends = []
        total = self.snapshot.total
        if total is not None and self.per_hour:
            ends.append(max(0, total - self.snapshot.done) / self.per_hour * 3600)
        if self.snapshot.time_s is not None:
            ends.append(max(0.0, self.snapshot.time_s - self.elapsed_s))
        return min(ends) if ends else None

    @property
    def fraction(self) -> float | None:
        """How far it is, from 0 to 1: by trials or by time, whichever is further; None where unknown."""
        parts = []
        total = self.snapshot.total
        if total:
            parts.append(self.snapshot.done / total)
        if self.snapshot.time_s is not None and self.snapshot.tasks:
            parts.append(self.elapsed_s / self.snapshot.time_s)
        return min(1.0, max(parts)) if parts else None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or console.size.height
        yield Group(*self._parts(max(_FEWEST_TASKS, height - _OTHER_LINES)))

    def _parts(self, rows: int) -> list[RenderableType]:
        parts: list[RenderableType] = [self._title(), self._subject(), self._bar(), self._numbers()]
        if self.snapshot.tasks:
            curves = self._curves()
            parts += [self._tasks(max(_FEWEST_TASKS, rows - len(curves))), self._sum(), *curves]
        parts.append(_one_line(f"› {self.activity}" if self.activity else "", "dim"))
        return parts

    def _title(self) -> RenderableType:
        campaign = self.snapshot.campaign
        title = Text(f"campaign {campaign.id}", style="bold")
        if campaign.name != f"campaign-{campaign.id}":
            title.append(f"  {campaign.name}", style="not bold")
        return _two_sides(title, asked_text(campaign))

    def _subject(self) -> RenderableType:
        names = self.snapshot.model_names
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        return _one_line(f"{', '.join(names[:2])}{more} on {', '.join(self.snapshot.device_classes)}", "")

    def _bar(self) -> RenderableType:
        snapshot, fraction = self.snapshot, self.fraction
        if not snapshot.tasks:
            return _one_line("no tasks yet", "dim")
        total = snapshot.total
        if total is None:
            count = plural(snapshot.done, "trial")
        else:
            count = f"{amount(snapshot.done)}/{plural(total, 'trial')}"
        bar = Table.grid(padding=(0, 2), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(justify="right", no_wrap=True)
        bar.add_row(ProgressBar(total=1.0, completed=fraction or 0.0), Text(count))
        return bar

    def _numbers(self) -> RenderableType:
        parts = [f"{duration(self.elapsed_s)} so far"]
        if self.snapshot.time_s is not None and self.snapshot.campaign.state is CampaignState.TUNING:
            parts[0] = f"{duration(self.elapsed_s)} of {duration(self.snapshot.time_s)}"
        if self.per_hour is not None:
            parts.append(f"{amount(self.per_hour)} trials/h")
        if self.left_s is not None and self.snapshot.campaign.state is CampaignState.TUNING:
            parts.append(f"about {duration(self.left_s)} left")
        failures = self.snapshot.failures
        text = Text("   ".join(parts), no_wrap=True, overflow="ellipsis")
        if failures:
            text.append("   ").append(f"{amount(failures)} failed", style="yellow")
        return text

    def _tasks(self, rows: int) -> RenderableType:
        # Fixed widths: columns that breathe with their numbers make a screen restless.
        table = Table(box=None, padding=(0, 1, 0, 0), expand=True, header_style="dim", pad_edge=False)
        table.add_column("task", ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column("calls", justify="right", width=5, no_wrap=True)
        table.add_column("trials", justify="right", width=9, no_wrap=True)
        table.add_column("best", justify="right", width=8, no_wrap=True)
        table.add_column("GFLOP/s", justify="right", width=7, no_wrap=True)
        table.add_column("share", justify="right", width=5, no_wrap=True)
        table.add_column("state", width=8, no_wrap=True)
        lines = self.snapshot.lines()
        for line in lines[:rows]:
            table.add_row(*self._cells(line))
        hidden = lines[rows:]
        if hidden:
            share = sum(line.share or 0.0 for line in hidden)
            still = sum(line.row.state is TaskState.OPEN for line in hidden)
            text = f"and {len(hidden)} more ({still} open)"
            table.add_row(text, "", "", "", "", f"{share:.0%}" if share else "", "", style="dim")
        return Group(Text(""), table)

    def _cells(self, line: TaskLine) -> list[RenderableType]:
        row = line.row
        word, style = _TASK_STATES[row.state]
        if row.state is TaskState.OPEN and row.id in self.busy:
            word, style = "● tuning", "cyan"
        elif row.state is TaskState.OPEN and not row.stored:
            word, style = "waiting", "dim"
        budget = f"/{row.budget}" if self.snapshot.total is not None else ""
        speed = line.gflops
        return [
            Text(row.name),
            Text(f"{row.weight}x"),
            Text(f"{row.stored}{budget}"),
            Text(latency(row.best_s)),
            Text(f"{speed:.1f}" if speed else "-"),
            Text(f"{line.share:.0%}" if line.share is not None else "-"),
            Text(word, style=style),
        ]

    def _curves(self) -> list[RenderableType]:
        """One line on one device class; several would fill the screen, and `show` has them."""
        drift = [_one_line(self.drift, "yellow")] if self.drift else []
        if len(self.curves) != 1:
            return [*drift]
        texts = (curve_text(self.curves[0]), reference_text(self.curves[0]))
        return [*drift, *(_one_line(text, "dim") for text in texts if text)]

    def _sum(self) -> RenderableType:
        return _one_line(expectation(self.snapshot), "bold")


def line_of(view: View) -> str:
    """Say in one line where a campaign stands, for logs."""
    snapshot = view.snapshot
    total = snapshot.total
    parts = [f"campaign {snapshot.campaign.id} {snapshot.campaign.state.value}", duration(view.elapsed_s)]
    if snapshot.tasks:
        of = "" if total is None else f"/{amount(total)}"
        parts.append(f"{amount(snapshot.done)}{of} trials")
        if view.per_hour is not None:
            parts.append(f"{amount(view.per_hour)}/h")
        if snapshot.failures:
            parts.append(f"{amount(snapshot.failures)} failed")
        if view.left_s is not None and snapshot.campaign.state is CampaignState.TUNING:
            parts.append(f"about {duration(view.left_s)} left")
        if snapshot.timed:
            parts.append(expectation(snapshot))
    if view.drift:
        parts.append(view.drift)
    text = ", ".join(parts)
    return f"{text}: {view.activity}" if view.activity else text


def _one_line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _two_sides(left: Text, right: Text) -> RenderableType:
    grid = Table.grid(expand=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_row(left, right)
    return grid
