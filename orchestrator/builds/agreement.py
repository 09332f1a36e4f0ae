"""A library held against onnxruntime before anything is built on it; where it is wrong, at which node."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace

from orchestrator.builds.fastest import Quiet
from orchestrator.builds.wrong_outputs import faults_of
from orchestrator.errors import DisagreementError, EngineError
from orchestrator.toolbox import Toolbox
from workers.messages import Array, CompiledModel, PreparedModel, RecordChoice

__all__ = ["SEEDS", "Held", "agreeing", "hold_against", "require_agreement", "without_lent"]

#: Seeds of the inputs that are tried; another than the comparison's at the end of a campaign.
SEEDS = (2, 3)


def require_agreement(
    tools: Toolbox,
    model: PreparedModel,
    target: str,
    compiled: CompiledModel,
    *,
    threads: int,
    explain: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Run a library on random inputs, and refuse it where its outputs aren't the model's.

    Parameters
    ----------
    explain : bool, optional
        Look for the node that differs first.

    Raises
    ------
    DisagreementError
        Naming the output, the difference, and the first node that differs, as far as it can be found.
    """
    say(f"checking what {model.name} computes against onnxruntime")
    for seed in SEEDS:
        hold_against(tools, model, target, compiled, seed, threads=threads, explain=explain, say=say)


def agreeing(
    tools: Toolbox,
    model: PreparedModel,
    target: str,
    compiled: CompiledModel,
    plan: RecordChoice,
    *,
    threads: int,
    params_beside: bool = False,
    explain: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> CompiledModel:
    """Return a library whose outputs are the model's: the one given, or the same without what is wrong in it.

    What is lent was never run for these kernels, and is not to keep a model from being built. Which schedules
    are at fault is found by building with parts of them; where that doesn't tell, none is lent.

    Parameters
    ----------
    plan : RecordChoice
        What it was compiled with.
    explain : bool, optional
        See :func:`require_agreement`.

    Raises
    ------
    DisagreementError
        See :func:`require_agreement`.
    """

    def agrees(made: CompiledModel) -> bool:
        try:
            require_agreement(tools, model, target, made, threads=threads, explain=False, say=say)
        except DisagreementError:
            return False
        return True

    def lending(some: Collection[str]) -> CompiledModel:
        """Return the library with these schedules alone lent."""
        say(f"looking for the lent schedule that is wrong: compiling with {len(some)} of them")
        choice = replace(plan, unlent=plan.unlent | (set(compiled.lent) - set(some)))
        return tools.compile(model, target, choice, params_beside=params_beside).result()

    if not compiled.lent:
        require_agreement(tools, model, target, compiled, threads=threads, explain=explain, say=say)
        return compiled
    if agrees(compiled):
        return compiled
    plain = without_lent(tools, model, target, plan, params_beside=params_beside, say=say)
    require_agreement(tools, model, target, plain, threads=threads, explain=explain, say=say)
    wrong = faults_of(list(compiled.lent), lambda some: agrees(lending(some)))
    right = set(compiled.lent) - set(wrong)
    if wrong and right:
        found = lending(right)
        return found if agrees(found) else plain
    return plain


def without_lent(
    tools: Toolbox,
    model: PreparedModel,
    target: str,
    plan: RecordChoice,
    *,
    params_beside: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> CompiledModel:
    """Compile a model again, with no schedule that was measured for other kernels."""
    say(f"a schedule lent to {model.name} computes something else; compiling it without any")
    plain = replace(plan, lend=False)
    return tools.compile(model, target, plain, params_beside=params_beside).result()


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
    explain: bool = True,
    limit_at: float = math.inf,
    run_limit_s: float = math.inf,
    quiet: Quiet = nullcontext,
    say: Callable[[str], None] = lambda _: None,
) -> Held:
    """Run a library on one random input, and refuse it where its outputs aren't the model's.

    Parameters
    ----------
    explain : bool, optional
        See :func:`require_agreement`.
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
        where = ""
        if explain:
            say(f"looking for the node of {model.name} that differs")
            where = _first_difference(tools, model, target, ordered)
        raise DisagreementError(
            f"the library of {model.name} computes something else than onnxruntime: output "
            f"'{found.worst_name}' {found.reason}{where}"
        )
    run_s = ran - asked
    return Held(referred - began, run_s, run.first_s or run_s, time.monotonic() - judging)


def _first_difference(tools: Toolbox, model: PreparedModel, target: str, inputs: Mapping[str, Array]) -> str:
    """Say where the two part: the model once more, with all it computes on the way as its outputs."""
    exposed = tools.expose(model)
    try:
        compiled = tools.compile(exposed, target, RecordChoice("untuned", lend=False)).result()
        outputs = tools.run(compiled, inputs, target).outputs
    except EngineError as error:
        return f"; the node at fault was not found ({str(error).splitlines()[0]})"
    expected = tools.reference_run(exposed, inputs, 1)
    rtol, steps = tools.tolerance(model), tools.output_steps(exposed)
    for spec, got, want, step in zip(exposed.outputs, outputs, expected, steps, strict=True):
        found = tools.compare(spec, got, want, rtol, step)
        if not found.ok:
            return f"; the first that differs is {tools.maker_of(model, spec.name)}: {found.reason}"
    return "; without records every node agrees, so that a record is at fault"
