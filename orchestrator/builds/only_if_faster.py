"""A new library timed in turns with the one whose place it is to take."""

from __future__ import annotations

import math
import pathlib
import statistics
from collections.abc import Callable
from functools import partial

from orchestrator.builds.arrays import bytes_of, listed
from orchestrator.builds.duet import duet, paired_ratio
from orchestrator.builds.gate import Change, Held, Side
from orchestrator.builds.intervals import interval_of
from orchestrator.builds.label import read_label
from orchestrator.builds.params import read_params
from orchestrator.errors import UsageError
from orchestrator.toolbox import Toolbox
from workers.messages import CompiledModel, DeviceInfo, PreparedModel

__all__ = ["earlier_library", "held_in_turns"]

# Of nine, the interval leaves out the slowest and the fastest turn: a single slow minute changes nothing.
_TURNS = 9
_TURN_SECONDS = 0.3
_LEAST_REPEATS, _MOST_REPEATS = 3, 200


def earlier_library(
    tools: Toolbox,
    library: pathlib.Path,
    params: pathlib.Path | None,
    model: PreparedModel,
    device: DeviceInfo,
) -> CompiledModel | None:
    """Read the library that a new one is to be faster than; None where there is none yet.

    Parameters
    ----------
    params : path or None
        The weights beside it.

    Raises
    ------
    UsageError
        It is another model's or another engine's, or nothing runs here.
    """
    if device.unfit:
        raise UsageError(
            f"--only-if-faster times the library, and {device.target} can't run here: {device.unfit}"
        )
    if not library.exists():
        return None
    label = read_label(library)
    if label.engine != tools.engine:
        raise UsageError(
            f"{library} is of the engine {label.engine}, and can't be run beside one of {tools.engine}: "
            "name another file, or build without --only-if-faster"
        )
    if (label.inputs, label.outputs) != (model.inputs, model.outputs):
        raise UsageError(
            f"{library} is another model's: it takes {listed(label.inputs)} and returns "
            f"{listed(label.outputs)}; name another file, or build without --only-if-faster"
        )
    there = tools.resolve_target(label.target)
    if there.unfit:
        raise UsageError(f"{library} was built for {label.target}, which can't run here: {there.unfit}")
    if label.params_beside and params is None:
        raise UsageError(f"the weights of {library} are in a file of their own: name it with --params")
    weights, file = read_params(params) if label.params_beside and params is not None else (None, "")
    return CompiledModel(bytes_of(library), weights, (), (), file)


def held_in_turns(
    tools: Toolbox,
    earlier: CompiledModel,
    new: CompiledModel,
    model: PreparedModel,
    device: DeviceInfo,
    say: Callable[[str], None] = lambda _: None,
    called: str = "the new library and the one that is there",
) -> Held:
    """Time two libraries of a model in turns, and say whether the second is the faster one.

    The two of a turn are run in moments that alternate, so it is their ratio that counts, turn by turn.

    Parameters
    ----------
    called : str, optional
        What both are, for people.
    """
    inputs = tools.random_inputs(model.inputs, 1)
    pair = (earlier, new)
    one_s = [statistics.median(tools.run(one, inputs, device.target, repeats=2).times) for one in pair]
    repeats = [
        min(_MOST_REPEATS, max(_LEAST_REPEATS, math.ceil(_TURN_SECONDS / max(each, 1e-9)))) for each in one_s
    ]
    begins = [
        partial(
            tools.begin_run,
            one,
            inputs,
            device.target,
            repeats=count,
            settle_s=2 * _TURN_SECONDS,
            least_s=_TURN_SECONDS,
        )
        for one, count in zip(pair, repeats, strict=True)
    ]
    turns: tuple[list[float], list[float]] = ([], [])
    ratios: list[float] = []
    for turn in range(_TURNS):
        say(f"timing {called}, turn {turn + 1} of {_TURNS}")
        # Who comes first changes from turn to turn: what follows may find the machine warmer.
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        runs = dict(zip(order, duet(tools, begins[order[0]], begins[order[1]]), strict=True))
        for which, run in runs.items():
            turns[which].append(statistics.median(run.times))
        before, after = runs[0], runs[1]
        paired = paired_ratio(after.warm_up, before.warm_up)
        ratios.append(paired or turns[1][-1] / turns[0][-1])
    change = Change.of_ratio(interval_of(ratios))
    return Held(Side(tuple(turns[0]), (), ""), Side(tuple(turns[1]), (), ""), change, 0.0, by_ratio=False)
