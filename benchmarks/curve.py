"""A model's latency over the seconds of its tuning: a campaign here, stock ``tune_relax``, onnxruntime.

Both sides tune as in :mod:`benchmarks.trials_per_hour`, in turns. Afterwards, the machine quiet, the model
is compiled with what each had recorded up to each point of time: here by ``build_model`` from a copy of the
store that lacks the later trials, by stock with its own pipeline from the first lines of its database. What
has no record then is compiled as either does it by default. All these libraries run in turns with one another
and onnxruntime, on the same threads and inputs; one whose outputs don't agree with onnxruntime's is marked::

    python -m benchmarks.curve --minutes 30 --plot docs/images/curve.svg light_squeezenet centerface minilm

Runs, libraries and rounds of times are kept in the folder, and what is there isn't done again.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from benchmarks.budget import Run, Setting, in_turns, settings_text
from benchmarks.model_zoo import ZOO, fetch
from benchmarks.trials_per_hour import add_arguments, setting, show
from orchestrator import ModelRequest, Storage, Toolbox, build_model
from workers.messages import CompiledModel, DeviceInfo, PreparedModel

#: Points before the first regular one: where the curves are steep.
EARLY = (0.25, 0.5)
#: Seconds for which one library runs in one round, more or less.
ROUND_SECONDS = 1.0
#: A time over which one repeat averages, at least.
REPEAT_SECONDS = 0.02
#: Within this a latency counts as the final one.
NEAR = 1.02


@dataclass
class Point:
    """One library: a side's, of one turn, with the records up to a second.

    Attributes
    ----------
    trials : int
        Recorded until then, failed ones too.
    times_s : list of list of float
        Seconds of one inference; a list for each round.
    wrong : str
        Why its outputs don't agree with onnxruntime's, or why there is no library; empty where they do.
    """

    side: str
    turn: int
    at_s: float
    trials: int
    library: pathlib.Path
    times_s: list[list[float]] = field(default_factory=list)
    wrong: str = ""

    @property
    def name(self) -> str:
        """Of this point among a model's."""
        return f"{self.side}-turn{self.turn}-{self.at_s:05.0f}"

    @property
    def latency_s(self) -> float:
        """Seconds of one inference; not a number where the library is wrong or wasn't timed."""
        return quiet(self.times_s) if self.times_s and not self.wrong else math.nan


