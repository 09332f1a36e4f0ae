"""Stock MetaSchedule of apache-tvm as its users run it, in a process that may be killed at any time.

What runs is TVM's ``static_shape_tuning`` pipeline with ``cpu_weight_prepack=True``, which its docstring
recommends on CPUs: the passes of its first half, ``tune_relax`` on what they make, and with the database that
came of it the whole pipeline, with no trials. It can't be run in one go, for it offers no way to give the
builder more than its 30 s: each worker process of each batch imports all tensor intrinsics first, and where
that takes longer, every build fails. Here it gets 900 s. All else are TVM's defaults: 64 trials an iteration,
the gradient scheduler, a builder for each core, the evaluator's settings, XGBoost. The weights are constants
of the model, so that TVM may fold them.

Not to be called by people: :mod:`benchmarks.budget` and :mod:`benchmarks.curve` do.
"""

from __future__ import annotations

import io
import json
import pathlib
import shutil
import sys
import tempfile
import time
from typing import Any

#: Seconds a build may take; with TVM's own 30 nothing succeeds on a slow machine.
BUILD_SECONDS = 900
#: TVM's own name for its trials an iteration; ``tune_relax`` has it from the start to the end.
PER_ITERATION = 64
#: The files of a JSONDatabase.
WORKLOADS, RECORDS = "database_workload.json", "database_tuning_record.json"
#: When each candidate had been measured, in seconds since 1970, and whether it succeeded.
MEASURED = "measured.jsonl"
# More than any machine measures before it is stopped.
_NO_LIMIT = 1_000_000


def tune(folder: pathlib.Path) -> None:
    """Tune until killed; the records are in `folder`, as TVM writes them."""
    from tvm import relax, transform
    from tvm.s_tir import meta_schedule as ms

    request, module, target = _read(folder)
    # What static_shape_tuning_pipeline does before it tunes.
    passes = [
        relax.transform.DecomposeOpsForInference(),
        relax.transform.CanonicalizeBindings(),
        relax.get_pipeline("zero"),
        relax.transform.AttachAttrLayoutFreeBuffers(),
    ]
    with target:
        module = transform.Sequential(passes)(module)
    ms.relax_integration.tune_relax(
        module,
        params={},
        target=target,
        work_dir=str(folder),
        max_trials_global=_NO_LIMIT,
        num_trials_per_iter=request["per_iteration"],
        builder=ms.builder.LocalBuilder(timeout_sec=BUILD_SECONDS),
        runner=_noting(folder / MEASURED),
        seed=request["seed"],
    )


def _noting(path: pathlib.Path) -> Any:
    """Return TVM's own runner, which notes in a file when it is done with each candidate.

    The scheduler writes no record before every task has had an iteration, and of a task that it doesn't come
    back to, none at all; what was measured by then counts in its favour where rates are compared.
    """
    from tvm.ir.utils import derived_object
    from tvm.s_tir import meta_schedule as ms

    @derived_object
    class Noting(ms.runner.PyRunner):  # type: ignore[misc]
        def __init__(self) -> None:
            self.local = ms.runner.LocalRunner()

        def run(self, runner_inputs: list[Any]) -> list[Any]:
            futures = []
            for each in runner_inputs:
                futures += self.local.run([each])  # which measures them one by one in any case
                with path.open("a") as file:
                    json.dump([time.time(), futures[-1].result().error_msg is None], file)
                    file.write("\n")
            return futures

    return Noting()


def build(folder: pathlib.Path, wanted: dict[str, int]) -> None:
    """Compile the model with the first records of its database.

    Parameters
    ----------
    wanted : dict of str to int
        How many records, by the path of the library; the weights, as the library packs them, are written
        beside it (``.npz``, ``p0`` and so on, the arguments that follow the inputs).
    """
    import numpy as np
    import tvm

    # A trace may name tensor intrinsics; who tuned in this process has them all.
    import tvm.s_tir.tensor_intrin
    from tvm import relax

    _, module, target = _read(folder)
    lines = (folder / RECORDS).read_text().splitlines(keepends=True) if (folder / RECORDS).exists() else []
    for path, count in wanted.items():
        with tempfile.TemporaryDirectory(prefix="tf-stock-") as database:
            if count:
                shutil.copy(folder / WORKLOADS, database)
                pathlib.Path(database, RECORDS).write_text("".join(lines[:count]))
            pipeline = relax.get_pipeline(
                "static_shape_tuning",
                total_trials=0,
                target=target,
                work_dir=database,
                cpu_weight_prepack=True,
            )
            with target:
                executable = tvm.compile(pipeline(module), target=target)
        part = f"{path}.part.so"
        executable.export_library(part)
        machine = relax.VirtualMachine(tvm.runtime.load_module(part), tvm.cpu())
        weights = machine["main_transform_params"]([])
        buffer = io.BytesIO()
        np.savez(buffer, **{f"p{i}": weight.numpy() for i, weight in enumerate(weights)})
        pathlib.Path(path).with_suffix(".npz").write_bytes(buffer.getvalue())
        # Under its name only when whole, so that who goes on after a crash can tell.
        pathlib.Path(part).rename(path)
        print(path, flush=True)


def _read(folder: pathlib.Path) -> tuple[dict[str, Any], Any, Any]:
    import onnx
    from tvm.relax.frontend.onnx import from_onnx
    from tvm.target import Target

    request = json.loads((folder / "request.json").read_text())
    module = from_onnx(onnx.load(folder / "prepared.onnx"), keep_params_in_input=False)
    return request, module, Target(json.loads(request["target"]))


def good(line: str) -> bool:
    """Say whether a line of a JSONDatabase's records is of a candidate that was measured."""
    try:
        seconds = json.loads(line)[1][1]
    except (ValueError, IndexError, TypeError):
        return False  # what was being written when the process was killed
    # A failed candidate is recorded with 1e10 s.
    return bool(seconds) and max(float(s) for s in seconds) < 1e9


if __name__ == "__main__":
    if sys.argv[1] == "tune":
        tune(pathlib.Path(sys.argv[2]))
    else:
        build(pathlib.Path(sys.argv[2]), json.load(sys.stdin))
