"""Plans timed against each other: each compiled, run in turns, and the fastest kept."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TypeAlias

from orchestrator.builds.pace import REPEATS, SIDE_SECONDS
from orchestrator.errors import EngineError
from orchestrator.models.extraction import ExtractedModel
from orchestrator.toolbox import Toolbox
from workers.messages import CompiledModel, Endpoint, RecordChoice

__all__ = ["Chosen", "Quiet", "fastest_of"]

_TURNS = 3

Quiet: TypeAlias = Callable[[], AbstractContextManager[None]]
"""Makes a context within which nothing else uses this machine's cores."""


@dataclass(frozen=True)
class Chosen:
    """The plan whose records are applied, and what it was compared with.

    Attributes
    ----------
    compiled, untuned : CompiledModel or None
        The model compiled after it, and without any record, where they were compiled to be timed.
    times_s : dict of str to float
        Median seconds of one inference after each plan, by its name; empty where there was nothing to choose
        or this machine can't run it.
    why : str
        One sentence for people.
    """

    plan: RecordChoice
    why: str
    compiled: CompiledModel | None = None
    untuned: CompiledModel | None = None
    times_s: dict[str, float] = field(default_factory=dict)


def fastest_of(
    tools: Toolbox,
    model: ExtractedModel,
    plans: Sequence[RecordChoice],
    say: Callable[[str], None],
    quiet: Quiet = nullcontext,
    endpoint: Endpoint | None = None,
) -> Chosen:
    """Compile a model after each of several plans, time the libraries in turns, and keep the fastest.

    A plan that does not compile is passed over, and named in what is said of the choice.

    Raises
    ------
    EngineError
        None of them compiles.
    """
    prepared, device = model.prepared, model.device
    say(f"compiling {prepared.name} after {len(plans)} plans")
    builds = [tools.compile(prepared, device.target, plan) for plan in plans]
    compiled: list[CompiledModel] = []
    refused: dict[str, EngineError] = {}
    for plan, build in zip(plans, builds, strict=True):
        try:
            compiled.append(build.result())
        except EngineError as error:  # what one plan asks for may not compile: the others may
            refused[plan.name] = error
    if not compiled:
        raise next(iter(refused.values()))
    plans = tuple(plan for plan in plans if plan.name not in refused)
    inputs, _ = tools.reference_outputs(prepared, 1, device.cores)
    ordered = {spec.name: inputs[spec.name] for spec in prepared.inputs}
    times: dict[str, list[float]] = {plan.name: [] for plan in plans}
    with quiet():
        for turn in range(_TURNS):
            say(f"timing the plans, turn {turn + 1} of {_TURNS}")
            for plan, library in zip(plans, compiled, strict=True):
                run = tools.run(
                    library,
                    ordered,
                    device.target,
                    repeats=REPEATS,
                    endpoint=endpoint,
                    settle_s=2 * SIDE_SECONDS,
                    least_s=SIDE_SECONDS,
                )
                times[plan.name].append(statistics.median(run.times))
    middle = {name: statistics.median(values) for name, values in times.items()}
    kept = min(range(len(plans)), key=lambda i: middle[plans[i].name])
    others = ", ".join(
        f"{plan.name} {middle[plan.name] * 1e3:.3g} ms" for plan in plans if plan is not plans[kept]
    )
    name = plans[kept].name
    why = f"{name}: {middle[name] * 1e3:.3g} ms, measured in turns with {others or 'nothing else'}"
    for failed, reason in refused.items():
        why += f"; {failed} did not compile: {str(reason).splitlines()[0]}"
    untuned = next(
        (c for p, c in zip(plans, compiled, strict=True) if not p.records and not p.sequence), None
    )
    return Chosen(plans[kept], why, compiled[kept], untuned, middle)