@dataclass(frozen=True)
class Curve:
    """A model's latency over time, medians over the turns of tuning.

    Attributes
    ----------
    ours, stock : dict of float to float
        Seconds of one inference by seconds of tuning.
    reference_s : float
        onnxruntime's.
    """

    model: str
    ours: dict[float, float]
    stock: dict[float, float]
    reference_s: float
    wrong: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Of the tuning in all."""
        return max(self.ours)

    @property
    def passed_at_s(self) -> float | None:
        """The first point from which ours is as fast as stock at its end; None where it never is."""
        return reached(self.ours, self.stock[self.seconds])

    @property
    def stock_there_at_s(self) -> float | None:
        """The first point at which stock is as fast as at its end, within 2 percent."""
        return reached(self.stock, self.stock[self.seconds] * NEAR)


def quiet(rounds: Sequence[Sequence[float]]) -> float:
    """Return the median of the fastest round.

    A machine that others share has minutes in which everything takes half as long again. They fall on some
    rounds of a library and not on others, and a median over all rounds tells how many they were.
    """
    return min(statistics.median(times) for times in rounds)


def reached(latencies: dict[float, float], wanted: float) -> float | None:
    """Return the first point of time at which a latency is reached; None where it never is."""
    return next((at for at, seconds in sorted(latencies.items()) if seconds <= wanted), None)


def points_of_time(seconds: float, every: float) -> list[float]:
    """Return the seconds at which a library is built: 0, some early ones, each regular one, the end."""
    regular = [every * n for n in range(1, math.floor(seconds / every) + 1)]
    return sorted({0.0, *(every * part for part in EARLY if every * part < seconds), *regular, seconds})


def repeats_for(seconds: float) -> tuple[int, int]:
    """Return how often a library that takes so long runs in a round: repeats, and inferences in each."""
    number = max(1, math.ceil(REPEAT_SECONDS / seconds))
    return min(20, max(1, round(ROUND_SECONDS / (seconds * number)))), number


def store_until(source: pathlib.Path, target: pathlib.Path, at: float, *, again: bool) -> None:
    """Copy a store without the trials recorded after a moment, in seconds since 1970.

    Parameters
    ----------
    again : bool
        Whether the best had been measured again by then, which happens when a campaign ends. Without, a trial
        costs what it was recorded with.
    """
    target.unlink(missing_ok=True)
    moment = datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
    with sqlite3.connect(source) as original, sqlite3.connect(target) as copy:
        original.backup(copy)
        # Measurements go with their trials.
        copy.execute("PRAGMA foreign_keys = ON")
        copy.execute("DELETE FROM trials WHERE created_at > ?", (moment,))
        if not again:
            copy.execute("DELETE FROM measurements WHERE kind = 'again'")
            lacking = "trial_id NOT IN (SELECT trial_id FROM measurements WHERE counts)"
            first = f"SELECT min(id), trial_id, times FROM measurements WHERE {lacking} GROUP BY trial_id"
            for measurement, trial, times in copy.execute(first).fetchall():
                copy.execute("UPDATE measurements SET counts = 1 WHERE id = ?", (measurement,))
                cost_s = statistics.median(json.loads(times))
                copy.execute("UPDATE trials SET cost_s = ? WHERE id = ?", (cost_s, trial))
    original.close()
    copy.close()


def build_ours(run: Run, points: Sequence[Point], tools: Toolbox) -> None:
    """Build the libraries of one of our runs that aren't there."""
    request = json.loads((run.folder / "request.json").read_text())
    for point in points:
        if point.library.exists():
            continue
        copy = run.folder / "until.db"
        again = point.at_s >= run.seconds
        store_until(run.folder / "store.db", copy, run.started_at + point.at_s, again=again)
        with Storage.open(str(copy)) as store:
            part = point.library.with_suffix(".part")
            build_model(
                store,
                tools,
                ModelRequest(path=request["path"], shapes=ZOO[request["model"]].shapes),
                part,
                target=request["target"],
            )
        part.rename(point.library)
        print(f"{request['model']}, {point.name}: built", file=sys.stderr, flush=True)


def build_stock(run: Run, points: Sequence[Point]) -> None:
    """Build the libraries of one of stock's runs that aren't there, all in one process."""
    wanted = {str(point.library): point.trials for point in points if not point.library.exists()}
    if wanted:
        command = [sys.executable, "-m", "benchmarks.stock", "build", str(run.folder)]
        subprocess.run(command, input=json.dumps(wanted), text=True, check=True, stdout=sys.stderr)


