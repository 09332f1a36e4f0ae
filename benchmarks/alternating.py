"""What alternating moments bring: a library and onnxruntime by them, and one after the other, in turns.

In each turn both are timed once in moments that alternate, as ``bench`` does it, and once for a second each,
one after the other; what counts is how far the turns of either way are apart::

    tunefleet build model.onnx -o model.so
    python -m benchmarks.alternating model.onnx model.so --turns 5
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
from functools import partial

from benchmarks.model_zoo import located
from orchestrator import Toolbox
from orchestrator.builds.duet import duet, paired_ratio
from workers.messages import CompiledModel

__all__ = ["main"]

_REPEATS, _SETTLE_S, _LEAST_S = 5, 2.0, 1.0


def main() -> None:
    """Time both ways in turns, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", help="a file, or the name of one of the zoo's")
    parser.add_argument("library", type=pathlib.Path, help="its library, with its weights inside")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    path, shapes = located(options.model)
    library = CompiledModel(options.library.read_bytes(), None, (), ())
    names = ("tuned ms", "onnxruntime ms", "ratio")
    print(f"| turn | alternating: {' | '.join(names)} | one after the other: {' | '.join(names)} |")
    print("|---" * 7 + "|")
    with Toolbox("metaschedule") as tools:
        device = tools.resolve_target("auto")
        model = tools.prepare(path, shapes)
        inputs = tools.random_inputs(model.inputs, 1)
        ordered = {spec.name: inputs[spec.name] for spec in model.inputs}
        ours = (library, ordered, device.target, _REPEATS)
        theirs = (model, inputs, device.cores, _REPEATS)
        for turn in range(options.turns):
            begin_ours = partial(tools.begin_run, *ours, settle_s=_SETTLE_S, least_s=_LEAST_S)
            begin_theirs = partial(
                tools.begin_reference_timing, *theirs, settle_s=_SETTLE_S, least_s=_LEAST_S
            )
            run, beside = duet(tools, begin_ours, begin_theirs)
            alone = tools.run(*ours, settle_s=_SETTLE_S, least_s=_LEAST_S)
            after = tools.reference_timing(*theirs, settle_s=_SETTLE_S, least_s=_LEAST_S)
            medians = [statistics.median(one.times) for one in (run, beside, alone, after)]
            ratio = paired_ratio(run.warm_up, beside.warm_up) or medians[0] / medians[1]
            row = (*(f"{1e3 * one:.2f}" for one in medians[:2]), f"{ratio:.3f}")
            row += (*(f"{1e3 * one:.2f}" for one in medians[2:]), f"{medians[2] / medians[3]:.3f}")
            print(f"| {turn + 1} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
