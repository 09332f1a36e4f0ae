"""What libraries and onnxruntime take while other processes keep cores busy, as they do on most machines.

Each is in a process of its own, as in a program that uses it, with TVM's runtime as it comes; they have
moments in turns, with a pause after each, in which threads that look for work give up. First they have the
machine for themselves, then there is a process on the last core that never rests, then one on each of the
last two, and so on to `--busy`::

    tunefleet build model.onnx -o model.so
    python -m benchmarks.beside_others model.onnx model.so another.so --busy 1
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.contenders import library, onnxruntime, turns_of
from benchmarks.model_zoo import located
from workers.models import prepare, random_inputs

__all__ = ["busy", "main"]

_NEVER_RESTS = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep so many of the last cores busy meanwhile."""
    cores = sorted(os.sched_getaffinity(0))
    started = [
        subprocess.Popen([sys.executable, "-c", _NEVER_RESTS, str(core)])
        for core in cores[len(cores) - count :]
    ]
    try:
        yield
    finally:
        for one in started:
            one.kill()
            one.wait()


def main() -> None:
    """Time all, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", help="a file, or the name of one of the zoo's")
    parser.add_argument("libraries", nargs="*", help="with their weights inside")
    parser.add_argument("--busy", type=int, default=1, help="cores that others keep busy, at most")
    parser.add_argument("--turns", type=int, default=20)
    options = parser.parse_args()
    path, shapes = located(options.model)
    inputs = random_inputs(prepare(path, shapes).inputs, 1)
    contenders = {"onnxruntime": (onnxruntime, path), **{one: (library, one) for one in options.libraries}}
    print("| busy cores | what | median ms of its turns | quartiles | of onnxruntime's |")
    print("|---" * 5 + "|")
    for count in range(options.busy + 1):
        with busy(count):
            times = turns_of(contenders, inputs, options.turns, None)
        for name, its in times.items():
            low, middle, high = (1e3 * one for one in statistics.quantiles(its, n=4))
            ratio = statistics.median(
                mine / other for mine, other in zip(its, times["onnxruntime"], strict=True)
            )
            print(f"| {count} | {name} | {middle:.2f} | {low:.2f} to {high:.2f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
