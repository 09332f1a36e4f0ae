"""Where the seconds go from a file to a library, by phase; and how much memory each process took.

::

    python -m benchmarks.prepare bert_base vit_b16          # made with random weights, kept in --folder
    python -m benchmarks.prepare densenet121 --build
    python -m benchmarks.prepare path/to/model.onnx --shape input_ids:1,128 --build

Preparing is done in this process, timed alone and then once more under a profiler, for the phases; with
``--build`` the same model goes through a toolbox as ``tunefleet build`` has it: prepare, extract, compile
untuned, run, compare.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pathlib
import pstats
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.large_models import MAKERS, make
from orchestrator import Toolbox
from workers.messages import RecordChoice
from workers.models import parse_input_shape, prepare

#: Seconds within each of them, all its calls together; by module and name.
PHASES = {
    "read and hash": ("_files", "read_model"),
    "check": ("_refuse", "check_valid"),
    "run the original": ("_verify", "__init__"),
    "slim": ("_slim", "slim"),
    "rewrite": ("apply", "rewrite"),
    "compare": ("_verify", "difference"),
    "put the weights": ("_settle", "settle"),
}


def prepared_in_phases(path: pathlib.Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, float]:
    """Prepare a model here, and return the seconds of each phase and of the whole.

    A profiler adds seconds to a model of many nodes, so that the whole is that of a run without it; the
    phases are those of a second one.
    """
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        started = time.perf_counter()
        prepare(path, shapes, folder)
        total = time.perf_counter() - started
    profile = cProfile.Profile()
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        profile.runcall(prepare, path, shapes, folder)
    spent = {
        (pathlib.Path(file).stem, name): row[3]
        for (file, _, name), row in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    }
    return {**{phase: spent.get(place, 0.0) for phase, place in PHASES.items()}, "prepare": total}


def built_in_phases(path: pathlib.Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, float]:
    """Prepare, extract, compile, run and compare a model by way of a toolbox."""
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(phase: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        seconds[phase] = time.perf_counter() - started

    with Toolbox("metaschedule") as tools:
        device = tools.resolve_target("auto")
        with timed("prepare, in its process"):
            model = tools.prepare(str(path), shapes)
        with timed("extract"):
            tasks = tools.extract(model, device.target).tasks
        with timed("compile"):
            compiled = tools.compile(model, device.target, RecordChoice("untuned")).result()
        with timed("reference"):
            inputs, expected = tools.reference_outputs(model, 1, device.cores)
        ordered = {spec.name: inputs[spec.name] for spec in model.inputs}
        with timed("run"):
            outputs = tools.run(compiled, ordered, device.target).outputs
        with timed("judge"):
            found = tools.judge(model, inputs, outputs, expected)
        with timed("check with the file"):
            named = {spec.name: value for spec, value in zip(model.outputs, outputs, strict=True)}
            tools.check_original(str(path), inputs, named, device.cores)
    print(f"{len(tasks)} tasks; library {len(compiled.library) / 2**20:.0f} MiB; agrees: {found.ok}")
    return seconds


def main() -> None:
    """Print a table, and a line of JSON for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+", help=f"files, or {', '.join(MAKERS)}")
    parser.add_argument("--shape", action="append", default=[], help="NAME:SIZE,SIZE,...")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/tunefleet-large-models"))
    parser.add_argument("--build", action="store_true", help="compile and run it as well")
    options = parser.parse_args()
    shapes = dict(map(parse_input_shape, options.shape))
    for name in options.models:
        path = make(name, options.folder) if name in MAKERS else pathlib.Path(name)
        seconds = prepared_in_phases(path, shapes)
        if options.build:
            seconds |= built_in_phases(path, shapes)
        print(f"\n{name}")
        for phase, spent in seconds.items():
            print(f"  {phase:24} {spent:8.2f} s")
        own, children = (
            resource.getrusage(who).ru_maxrss / 2**20
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        print(f"  {'largest process':24} {max(own, children):8.2f} GiB, mapped files included")
        print(json.dumps({"model": name, **{key: round(value, 3) for key, value in seconds.items()}}))


if __name__ == "__main__":
    main()