def build(runs: Sequence[Run], folder: pathlib.Path, times: Sequence[float], tools: Toolbox) -> list[Point]:
    """Build all libraries of a model; one with the same records as the point before it is the same."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for run in runs:
        points: list[Point] = []
        for at in times:
            point = Point(run.side, run.turn, at, run.until(at), pathlib.Path())
            same = points and points[-1].trials == point.trials
            point.library = points[-1].library if same else folder / f"{point.name}.so"
            points.append(point)
        if run.side == "ours":
            build_ours(run, points, tools)
        else:
            build_stock(run, points)
        found += points
    return found


def time_all(
    points: Sequence[Point],
    rounds: int,
    folder: pathlib.Path,
    tools: Toolbox,
    model: PreparedModel,
    device: DeviceInfo,
) -> list[list[float]]:
    """Run all libraries in turns, and onnxruntime, and return what that takes."""
    inputs, expected = tools.reference_outputs(model, 1, device.cores)
    ordered = {spec.name: inputs[spec.name] for spec in model.inputs}
    libraries = {point.library: point for point in reversed(points)}
    counts: dict[pathlib.Path, tuple[int, int]] = {}
    reference: list[list[float]] = []
    for number in range(rounds):
        kept = folder / f"round{number}.json"
        found = json.loads(kept.read_text()) if kept.exists() else {"times": {}}
        # A round is of all libraries, in turns: with a new one among them it is run again.
        if not {path.name for path in libraries} <= set(found["times"]):
            found = {"times": {}, "wrong": {}, "reference": []}
            # Now from the one end, now from the other: what slows down slowly hits none more than others.
            for path, point in list(libraries.items())[:: -1 if number % 2 else 1]:
                text = f"timing {point.name}, round {number + 1} of {rounds}"
                print(f"{model.name}: {text}", file=sys.stderr, flush=True)
                compiled = _compiled(path)
                if path not in counts:
                    # The first run tells how long it takes: untuned, that may be a hundred times as long.
                    once = tools.run(compiled, ordered, device.target, repeats=1)
                    counts[path] = repeats_for(once.times[0])
                    difference = tools.judge(model, ordered, once.outputs, expected)
                    found["wrong"][path.name] = "" if difference.ok else difference.reason
                repeats, each = counts[path]
                timed = tools.run(compiled, ordered, device.target, repeats=repeats, number=each)
                found["times"][path.name] = timed.times
            found["reference"] = tools.reference_timing(model, ordered, device.cores, 20).times
            kept.with_suffix(".part").write_text(json.dumps(found))
            kept.with_suffix(".part").rename(kept)
        reference.append(list(found["reference"]))
        for point in points:
            point.times_s.append(list(found["times"][point.library.name]))
            point.wrong = point.wrong or found["wrong"].get(point.library.name, "")
    return reference


def _compiled(path: pathlib.Path) -> CompiledModel:
    weights = path.with_suffix(".npz")
    return CompiledModel(path.read_bytes(), weights.read_bytes() if weights.exists() else None, (), ())


def curve(model: str, points: Sequence[Point], reference: Sequence[Sequence[float]]) -> Curve:
    """Take each library's quietest round, and medians over turns of tuning."""

    def side(name: str) -> dict[float, float]:
        by_time: dict[float, list[float]] = {}
        for point in points:
            if point.side == name:
                by_time.setdefault(point.at_s, []).append(point.latency_s)
        # One wrong library makes the point wrong: a median has no place for what is not a number.
        return {
            at: math.nan if any(map(math.isnan, values)) else statistics.median(values)
            for at, values in by_time.items()
        }

    wrong = tuple(f"{point.name}: {point.wrong}" for point in points if point.wrong)
    return Curve(model, side("ours"), side("stock"), quiet(reference), wrong)


def measure(
    model: str, runs: Sequence[Run], every: float, rounds: int, folder: pathlib.Path
) -> tuple[Curve, dict[str, Any]]:
    """Build and time what came of a model's runs; the second is all raw figures."""
    times = points_of_time(runs[0].seconds, every)
    with Toolbox("metaschedule") as tools:
        prepared = tools.prepare(str(fetch(model)), ZOO[model].shapes)
        device = tools.resolve_target("auto")
        points = build(runs, folder, times, tools)
        reference = time_all(points, rounds, folder, tools, prepared, device)
        versions = tools.versions()
    raw = {
        "model": model,
        "kind": ZOO[model].kind,
        "device_class": device.device_class,
        "threads": device.cores,
        "versions": versions,
        "reference_s": reference,
        "points": [
            {"side": p.side, "turn": p.turn, "at_s": p.at_s, "trials": p.trials}
            | {"library": p.library.name, "times_s": p.times_s, "wrong": p.wrong}
            for p in points
        ],
        "trials_per_hour": [{"side": r.side, "turn": r.turn, "per_hour": r.per_hour} for r in runs],
    }
    return curve(model, points, reference), raw


