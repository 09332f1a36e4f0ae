"""A library held against onnxruntime before anything is built on it; where it is wrong, at which node."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.errors import DisagreementError, EngineError
from orchestrator.toolbox import Toolbox
from workers.messages import Array, CompiledModel, PreparedModel, RecordChoice

__all__ = ["require_agreement"]

#: Seeds of the inputs that are tried; another than the comparison's at the end of a campaign.
SEEDS = (2, 3)


def require_agreement(
    tools: Toolbox,
    model: PreparedModel,
    target: str,
    compiled: CompiledModel,
    *,
    threads: int,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Run a library on random inputs, and refuse it where its outputs aren't the model's.

    Raises
    ------
    DisagreementError
        Naming the output, the difference, and the first node that differs, as far as it can be found.
    """
    say(f"checking what {model.name} computes against onnxruntime")
    for seed in SEEDS:
        inputs, expected = tools.reference_outputs(model, seed, threads)
        ordered = {spec.name: inputs[spec.name] for spec in model.inputs}
        outputs = tools.run(compiled, ordered, target).outputs
        found = tools.judge(model, inputs, outputs, expected)
        if not found.ok:
            say(f"looking for the node of {model.name} that differs")
            raise DisagreementError(
                f"the library of {model.name} computes something else than onnxruntime: output "
                f"'{found.worst_name}' {found.reason}{_first_difference(tools, model, target, ordered)}"
            )


def _first_difference(tools: Toolbox, model: PreparedModel, target: str, inputs: Mapping[str, Array]) -> str:
    """Say where the two part: the model once more, with all it computes on the way as its outputs."""
    exposed = tools.expose(model)
    try:
        compiled = tools.compile(exposed, target, RecordChoice("untuned")).result()
        outputs = tools.run(compiled, inputs, target).outputs
    except EngineError as error:
        return f"; the node at fault was not found ({str(error).splitlines()[0]})"
    expected = tools.reference_run(exposed, inputs, 1)
    rtol = tools.tolerance(model)
    for spec, got, want in zip(exposed.outputs, outputs, expected, strict=True):
        found = tools.compare(spec, got, want, rtol)
        if not found.ok:
            return f"; the first that differs is {tools.maker_of(model, spec.name)}: {found.reason}"
    return "; without records every node agrees, so that a record is at fault"
