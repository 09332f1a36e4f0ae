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
import json
import os
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

__all__ = ["busy", "main"]

_NEVER_RESTS = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
_MOMENT_S, _PAUSE_S = 0.4, 0.1


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


class Timed:
    """A library, or a model in onnxruntime, in a process of its own."""

    def __init__(self, path: str) -> None:
        self.name = "onnxruntime" if path.endswith(".onnx") else Path(path).name
        command = [sys.executable, "-m", "benchmarks.beside_others", "--alone", path]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def moment(self) -> float:
        """Return the median seconds of a run, over a moment."""
        assert self._process.stdin is not None
        print(_MOMENT_S, file=self._process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} can't be run: see above")
        return line

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Time all, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", help="an ONNX file with shapes of its own")
    parser.add_argument("libraries", nargs="*", help="with their weights inside")
    parser.add_argument("--busy", type=int, default=1, help="cores that others keep busy, at most")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        _in_moments(_of_onnxruntime(options.model) if options.model.endswith(".onnx") else _of(options.model))
        return
    print("| busy cores | what | median ms of its moments | quartiles | of onnxruntime's |")
    print("|---" * 5 + "|")
    for count in range(options.busy + 1):
        all_ = [Timed(path) for path in (options.model, *options.libraries)]
        times: list[list[float]] = [[] for _ in all_]
        with busy(count):
            for _ in range(options.turns):
                for one, its in zip(all_, times, strict=True):
                    its.append(1e3 * one.moment())
                    time.sleep(_PAUSE_S)
        for one, its in zip(all_, times, strict=True):
            one.close()
            low, middle, high = statistics.quantiles(its, n=4)
            ratio = statistics.median(mine / other for mine, other in zip(its, times[0], strict=True))
            print(
                f"| {count} | {one.name} | {middle:.2f} | {low:.2f} to {high:.2f} | {ratio:.2f} |", flush=True
            )


def _in_moments(run: Callable[[], object]) -> None:
    for _ in range(5):
        run()
    print("ready", flush=True)
    for line in sys.stdin:
        run()
        ends = time.perf_counter() + float(line)
        times: list[float] = []
        while not times or time.perf_counter() < ends:
            began = time.perf_counter()
            run()
            times.append(time.perf_counter() - began)
        print(statistics.median(times), flush=True)


def _of(path: str) -> Callable[[], object]:
    import tvm
    from tvm.runtime.vm import VirtualMachine

    with zipfile.ZipFile(path) as archive:
        label = json.loads(archive.read("tunefleet.json"))
    random = np.random.default_rng(0)
    values = [random.uniform(-1, 1, one["shape"]).astype(one["dtype"]) for one in label["inputs"]]
    machine = VirtualMachine(tvm.runtime.load_module(os.path.abspath(path)), tvm.cpu())
    inputs = [tvm.runtime.tensor(value) for value in values]
    return lambda: machine["main"](*inputs)


def _of_onnxruntime(path: str) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    inputs = {one.name: random.uniform(-1, 1, one.shape).astype(np.float32) for one in session.get_inputs()}
    return lambda: session.run(None, inputs)


if __name__ == "__main__":
    main()
