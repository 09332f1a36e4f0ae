"""Which exporter's file is taken: one that computes what the framework does, and leaves least to be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.errors import DisagreementError, EngineError, ModelError, TunefleetError, UsageError
from orchestrator.toolbox import Toolbox
from workers.converters.contract import Candidate, Converted
from workers.converters.drawing import SAME, spread
from workers.converters.serving import CHECKS

if TYPE_CHECKING:
    from workers.models import Burden, OutputDifference

__all__ = ["Draw", "Judged", "choose", "judge_all", "read_draws", "why_it_says_little"]

# As onnxruntime is asked elsewhere: what is compared is no matter of speed.
_THREADS = 1


@dataclass(frozen=True)
class Draw:
    """Inputs, and the framework's own outputs, by name."""

    inputs: dict[str, Any]
    outputs: dict[str, Any]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The inputs' shapes."""
        return {name: tuple(value.shape) for name, value in self.inputs.items()}


@dataclass(frozen=True)
class Judged:
    """One exporter's file.

    Attributes
    ----------
    file : str
        Its name in the converter's folder.
    exporter : str
    burden : Burden or None
        What is left of it after the preparation; None where it can't be prepared.
    refusal : str
        Why it can't be.
    difference : OutputDifference or None
        From the framework's outputs, the largest of all draws; None where they weren't compared.
    wrong : str
        What is wrong with it; empty where nothing is, or where it wasn't compared.
    """

    file: str
    exporter: str
    burden: Burden | None = None
    refusal: str = ""
    difference: OutputDifference | None = None
    wrong: str = ""


def read_draws(folder: Path, *, required: bool = True) -> list[Draw]:
    """Read what a converter drew and what its framework made of it.

    Raises
    ------
    EngineError
        It left nothing, where that is `required`.
    """
    draws: dict[str, Draw] = {}
    path = folder / CHECKS
    if path.is_file():
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                kind, number, name = key.split(":", 2)
                draw = draws.setdefault(number, Draw({}, {}))
                (draw.inputs if kind == "input" else draw.outputs)[name] = arrays[key]
    if not draws and required:
        raise EngineError(f"the converter left no {CHECKS} to compare with; --no-check does without")
    return [draws[number] for number in sorted(draws, key=int)]


def judge_all(
    tools: Toolbox,
    converted: Converted,
    folder: Path,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    check: bool,
    say: Callable[[str], None],
) -> list[Judged]:
    """Compare what each exporter wrote with the framework, and count what is left of it.

    Raises
    ------
    EngineError
        See :func:`read_draws`.
    """
    draws = read_draws(folder, required=check)
    found = []
    for candidate in converted.candidates:
        judged = Judged(candidate.file, candidate.exporter)
        if check:
            say(f"comparing what {candidate.exporter} wrote with {converted.framework}")
            judged = _compared(tools, candidate, folder, draws)
        if not judged.wrong:
            say(f"looking what is left of what {candidate.exporter} wrote")
            judged = _weighed(tools, judged, folder, draws[0].shapes if draws else shapes)
        found.append(judged)
    return found


def choose(judged: list[Judged], framework: str, name: str) -> Judged:
    """Return the file to take: right, and of those that are the lightest, the first of equals.

    Raises
    ------
    DisagreementError
        None computes what the framework does.
    """
    right = [one for one in judged if not one.wrong]
    if not right:
        faults = "; ".join(f"{one.exporter}: {one.wrong}" for one in judged)
        raise DisagreementError(
            f"no export of {name} computes what {framework} does: {faults}. --no-check takes one all the same"
        )
    return min(right, key=lambda one: (one.burden is None, one.burden.weight if one.burden else 0))


def why_it_says_little(draws: list[Draw]) -> str:
    """Say so where the framework's outputs are the same whatever goes in; empty where they aren't."""
    first, *others = draws
    for other in others:
        if all(np.array_equal(value, other.inputs[name]) for name, value in first.inputs.items()):
            continue
        spreads = [spread(value, other.outputs[name]) for name, value in first.outputs.items()]
        if max(spreads, default=1.0) > SAME:
            return ""
        same = f"the same to {max(spreads):.0e} of their largest value" if any(spreads) else "the same"
        return (
            f"whatever goes in, its outputs are {same}, as with weights that were never trained: that the "
            "ONNX file agrees says little"
        )
    return ""


def _compared(tools: Toolbox, candidate: Candidate, folder: Path, draws: list[Draw]) -> Judged:
    worst: OutputDifference | None = None
    path = str(folder / candidate.file)
    for draw in draws:
        try:
            found = tools.check_original(path, draw.inputs, draw.outputs, _THREADS).difference
        except (ModelError, UsageError, EngineError) as error:
            wrong = str(error).replace(path, candidate.file)
            return Judged(candidate.file, candidate.exporter, wrong=wrong)
        if found is None:
            wrong = (
                f"its inputs and outputs have other names than {', '.join(draw.inputs)} and "
                f"{', '.join(draw.outputs)}"
            )
            return Judged(candidate.file, candidate.exporter, wrong=wrong)
        if worst is None or (found.ok, -found.max_rel) < (worst.ok, -worst.max_rel):
            worst = found
    assert worst is not None
    wrong = "" if worst.ok else f"output '{worst.worst_name}' {worst.reason}"
    return Judged(candidate.file, candidate.exporter, difference=worst, wrong=wrong)


def _weighed(tools: Toolbox, judged: Judged, folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> Judged:
    path = str(folder / judged.file)
    try:
        burden, refusal = tools.burden(tools.prepare(path, shapes)), ""
    # Anything: that TVM can't have it is for `tune` to say, about the file that it is given.
    except TunefleetError as error:
        burden, refusal = None, str(error).replace(f"{path}: ", "").replace(path, judged.file)
    return Judged(judged.file, judged.exporter, burden, refusal, judged.difference, judged.wrong)
