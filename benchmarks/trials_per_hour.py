"""Trials per hour: a campaign here against stock ``tune_relax``, over whole models, in turns, in one run.

Both get the same model, target, seed, evaluator settings and seconds of the clock, from the start of their
process to its end: the start of Ray here and the worker processes there are part of it. Every task of the
model is there to be tuned; each side chooses by its own rule. Only trials that succeeded in time count; of
stock's also those that it had measured and not recorded yet. :mod:`benchmarks.stock` tells what it is given::

    python -m benchmarks.trials_per_hour --seconds 900 --turns 2 --work trials light_squeezenet centerface

A run whose result is in the folder isn't run again, so that a broken one goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
from typing import Any

from benchmarks import stock
from benchmarks.budget import SIDES, Run, Setting, in_turns, settings_text
from benchmarks.model_zoo import ZOO


def rates(runs: list[Run]) -> dict[str, float]:
    """Return the median of trials per hour, by side."""
    return {side: statistics.median(run.per_hour for run in runs if run.side == side) for side in SIDES}


def row(model: str, tasks: int, runs: list[Run]) -> str:
    """Write one model's figures as a row of the table."""
    found = rates(runs)
    good = {side: "; ".join(_counts(r) for r in runs if r.side == side) for side in SIDES}
    ratio = f"{found['ours'] / found['stock']:.1f}" if found["stock"] else "stock had none"
    return (
        f"| {model} | {tasks} | {good['ours']} | {good['stock']} | {found['ours']:.0f} | "
        f"{found['stock']:.0f} | {ratio} |"
    )


def _counts(run: Run) -> str:
    return f"{run.good} of {len(run.measured)} ({len(run.trials)})"


def add_arguments(parser: argparse.ArgumentParser, work: str) -> None:
    """Add what a comparison with stock is told on the command line."""
    parser.add_argument("models", nargs="+", choices=sorted(ZOO))
    parser.add_argument(
        "--turns", type=int, default=1, help="times that each side runs (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--campaign", type=json.loads, default={}, metavar="JSON", help="campaign settings of ours"
    )
    parser.add_argument(
        "--per-iteration",
        type=int,
        default=stock.PER_ITERATION,
        help="stock's num_trials_per_iter (default %(default)s, as TVM's)",
    )
    parser.add_argument(
        "--work",
        type=pathlib.Path,
        default=pathlib.Path(work),
        help="folder of all runs (default %(default)s)",
    )
    parser.add_argument("--markdown", type=pathlib.Path, help="write what is printed there as well")


def setting(options: argparse.Namespace, model: str, seconds: float) -> Setting:
    """Return what one model's runs are told."""
    return Setting(model, seconds, options.seed, options.campaign, options.per_iteration)


def tasks_of(runs: list[Run]) -> int:
    """Count the tasks that our campaign found in the model."""
    from orchestrator import Storage

    with Storage.open(f"{next(r for r in runs if r.side == 'ours').folder}/store.db", create=False) as store:
        return len(store.tasks.of_campaign(store.campaigns.newest()[0].id))


def table(found: dict[str, list[Run]], text: str) -> str:
    """Write all models' figures in Markdown."""
    lines = [
        "| model | tasks | here: good of all measured (recorded) | stock | here, an hour | stock, an hour "
        "| ratio |",
        "|---|---|---|---|---|---|---|",
        *(row(model, tasks_of(runs), runs) for model, runs in found.items()),
        "",
        text,
    ]
    ratios = [(r["ours"], r["stock"]) for r in map(rates, found.values()) if r["stock"]]
    if len(ratios) > 1:
        mean = statistics.geometric_mean(ours / theirs for ours, theirs in ratios)
        lines.insert(-2, f"| geometric mean | | | | | | {mean:.1f} |")
    return "\n".join(lines)


def show(text: str, options: Any) -> None:
    """Print a text, and write it where that was asked for."""
    print(text, flush=True)
    if options.markdown:
        options.markdown.write_text(text + "\n")


def main() -> None:
    """Run both in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=900, help="for each run (default %(default)s)")
    add_arguments(parser, "trials-per-hour")
    options = parser.parse_args()
    found = {}
    for model in options.models:
        wanted = setting(options, model, options.seconds)
        found[model] = in_turns(wanted, options.turns, options.work)
        show(table(found, settings_text(wanted)), options)


if __name__ == "__main__":
    main()
