"""What a process is like in which a library takes longer or less long than in another.

A built library is run in fresh processes, in turns in each of the ``--ways``, and what may differ is noted
beside each: page faults, involuntary switches, cores used, by this process and by others, and where its
threads were last. ``--units`` runs two loops instead, one of independent multiplications and one of dependent
ones: the first tells whether somebody else uses the core's units, the second what its clock is::

    tunefleet build model.onnx -o model.so
    python -m benchmarks.states model.so --ways plain huge-pages unbound
    python -m benchmarks.states model.so --units
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.builds import read_label
from orchestrator.builds.others import Others
from workers.enginekit.machine import usable_cores

__all__ = ["WAYS", "Process", "main", "table"]

#: What is different in the environment of a process.
WAYS = {
    "plain": {},
    "huge-pages": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
    "unbound": {"TVM_BIND_THREADS": "0"},
}
_WINDOWS = 12
_LOOPS = """
#include <immintrin.h>
#include <stdio.h>
#include <time.h>
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}
int main(void) {
  const __m256 x = _mm256_set1_ps(0.999999f), y = _mm256_set1_ps(1e-6f);
  for (double end = now() + SECONDS; now() < end;) {
    __m256 a[10];
    for (int i = 0; i < 10; i++) a[i] = _mm256_set1_ps(1.0f + i);
    double began = now();
    for (long k = 0; k < 400000; k++)
      for (int i = 0; i < 10; i++) {
        a[i] = _mm256_fmadd_ps(a[i], x, y);
        __asm__ volatile("" : "+x"(a[i]));
      }
    double independent = (now() - began) / 4e6;
    began = now();
    for (long k = 0; k < 400000; k++) {
      a[0] = _mm256_fmadd_ps(a[0], x, y);
      __asm__ volatile("" : "+x"(a[0]));
    }
    printf("[%.4f, %.4f]\\n", independent * 1e9, (now() - began) / 4e5 * 1e9);
    const struct timespec pause = {0, 100000000};
    nanosleep(&pause, 0);
  }
}
"""


@dataclass(frozen=True)
class Process:
    """What one process was like.

    Attributes
    ----------
    first_s : float
        Its first run.
    windows_s : tuple of float
        Median seconds of a run in each twelfth of the time.
    faults : int
        Page faults after the first run.
    switches : float
        Involuntary context switches a second.
    cores, others : float
        Cores that this process and others used, on average.
    last_on : tuple of int
        Core on which each thread was last.
    """

    way: str
    first_s: float
    windows_s: tuple[float, ...]
    faults: int
    switches: float
    cores: float
    others: float
    last_on: tuple[int, ...]


def run(library: str, seconds: float, way: str) -> Process:
    """Run a library in this process."""
    label = read_label(pathlib.Path(library))
    os.environ["TVM_NUM_THREADS"] = str(usable_cores())
    import numpy as np
    import tvm
    from tvm import relax

    machine = relax.VirtualMachine(tvm.runtime.load_module(library), tvm.cpu())
    drawn = np.random.default_rng(1)
    values = [tvm.runtime.tensor(drawn.random(spec.shape).astype(spec.dtype)) for spec in label.inputs]
    began = time.perf_counter()
    machine["main"](*values)
    first_s = time.perf_counter() - began
    others, before = Others(), resource.getrusage(resource.RUSAGE_SELF)
    times: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < _WINDOWS:
        start = time.perf_counter()
        machine["main"](*values)
        times.append(time.perf_counter() - start)
    passed = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    parts = [times[i * len(times) // _WINDOWS : (i + 1) * len(times) // _WINDOWS] for i in range(_WINDOWS)]
    return Process(
        way,
        first_s,
        tuple(statistics.median(part) for part in parts),
        after.ru_minflt - before.ru_minflt,
        (after.ru_nivcsw - before.ru_nivcsw) / passed,
        used / passed,
        others.cores(),
        tuple(_last_on()),
    )


def _last_on() -> list[int]:
    """Return the cores on which this process's threads that did anything were last."""
    found = []
    for task in pathlib.Path("/proc/self/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        if int(fields[11]):  # it had time of its own
            found.append(int(fields[36]))
    return found


def units(seconds: float) -> list[tuple[float, float]]:
    """Return what a multiplication takes in both loops, in nanoseconds, ten times a second."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = pathlib.Path(folder, "loops.c"), pathlib.Path(folder, "loops")
        source.write_text(_LOOPS)
        flags = ["-O2", "-mavx2", "-mfma", f"-DSECONDS={seconds}"]
        subprocess.run(["cc", *flags, "-o", str(program), str(source)], check=True)
        lines = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    return [tuple(json.loads(line)) for line in lines.splitlines()]


def table(found: Sequence[Process]) -> str:
    """Write them as Markdown, in the order in which they ran."""
    lines = [
        "| way | first ms | then ms, least to most | faults | switches/s | cores | others' cores | last on |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        least, most = min(one.windows_s) * 1e3, max(one.windows_s) * 1e3
        lines.append(
            f"| {one.way} | {one.first_s * 1e3:.1f} | {least:.2f} to {most:.2f} | {one.faults} | "
            f"{one.switches:.0f} | {one.cores:.2f} | {one.others:.2f} | {', '.join(map(str, one.last_on))} |"
        )
    return "\n".join(lines)


def _units_table(found: Sequence[tuple[float, float]]) -> str:
    lines = ["| loop | least ns | quartiles | most |", "|---|---|---|---|"]
    for name, values in zip(("independent", "dependent"), zip(*found, strict=True), strict=True):
        quartiles = ", ".join(f"{value:.3f}" for value in statistics.quantiles(values, n=4))
        lines.append(f"| {name} | {min(values):.3f} | {quartiles} | {max(values):.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Run the library in each way, in turns, or the loops; print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("library", help="what `tunefleet build` wrote for this machine")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["plain"])
    parser.add_argument("--processes", type=int, default=8, help="of each way (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each (%(default)s)")
    parser.add_argument("--units", action="store_true", help="run the two loops instead")
    parser.add_argument("--inside", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(asdict(run(options.library, options.seconds, options.inside))))
        return
    if options.units:
        print(_units_table(units(options.seconds)))
        return
    found = []
    for _ in range(options.processes):
        for way in options.ways:
            command = [sys.executable, "-m", "benchmarks.states", options.library, "--inside", way]
            command += ["--seconds", str(options.seconds)]
            environment = {**os.environ, **WAYS[way]}
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            values: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
            found.append(Process(**values))
    print(table(found))


if __name__ == "__main__":
    main()
