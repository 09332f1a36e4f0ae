"""Run without any of this project: a JSONDatabase as stock MetaSchedule writes and reads it.

stock_metaschedule.py tune MODEL FOLDER TARGET [packed]   tunes all kernels of a model, two candidates each
stock_metaschedule.py read MODEL FOLDER TARGET            what stock finds for each kernel, as JSON lines

With ``packed`` the kernels say which of their arguments are constants, as the pipeline that packs weights
ahead has them.
"""

import inspect
import json
import sys
import tempfile
from types import FrameType
from typing import Any

import onnx
import tvm
from tvm import relax
from tvm.ir.utils import derived_object
from tvm.relax.frontend.onnx import from_onnx
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.transform import RemoveWeightLayoutRewriteBlock


def lowered(path: str, target: Any, packed: bool = False) -> Any:
    if path.endswith(".json"):
        with open(path, encoding="utf-8") as file:
            module = tvm.ir.load_json(file.read())
    else:
        module = from_onnx(onnx.load(path), keep_params_in_input=False)
    passes = [
        relax.transform.DecomposeOpsForInference(),
        relax.transform.CanonicalizeBindings(),
        relax.transform.LegalizeOps(),
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.FoldConstant(),
        relax.transform.FuseOps(),
        relax.transform.FuseTIR(),
    ]
    if packed:
        passes.append(relax.transform.AttachAttrLayoutFreeBuffers())
    with target, tvm.transform.PassContext(opt_level=3):
        return tvm.transform.Sequential(passes)(module)


@derived_object
class EverySecondFails(ms.builder.PyBuilder):  # type: ignore[misc]
    """Builds in this process, for LocalBuilder starts others, which import for a minute."""

    def build(self, inputs: Any) -> list[Any]:
        results = []
        for number, wanted in enumerate(inputs):
            if number % 2:
                results.append(ms.builder.BuilderResult(None, "it was to fail"))
                continue
            path = tempfile.mkdtemp() + "/candidate.so"
            module = RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(wanted.mod)
            tvm.compile(module, target=wanted.target).export_library(path)
            results.append(ms.builder.BuilderResult(path, None))
        return results


def tune(path: str, folder: str, spec: str, *packed: str) -> None:
    # TuneContext imports all tensor intrinsics, each of which asks for inspect.stack() with its source lines:
    # a minute in all, and seconds without them.
    inspect.getouterframes = lambda frame, context=1: frames(frame)
    target = tvm.target.Target(json.loads(spec))
    ms.relax_integration.tune_relax(
        mod=lowered(path, target, bool(packed)),
        params={},
        target=target,
        work_dir=folder,
        max_trials_global=6,
        max_trials_per_task=2,
        num_trials_per_iter=2,
        builder=EverySecondFails(),
        runner=ms.runner.LocalRunner(
            timeout_sec=60, evaluator_config=ms.runner.EvaluatorConfig(number=1, repeat=2, min_repeat_ms=1)
        ),
        strategy=ms.search_strategy.EvolutionarySearch(population_size=32, genetic_num_iters=1),
        cost_model="random",
        seed=1,
    )


def frames(frame: FrameType | None) -> list[inspect.FrameInfo]:
    found = []
    while frame is not None:
        code = frame.f_code
        found.append(inspect.FrameInfo(frame, code.co_filename, frame.f_lineno, code.co_name, None, None))
        frame = frame.f_back
    return found


def read(path: str, folder: str, spec: str) -> None:
    target = tvm.target.Target(json.loads(spec))
    database = ms.database.JSONDatabase(work_dir=folder, allow_missing=False)
    normalized = tvm.get_global_func("tvm.s_tir.meta_schedule.normalize_mod")
    for packed in (False, True):
        for var, func in lowered(path, target, packed).functions.items():
            if not isinstance(func, tvm.tirx.PrimFunc):
                continue
            record = database.query_tuning_record(normalized(func), target, var.name_hint)
            found = {"kernel": var.name_hint, "packed": packed, "seconds": None}
            if record is not None:
                # A search that goes on from a database does this: it finds blocks by the model's own names.
                record.trace.apply_to_schedule(Schedule(func), remove_postproc=False)
                found["seconds"] = [float(value) for value in record.run_secs]
            sys.stdout.write(json.dumps(found) + "\n")


COMMANDS: dict[str, Any] = {"tune": tune, "read": read}
COMMANDS[sys.argv[1]](*sys.argv[2:])