def summary(curves: Sequence[Curve]) -> str:
    """Write how the curves end, and where they cross, as a table in Markdown."""
    lines = [
        "| model | untuned here, stock ms | stock at the end ms | here at the end ms | onnxruntime ms | here "
        "passes stock's end | stock reaches it | times sooner | here / onnxruntime | stock / onnxruntime |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for c in curves:
        ours, stock = c.ours[c.seconds], c.stock[c.seconds]
        passed, there = c.passed_at_s, c.stock_there_at_s
        sooner = f"{there / passed:.1f}" if passed and there else "-"
        if there == 0:
            sooner = "stock gained nothing"
        lines.append(
            f"| {c.model} | {_ms(c.ours[0.0])}, {_ms(c.stock[0.0])} | {_ms(stock)} | {_ms(ours)} | "
            f"{_ms(c.reference_s)} | {'never' if passed is None else f'by {passed:.0f} s'} | "
            f"{'-' if there is None else f'by {there:.0f} s'} | {sooner} | "
            f"{ours / c.reference_s:.2f} | {stock / c.reference_s:.2f} |"
        )
    return "\n".join(lines)


def details(curve: Curve) -> str:
    """Write one model's curve as a table in Markdown."""
    lines = [
        f"| {curve.model}, seconds | here ms | stock ms |",
        "|---|---|---|",
        *(f"| {at:.0f} | {_ms(curve.ours[at])} | {_ms(curve.stock[at])} |" for at in sorted(curve.ours)),
    ]
    if curve.wrong:
        lines += ["", "Outputs that don't agree with onnxruntime's:", *(f"- {text}" for text in curve.wrong)]
    return "\n".join(lines)


def _ms(seconds: float) -> str:
    if math.isnan(seconds):
        return "wrong"
    return f"{seconds * 1e3:,.0f}" if seconds >= 1 else f"{seconds * 1e3:.3g}"


def plot(curves: Sequence[Curve], path: pathlib.Path) -> None:
    """Draw the curves, one model beside the other, latency on a logarithmic scale."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    # Text as text: small, sharp, and found by who searches the page.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "tunefleet", "font.size": 10})
    figure, axes = pyplot.subplots(1, len(curves), figsize=(4.6 * len(curves), 4.2), squeeze=False)
    for axis, c in zip(axes[0], curves, strict=True):
        for name, values, colour, mark in (
            ("stock tune_relax", c.stock, "#b5541c", "s"),
            ("tunefleet", c.ours, "#1f5fa8", "o"),
        ):
            minutes = sorted(values)
            axis.plot(
                [at / 60 for at in minutes],
                [values[at] * 1e3 for at in minutes],
                color=colour,
                marker=mark,
                markersize=3.5,
                label=name,
            )
        axis.axhline(c.reference_s * 1e3, color="#444444", linestyle="--", linewidth=1, label="onnxruntime")
        if c.passed_at_s is not None:
            final = c.stock[c.seconds] * 1e3
            axis.axhline(final, color="#b5541c", linestyle=":", linewidth=1)
            axis.annotate(
                f"passes stock's\nfinal latency\nby {c.passed_at_s / 60:.3g} min",
                (c.passed_at_s / 60, c.ours[c.passed_at_s] * 1e3),
                xytext=(0.35, 0.3),
                textcoords="axes fraction",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85},
                arrowprops={"arrowstyle": "->", "color": "#1f5fa8"},
                color="#1f5fa8",
            )
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(ticker.NullFormatter())
        axis.set_title(c.model)
        axis.set_xlabel("minutes of tuning")
        axis.grid(visible=True, which="both", alpha=0.25)
    axes[0][0].set_ylabel("latency of the compiled model, ms")
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)
    figure.set_layout_engine("constrained")
    path.parent.mkdir(parents=True, exist_ok=True)
    # No date inside: the same figures make the same file.
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)
    pyplot.close(figure)


def main() -> None:
    """Tune, build, time, print tables and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=30, help="of tuning (default %(default)s)")
    parser.add_argument(
        "--every", type=float, default=120, help="seconds between points (default %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="times that each library's turn comes")
    parser.add_argument("--plot", type=pathlib.Path, help="draw the curves there (.svg or .png)")
    parser.add_argument("--output", type=pathlib.Path, help="write the raw figures there, as JSON")
    add_arguments(parser, "curve")
    options = parser.parse_args()
    wanted: list[Setting] = [setting(options, model, options.minutes * 60) for model in options.models]
    # All tuning first: what is timed later then had the machine for itself, and in one stretch.
    runs = [in_turns(one, options.turns, options.work) for one in wanted]
    curves, raw = [], []
    for one, found in zip(wanted, runs, strict=True):
        folder = options.work / one.model / f"points-every{options.every:g}"
        made, figures = measure(one.model, found, options.every, options.rounds, folder)
        curves.append(made)
        raw.append(figures)
        if options.output:
            options.output.write_text(json.dumps(raw, indent=1) + "\n")
        text = [summary(curves), settings_text(wanted[0]), *(details(c) for c in curves)]
        show("\n\n".join(text), options)
        if options.plot:
            plot(curves, options.plot)


if __name__ == "__main__":
    main()
