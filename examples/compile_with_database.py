"""Compile a model with what ``tunefleet records export`` wrote, with stock TVM alone.

Nothing of tunefleet is imported: this needs TVM as pyproject.toml has it, and nothing else. The folder holds
the model that was tuned, as TVM imported it, and the records as MetaSchedule's JSONDatabase.

    tunefleet records export model.onnx -o database --engine metaschedule --best
    python examples/compile_with_database.py database -o lib.so
    python examples/run_library.py lib.so --random x:1,3,48,192:float32
"""

from __future__ import annotations

import argparse
import os
import sys

import tvm
from tvm import relax
from tvm.ir import IRModule
from tvm.s_tir import meta_schedule as ms
from tvm.target import Target


def main() -> None:
    """Read the command line, compile the model, and say how many of its kernels are tuned."""
    options = _options()
    path = os.path.join(options.folder, "model.json")
    if not os.path.isfile(path):
        sys.exit(f"there is no model.json in {options.folder}; export a model, not a workload")
    database = ms.database.JSONDatabase(work_dir=options.folder, allow_missing=False)
    target = database.get_all_tuning_records()[0].target
    with open(path, encoding="utf-8") as file:
        module = tvm.ir.load_json(file.read())
    # What compile_relax leaves to its caller. The kernels must be those that were tuned.
    with target:
        module = tvm.transform.Sequential(
            [relax.transform.DecomposeOpsForInference(), relax.transform.CanonicalizeBindings()]
        )(module)
    if options.compile_relax:
        library = ms.relax_integration.compile_relax(database, module, target, None, enable_warning=True)
    else:
        library = tvm.compile(with_weights_packed(module, database, target), target=target)
    library.export_library(options.output)


def with_weights_packed(module: IRModule, database: ms.database.Database, target: Target) -> IRModule:
    """Apply the records as compile_relax does, and put the weights into the layout they want here and now.

    Without it each run of the model does so anew.
    """
    lowering = [
        relax.backend.DispatchSampling(),
        relax.backend.DispatchSortScan(),
        relax.transform.LegalizeOps(),
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.FoldConstant(),
        relax.transform.FuseOps(),
        relax.transform.FuseTIR(),
        relax.transform.AttachAttrLayoutFreeBuffers(),
    ]
    with target, database, tvm.transform.PassContext(opt_level=3):
        module = tvm.transform.Sequential(lowering)(module)
        # Made here, for it asks for the target that is in scope when it is made.
        module = relax.transform.MetaScheduleApplyDatabase(enable_warning=True)(module)
        kernels = [func for func in module.functions.values() if isinstance(func, tvm.tirx.PrimFunc)]
        tuned = sum("tirx.is_scheduled" in func.attrs for func in kernels)
        print(f"{tuned} of {len(kernels)} kernels are tuned")
        packing = [relax.transform.SplitLayoutRewritePreproc(), relax.transform.FoldConstant()]
        return tvm.transform.Sequential(packing)(module)


def _options() -> argparse.Namespace:
    summary, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("folder", help="what `tunefleet records export MODEL.onnx -o FOLDER` wrote")
    parser.add_argument("-o", "--output", required=True, metavar="LIB.so", help="the library to write")
    parser.add_argument(
        "--compile-relax",
        action="store_true",
        help="compile with compile_relax, which lays out the weights anew in each run",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
