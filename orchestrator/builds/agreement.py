"""A library held against onnxruntime before anything is built on it; where it is wrong, at which node."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from orchestrator.builds.fastest import Quiet
from orchestrator.errors import DisagreementError, EngineError
from orchestrator.toolbox import Toolbox
from workers.messages import Array, CompiledModel, PreparedModel, RecordChoice

__all__ = ["SEEDS", "Held", "hold_against", "require_agreement"]

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
        hold_against(tools, model, target, compiled, seed, threads=threads, say=say)


@dataclass(frozen=True)
class Held:
    """What it took (seconds) to hold a library against onnxruntime on one input.

    Attributes
    ----------
    reference_s, judge_s : float
        To have onnxruntime load and run the model, and to compare the outputs.
    run_s, one_s : float
        To hand the library to a process, load it and run it; and of that, its run.
    """

    reference_s: float
    run_s: float
    one_s: float
    judge_s: float


def hold_against(
    tools: Toolbox,
    model: PreparedModel,
    target: str,
    compiled: CompiledModel,
    seed: int,
    *,
    threads: int,
    limit_at: float = math.inf,
    run_limit_s: float = math.inf,
    quiet: Quiet = nullcontext,
    say: Callable[[str], None] = lambda _: None,
) -> Held:
    """Run a library on one random input, and refuse it where its outputs aren't the model's.

    Parameters
    ----------
    limit_at : float, optional
        When all of it is ended, on the monotonic clock; but looking for the node that differs.
    run_limit_s : float, optional
        Seconds after which its run is ended.
    quiet : callable, optional
        Makes a context to run it in.

    Raises
    ------
    DisagreementError
        See :func:`require_agreement`.
    EngineTimeoutError
        Something was ended before it could be judged.
    """
    began = time.monotonic()
    with tools.no_later_than(limit_at):
        inputs, expected = tools.reference_outputs(model, seed, threads)
        ordered = {spec.name: inputs[spec.name] for spec in model.inputs}
        referred = time.monotonic()
        with quiet():
            asked = time.monotonic()
            with tools.no_later_than(asked + run_limit_s):
                run = tools.run(compiled, ordered, target)
            ran = time.monotonic()
        judging = time.monotonic()
        found = tools.judge(model, inputs, run.outputs, expected)
    if not found.ok:
        say(f"looking for the node of {model.name} that differs")
        raise DisagreementError(
            f"the library of {model.name} computes something else than onnxruntime: output "
            f"'{found.worst_name}' {found.reason}{_first_difference(tools, model, target, ordered)}"
        )
    run_s = ran - asked
    return Held(referred - began, run_s, run.first_s or run_s, time.monotonic() - judging)


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
