"""The tuned model's latency as a multiple of onnxruntime's, same threads, after a number of trials or a time.

Each model is tuned into the store given (so that a second run only measures), then its library runs beside
the untuned one and onnxruntime, in turns::

    python -m benchmarks.latency --trials 400 --db bench.db ppocr_cls silero_vad_ifless minilm
    python -m benchmarks.latency --time 4m --db full.db full/*.onnx

``--trials 0`` compares what a library takes of which nothing was ever measured; the store should be an empty
one then::

    python -m benchmarks.latency --trials 0 --db empty.db full/*.onnx
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import sys
import time
from typing import Any

from benchmarks.model_zoo import ZOO, located
from orchestrator import CampaignSpec, ModelRequest, Storage, Toolbox, bench_model, submit
from orchestrator.campaigns.running.coordinator import follow
from orchestrator.cli.kit.parsing import parse_duration


class _Progress:
    def __init__(self, store: Storage, name: str) -> None:
        self._store, self._name, self._count = store, name, 0

    def activity(self, text: str) -> None:
        pass

    def changed(self, campaign_id: int) -> None:
        self._count += 1
        if self._count % 50 == 0:
            done = sum(task.stored for task in self._store.tasks.of_campaign(campaign_id))
            print(f"{self._name}: {done} trials", file=sys.stderr, flush=True)


def tuned(store: Storage, name: str, budget: dict[str, Any]) -> dict[str, Any]:
    """Tune a model, and return what its campaign and its comparison say."""
    path, shapes = located(name)
    spec = CampaignSpec.of({"models": [{"path": path, "shapes": shapes}], **budget})
    outcome = follow(store, submit(store, spec, hold=True).id, listener=_Progress(store, name))
    tasks = store.tasks.of_campaign(outcome.campaign.id)
    return {
        "trials": sum(task.stored for task in tasks),
        "failed": sum(task.stored_failures for task in tasks),
        "seconds": outcome.campaign.active_s,
        "parts_s": dict(outcome.parts_s),
        **vars(outcome.reports[0]),
    }


def untried(store: Storage, name: str) -> dict[str, Any]:
    """Compare a model's library as it is, and return the same of that."""
    path, shapes = located(name)
    began = time.monotonic()
    with Toolbox("metaschedule") as tools:
        report = bench_model(store, tools, ModelRequest(path=path, shapes=shapes))
    if report.tasks_tuned:
        raise SystemExit(f"{name} has records in this store: name another with --db")
    return {"trials": 0, "failed": 0, "seconds": time.monotonic() - began, **vars(report)}


def main() -> None:
    """Tune, compare, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="+", help=f"files, or {', '.join(sorted(ZOO))}")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--trials", type=int, default=400, help="0: without a campaign")
    budget.add_argument("--time", type=parse_duration, help="for each model, e.g. 4m")
    parser.add_argument("--db", default="bench.db")
    parser.add_argument("--output", type=pathlib.Path, help="write the raw figures there, as JSON")
    options = parser.parse_args()
    limit = {"time_s": options.time} if options.time else {"trials": options.trials}
    rows: list[dict[str, Any]] = []
    with Storage.open(options.db) as store:
        for name in options.models:
            path = pathlib.Path(name)
            row = tuned(store, name, limit) if options.time or options.trials else untried(store, name)
            row["model"] = path.parent.name if path.stem == "model" else path.stem
            row["kind"] = ZOO[name].kind if name in ZOO else "-"
            rows.append(row)
            if options.output:
                options.output.write_text(json.dumps(rows, indent=1, default=str) + "\n")
    print("| model | kind | trials | untuned ms | tuned ms | onnxruntime ms | ratio | difference |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['model']} | {row['kind']} | {row['trials']} | "
            f"{(row['untuned_s'] or float('nan')) * 1e3:.2f} | "
            f"{row['tuned_s'] * 1e3:.2f} | {row['reference_s'] * 1e3:.2f} | "
            f"{row['tuned_s'] / row['reference_s']:.2f} | {row['max_rel']:.0e} |"
        )
    mean = math.exp(sum(math.log(row["tuned_s"] / row["reference_s"]) for row in rows) / len(rows))
    print(f"| geometric mean | | | | | | {mean:.2f} | |")


if __name__ == "__main__":
    main()
