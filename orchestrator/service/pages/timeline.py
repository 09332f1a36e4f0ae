"""Who measured, built and searched for a campaign, and when: lanes of a drawing, and the same in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from orchestrator.documents.details import Details
from orchestrator.documents.ratios import percent_text
from orchestrator.documents.text import device_text
from orchestrator.service.pages.progress import elapsed_s
from orchestrator.service.parts import Parts
from orchestrator.storage import SearchRow, Storage, WorkRow

__all__ = ["Lane", "Timeline", "recent_timeline", "timeline_of"]

# Hours of a fast device; more would keep a page waiting.
_MOST_TRIALS = 20_000
_SPANS = 120
# What a campaign does changes from second to second; how busy its devices are doesn't.
_GOOD_SECONDS = 15.0


@dataclass(frozen=True)
class Lane:
    """What something did.

    Attributes
    ----------
    name : str
    parts : tuple of float
        Of each span of time, the part in which it was busy; of builds and searches, how many ran at once.
    most : float or None
        What the height of the lane stands for; None for what is busy or isn't.
    busy : float
        Part of the whole time, likewise.
    count : int
        What it did.
    pause_s : float
        The longest time in which it did nothing, from its first to its last.
    """

    name: str
    parts: tuple[float, ...]
    most: float | None
    busy: float
    count: int
    pause_s: float

    @property
    def said(self) -> str:
        """How busy it was, in words."""
        return percent_text(self.busy) if self.most is None else f"{self.busy:.1f} at once"

    @property
    def outline(self) -> str:
        """The lane as the path of an area: a unit wide for each span, and from 1, its bottom, to 0 high."""
        most = self.most or 1.0
        heights = [f"{1 - part / most:.2f}" for part in self.parts]
        steps, at = ["M0 1"], 0
        for height, alike in groupby(heights):
            at += len(list(alike))
            steps.append(f"V{height}H{at}")
        return "".join([*steps, "V1Z"])


@dataclass(frozen=True)
class Timeline:
    """The lanes, over the same time.

    Attributes
    ----------
    begins_s, ends_s : float
        Since the campaign was started.
    devices : tuple of Lane
    builds : Lane or None
        None where nothing was built.
    searches : tuple of Lane
        One for each host that searched; a search that stands still for a measurement is busy.
    idle : float
        Part of the time in which nothing of all this was going on.
    cut : bool
        Only the last trials are in it.
    """

    begins_s: float
    ends_s: float
    spans: int
    devices: tuple[Lane, ...]
    builds: Lane | None
    searches: tuple[Lane, ...]
    idle: float
    cut: bool

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All of them, from top to bottom."""
        return (*self.devices, *((self.builds,) if self.builds is not None else ()), *self.searches)


def recent_timeline(parts: Parts, details: Details) -> Timeline | None:
    """Return who worked for a campaign, as it was some seconds ago."""
    snapshot = details.snapshot
    # Its first trials, and its end, are to be seen at once.
    key = ("timeline", snapshot.campaign.id, snapshot.campaign.state, snapshot.measured > 0)
    return parts.recent.get(key, lambda: timeline_of(parts.store, details), seconds=_GOOD_SECONDS)


def timeline_of(store: Storage, details: Details) -> Timeline | None:
    """Return who worked for a campaign; None before anything was measured."""
    campaign = details.snapshot.campaign
    rows = store.answers.work(campaign.id, last=_MOST_TRIALS)
    if not rows:
        return None
    cut = details.snapshot.measured > _MOST_TRIALS
    ends_s = max(elapsed_s(campaign) or 0.0, max(row.ended_s for row in rows))
    begins_s = max(0.0, min(_built(row)[0] for row in rows)) if cut else 0.0
    searches = store.answers.searches(campaign.id, last=_MOST_TRIALS)
    return _timeline(rows, searches, begins_s, max(ends_s, begins_s + 1.0), cut)


def _timeline(
    rows: Sequence[WorkRow], searches: Sequence[SearchRow], begins_s: float, ends_s: float, cut: bool
) -> Timeline:
    several_hosts = len({row.host for row in rows if row.device}) > 1
    measured: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row.device and row.run_s > 0:
            device = device_text(row.device)
            name = f"{device} on {row.host}" if several_hosts else device
            measured.setdefault(name, []).append((row.ended_s - row.run_s, row.ended_s))
    builds = [_built(row) for row in rows if row.build_s > 0]
    window = (begins_s, ends_s)
    devices = tuple(
        _lane(f"{name} measured", work, window, shared=False) for name, work in sorted(measured.items())
    )
    built = _lane("candidates built", builds, window, shared=True) if builds else None
    searched: dict[str, list[tuple[float, float]]] = {}
    for search in searches:
        ended_s = search.began_s + search.took_s
        if ended_s > begins_s:
            searched.setdefault(search.host, []).append((search.began_s, ended_s))
    hosts = tuple(
        _lane(f"searches on {host}" if len(searched) > 1 else "searches", work, window, shared=True)
        for host, work in sorted(searched.items())
    )
    everything = [*measured.values(), builds, *searched.values()]
    whole = _union(one for work in everything for one in work)
    idle = 1.0 - min(1.0, sum(_clipped(one, window) for one in whole) / (ends_s - begins_s))
    return Timeline(begins_s, ends_s, _SPANS, devices, built, hosts, idle, cut)


def _built(row: WorkRow) -> tuple[float, float]:
    """Return when a candidate was built: as late as it can have been, for when it was isn't stored."""
    end = row.ended_s - row.run_s
    return end - row.build_s, end


def _lane(
    name: str, work: Sequence[tuple[float, float]], window: tuple[float, float], *, shared: bool
) -> Lane:
    begins, ends = window
    width = (ends - begins) / _SPANS
    parts = [0.0] * _SPANS
    for begin, end in work:
        begin, end = max(begin, begins), min(end, ends)
        number = int((begin - begins) / width)
        while begin < end and number < _SPANS:
            until = min(end, begins + (number + 1) * width)
            parts[number] += max(0.0, until - begin) / width
            begin, number = until, number + 1
    # Of one device a measurement can't overlap the next: what goes beyond is its record's instant.
    shown = parts if shared else [min(1.0, part) for part in parts]
    joined = _union(work)
    pauses = [after[0] - before[1] for before, after in pairwise(joined)]
    return Lane(
        name,
        tuple(shown),
        max(1.0, *shown) if shared else None,
        sum(shown) / _SPANS,
        len(work),
        max(pauses, default=0.0),
    )


def _union(work: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for begin, end in sorted(work):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined


def _clipped(one: tuple[float, float], window: tuple[float, float]) -> float:
    return max(0.0, min(one[1], window[1]) - max(one[0], window[0]))
