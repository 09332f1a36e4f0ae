"""Whether ``bench`` says the same an hour later: each model compared with onnxruntime twice, some time apart.

A pass compares all models, one after the other, as ``tunefleet bench`` does it; the second begins when the
first began so long ago. Each pass is written to ``--work`` as it goes, and the same command goes on with what
is missing there::

    python -m benchmarks.repeatable --db full.db --apart 1h --work repeatable.json full/*.onnx
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.model_zoo import located
from benchmarks.trials_per_hour import show
from orchestrator import ModelRequest, Storage, Toolbox, bench_model
from orchestrator.cli.kit.parsing import parse_duration

__all__ = ["ALIKE", "Compared", "main", "table"]

#: Two passes agree where their ratios are apart by no more than this part of the smaller one.
ALIKE = 0.05


@dataclass(frozen=True)
class Compared:
    """One comparison of a model.

    Attributes
    ----------
    tuned_s, reference_s : tuple of float
        Median seconds of each turn.
    ratio, low, high : float
        The library's time as a part of onnxruntime's, and its interval.
    """

    tuned_s: tuple[float, ...]
    reference_s: tuple[float, ...]
    ratio: float
    low: float
    high: float
    note: str
    taken_s: float


def compared(store: Storage, tools: Toolbox, name: str) -> Compared:
    """Compare a model's library with onnxruntime."""
    path, shapes = located(name)
    began = time.monotonic()
    report = bench_model(store, tools, ModelRequest(path=path, shapes=shapes))
    side, ratio = report.side, report.ratio
    if side is None or ratio is None or not report.outputs_agree:
        raise SystemExit(f"{name} can't be compared: {report.disagreement or 'it was not timed in turns'}")
    taken_s = time.monotonic() - began
    return Compared(
        side.tuned_s, side.reference_s, ratio.middle, ratio.low, ratio.high, report.timing_note, taken_s
    )


def table(passes: Sequence[Mapping[str, Compared]]) -> str:
    """Write two passes beside each other as Markdown."""
    first, second = passes
    lines = [
        "| model | of onnxruntime's time | later | apart | library ms | later | onnxruntime ms | later |",
        "|---|---|---|---|---|---|---|---|",
    ]
    alike = 0
    for name, before in first.items():
        after = second[name]
        off = max(before.ratio, after.ratio) / min(before.ratio, after.ratio) - 1
        alike += off <= ALIKE
        times = [
            f"{middle * 1e3:.3g}"
            for values in ((before.tuned_s, after.tuned_s), (before.reference_s, after.reference_s))
            for middle in (sorted(one)[len(one) // 2] for one in values)
        ]
        lines.append(
            f"| {pathlib.Path(name).stem} | {_ratio(before)} | {_ratio(after)} | {off:.1%} | "
            f"{' | '.join(times)} |"
        )
    lines.append(f"\n{alike} of {len(first)} within {ALIKE:.0%}")
    return "\n".join(lines)


def _ratio(one: Compared) -> str:
    return f"{one.ratio:.3f} ({one.low:.3f} to {one.high:.3f})"


def main() -> None:
    """Take the passes that are missing, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="+", help="files, or names of the zoo's; five say something")
    parser.add_argument("--db", required=True, help="store with the models' records")
    parser.add_argument("--apart", type=parse_duration, default=3600.0, help="between the passes (1h)")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="file that keeps the passes")
    parser.add_argument("--markdown", type=pathlib.Path, help="write what is printed there as well")
    options = parser.parse_args()
    kept: list[dict[str, Any]] = json.loads(options.work.read_text()) if options.work.exists() else []
    with Storage.open(options.db, create=False) as store:
        for number in (0, 1):
            if number == len(kept):
                kept.append({"began": 0.0, "models": {}})
            found = kept[number]
            if number:
                _wait_until(kept[0]["began"] + options.apart)
            for name in options.models:
                if name not in found["models"]:
                    found["began"] = found["began"] or time.time()
                    print(f"pass {number + 1} of 2: {name}", file=sys.stderr, flush=True)
                    with Toolbox("metaschedule") as tools:
                        found["models"][name] = asdict(compared(store, tools, name))
                    options.work.write_text(json.dumps(kept, indent=1))
    passes = [{name: Compared(**one["models"][name]) for name in options.models} for one in kept]
    show(table(passes), options)


def _wait_until(moment: float) -> None:
    while (left := moment - time.time()) > 0:
        print(f"{left / 60:.0f} minutes until the second pass", file=sys.stderr, flush=True)
        time.sleep(min(left, 300.0))


if __name__ == "__main__":
    main()
