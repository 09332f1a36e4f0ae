"""The tuned model's latency as a multiple of onnxruntime's, same threads, after a number of trials or a time.

Each model is tuned into the store given (so that a second run only measures), then its library runs beside
the untuned one and onnxruntime, in turns::

    python -m benchmarks.latency --trials 400 --db bench.db ppocr_cls silero_vad_ifless minilm
    python -m benchmarks.latency --time 4m --db full.db full/*.onnx

``--trials 0`` compares what a library takes of which nothing was ever measured; the store should be an empty
one then::

    python -m benchmarks.latency --trials 0 --db empty.db full/*.onnx

``--openvino`` times the library, onnxruntime and OpenVINO once more, in turns, each in a process of its own;
OpenVINO in float32, and as it comes (``pip install '.[openvino]'``). ``--beside`` does that alone, with what
the store has.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.contenders import in_turns, library, onnxruntime, openvino, openvino_float32
from benchmarks.model_zoo import ZOO, located
from orchestrator import CampaignSpec, ModelRequest, Storage, Toolbox, bench_model, build_model, submit
from orchestrator.campaigns.running.coordinator import follow
from orchestrator.cli.kit.parsing import parse_duration
from workers.models import prepare, random_inputs


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


def beside_openvino(store: Storage, name: str) -> dict[str, float]:
    """Return what a model takes in its library, in onnxruntime and in OpenVINO, in seconds."""
    path, shapes = located(name)
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        out = pathlib.Path(folder) / "model.so"
        with Toolbox("metaschedule") as tools:
            build_model(store, tools, ModelRequest(path=path, shapes=shapes), out)
        contenders = {
            "tuned": (library, str(out)),
            "onnxruntime": (onnxruntime, path),
            "OpenVINO float32": (openvino_float32, path),
            "OpenVINO": (openvino, path),
        }
        return in_turns(contenders, random_inputs(prepare(path, shapes).inputs, 1))


def main() -> None:
    """Tune, compare, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="+", help=f"files, or {', '.join(sorted(ZOO))}")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--trials", type=int, default=400, help="0: without a campaign")
    budget.add_argument("--time", type=parse_duration, help="for each model, e.g. 4m")
    parser.add_argument("--db", default="bench.db")
    parser.add_argument("--output", type=pathlib.Path, help="write the raw figures there, as JSON")
    parser.add_argument("--openvino", action="store_true", help="beside OpenVINO as well")
    parser.add_argument("--beside", action="store_true", help="beside OpenVINO alone, without tuning")
    options = parser.parse_args()
    limit = {"time_s": options.time} if options.time else {"trials": options.trials}
    rows: list[dict[str, Any]] = []
    with Storage.open(options.db) as store:
        if options.beside:
            rows = [
                {"model": _called(name), "in_turns_s": beside_openvino(store, name)}
                for name in options.models
            ]
            print("\n".join(_in_turns_lines(rows)))
            return
        for name in options.models:
            row = tuned(store, name, limit) if options.time or options.trials else untried(store, name)
            row["model"] = _called(name)
            row["kind"] = ZOO[name].kind if name in ZOO else "-"
            if options.openvino:
                row["in_turns_s"] = beside_openvino(store, name)
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
    if options.openvino:
        print("\n" + "\n".join(_in_turns_lines(rows)))


def _called(name: str) -> str:
    path = pathlib.Path(name)
    return path.parent.name if path.stem == "model" else path.stem


def _in_turns_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    names = list(rows[0]["in_turns_s"])
    yield f"| model | {' | '.join(f'{name} ms' for name in names)} | / onnxruntime | / OpenVINO float32 |"
    yield "|---" * (len(names) + 3) + "|"
    ratios: list[tuple[float, float]] = []
    for row in rows:
        times = row["in_turns_s"]
        ratios.append((times["tuned"] / times["onnxruntime"], times["tuned"] / times["OpenVINO float32"]))
        each = " | ".join(f"{times[name] * 1e3:.2f}" for name in names)
        yield f"| {row['model']} | {each} | {ratios[-1][0]:.2f} | {ratios[-1][1]:.2f} |"
    means = (math.exp(statistics.mean(map(math.log, column))) for column in zip(*ratios, strict=True))
    yield f"| geometric mean |{' |' * len(names)} {' | '.join(f'{mean:.2f}' for mean in means)} |"


if __name__ == "__main__":
    main()
