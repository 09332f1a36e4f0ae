"""Models compiled to see whether they are right, not to be fast."""

from __future__ import annotations

import json

from workers.clients import EngineClient
from workers.messages import PreparedModel, RecordChoice
from workers.models import compare, random_inputs, run_reference


def unhurried(target: str) -> str:
    """Return a target for which LLVM optimizes nothing: that is most of what compiling takes."""
    if target.startswith("{"):
        return json.dumps({**json.loads(target), "opt-level": 0})
    return f"{target} -opt-level=0"


def disagreement(engine: EngineClient, model: PreparedModel, target: str) -> str:
    """Say how what a model computes here, without any schedule, differs from onnxruntime's outputs.

    Returns
    -------
    str
        Empty where it doesn't.
    """
    target = unhurried(target)
    compiled = engine.compile(model, target, RecordChoice("untuned", lend=False)).result()
    inputs = random_inputs(model.inputs, 3)
    ran = engine.run(compiled, inputs, target)
    found = compare(ran.outputs, run_reference(model.onnx, inputs, threads=1))
    return "" if found.ok else str(found.reason or "the outputs differ")
