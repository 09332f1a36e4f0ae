"""Make the starter pack of what is recorded: the best schedule of each workload, as decisions.

Kernels that nobody has measured begin with what is nearest there; see docs/performance.md. What it is made of
are the records of campaigns over models with random weights::

    tunefleet tune resnet50.onnx mobilenet_v2.onnx ... --trials-per-task 32 --db pack.db
    tunefleet records export -o pack.jsonl.gz --engine metaschedule --db pack.db
    python -m benchmarks.starter_pack pack.jsonl.gz

Several files are put together, and with ``--keep`` what the pack has of other device classes stays.
"""

from __future__ import annotations

import argparse
import gzip
import json
import pathlib
import statistics
from collections.abc import Iterator
from typing import Any

from workers.engines.metaschedule.starter.pack import PACK, Entry, read_pack, written
from workers.engines.metaschedule.starter.sketches import sketch_of
from workers.engines.metaschedule.targets import parse_target, vector_bits


def recorded(path: pathlib.Path) -> Iterator[Entry]:
    """Yield the best schedule of each workload of a file of records, of each device class."""
    workloads: dict[str, dict[str, Any]] = {}
    classes: dict[str, dict[str, Any]] = {}
    best: dict[tuple[str, str], tuple[float, str]] = {}
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in map(json.loads, lines):
            if "workload" in line:
                workloads[line["workload"]["hash"]] = line["workload"]
            elif "device_class" in line:
                classes[line["device_class"]["name"]] = line["device_class"]
            elif "trial" in line and (seconds := _seconds(line["trial"])) is not None:
                trial = line["trial"]
                key = trial["workload"], trial["device_class"]
                if key not in best or seconds < best[key][0]:
                    best[key] = seconds, trial["trace"]
    for (workload, where), (seconds, trace) in best.items():
        known = workloads[workload]
        target = parse_target(classes[where]["target"])
        if known["engine"] == "metaschedule" and target.kind.name == "llvm":
            sketch = sketch_of(trace, known["name"])
            # Where nothing is decided there is nothing to lend.
            if sketch.tiles or sketch.choices or sketch.places:
                yield Entry(sketch, known["flops"], seconds, vector_bits(target), where)


def _seconds(trial: dict[str, Any]) -> float | None:
    """Return what a trial took the last time it was timed in full; None where it never was."""
    if "measurements" not in trial:  # as files of the first version have it
        times = trial.get("times_again_s") or trial["times_s"]
        return statistics.median(times) if trial["state"] == "ok" else None
    good = [one for one in trial["measurements"] if one["state"] == "ok"]
    whole = [one for one in good if one["kind"] != "short"] or good
    return statistics.median(whole[-1]["times_s"]) if whole else None


def main() -> None:
    """Read records, write the pack, say what is in it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("records", nargs="+", type=pathlib.Path, help="what `tunefleet records export` wrote")
    parser.add_argument("-o", "--output", type=pathlib.Path, default=PACK, help="default: the one that ships")
    parser.add_argument("--keep", action="store_true", help="keep what it has of other device classes")
    options = parser.parse_args()
    entries = {entry for path in options.records for entry in recorded(path)}
    here = {entry.where for entry in entries}
    if options.keep and options.output.exists():
        entries |= {entry for entry in read_pack(options.output.read_bytes()) if entry.where not in here}
    data = written(tuple(entries), {"format": "tunefleet-starter-pack", "version": 1})
    options.output.write_bytes(data)
    for where in sorted({entry.where for entry in entries}):
        of_it = [entry for entry in entries if entry.where == where]
        kinds = {entry.sketch.does for entry in of_it}
        print(f"{where}: {len(of_it)} schedules of {len(kinds)} kinds of kernels")
    print(f"{options.output}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
