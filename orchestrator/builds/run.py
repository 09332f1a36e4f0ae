"""A built library is run on given or random inputs, timed, and compared with onnxruntime where asked."""

from __future__ import annotations

import os
import pathlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.builds.arrays import OutputFacts, archive_of, bytes_of, facts_of, given_inputs, listed
from orchestrator.builds.label import Label, read_label
from orchestrator.builds.params import read_params
from orchestrator.builds.rest import read_rest, run_rest
from orchestrator.devices.boards import find_board
from orchestrator.errors import TargetError, UsageError
from orchestrator.files import writable, write
from orchestrator.toolbox import Toolbox
from workers.messages import CompiledModel, WarmUp

if TYPE_CHECKING:
    import numpy.typing as npt

    from workers.models import OutputDifference

    Array = npt.NDArray[Any]

__all__ = ["Check", "RunReport", "run_library"]

_SETTLE_SECONDS = 2.0


@dataclass(frozen=True)
class Check:
    """How the outputs compare with onnxruntime's; see :class:`workers.models.OutputDifference`.

    Attributes
    ----------
    same_model : bool
        The library was built from this very file.
    """

    path: str
    same_model: bool
    agree: bool
    reason: str
    remark: str
    max_abs: float
    max_rel: float


@dataclass(frozen=True)
class RunReport:
    """One run of a library.

    Attributes
    ----------
    device : str or None
        Key of the device it ran on; None where that was this machine.
    threads : int
        Cores it was run on.
    given : tuple of str
        Inputs whose values came from files; the others were random.
    times_s : tuple of float
        Seconds of one inference, one value a repeat.
    saved : pathlib.Path or None
        Where the outputs were written.
    rest_times_s : tuple of float
        Seconds of what follows the library in onnxruntime, where its model was cut.
    warm_up : WarmUp
        What it ran before it was timed.
    """

    library: pathlib.Path
    label: Label
    device: str | None
    threads: int
    given: tuple[str, ...]
    outputs: tuple[OutputFacts, ...]
    times_s: tuple[float, ...]
    check: Check | None
    saved: pathlib.Path | None
    rest_times_s: tuple[float, ...] = ()
    warm_up: WarmUp = field(default_factory=WarmUp)

    @property
    def median_s(self) -> float | None:
        """Median seconds of one inference of the library; None where nothing was timed."""
        return statistics.median(self.times_s) if self.times_s else None

    @property
    def rest_median_s(self) -> float | None:
        """Median seconds of what follows it; None where nothing does, or nothing was timed."""
        return statistics.median(self.rest_times_s) if self.rest_times_s else None


def run_library(
    tools: Toolbox,
    library: str | os.PathLike[str],
    *,
    params: str | os.PathLike[str] | None = None,
    inputs: Mapping[str, str | os.PathLike[str]] | None = None,
    archive: str | os.PathLike[str] | None = None,
    seed: int = 1,
    repeats: int = 10,
    number: int = 1,
    check: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    device: str | None = None,
    tracker: tuple[str, int] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> RunReport:
    """Run a library that ``tunefleet build`` wrote, on this machine or on a device behind a tracker.

    Parameters
    ----------
    tools : Toolbox
        Of the engine that the library's label names.
    params : path, optional
        The weights (``.npz``), where they were written beside the library.
    inputs : mapping of str to path, optional
        ``.npy`` files by input name. Inputs without one get random values.
    archive : path, optional
        A ``.npz`` of inputs under their names.
    seed : int, optional
        Of the random values.
    repeats, number : int, optional
        Times measured, each the mean of `number` inferences, after as many as it takes until they settle; 0
        repeats measure none.
    check : path, optional
        The ONNX file: onnxruntime runs it on the same inputs, and the outputs are compared.
    output : path, optional
        Write the outputs there (``.npz``), under their names.
    device, tracker : str and tuple of (str, int), optional
        Key of a device, and the TVM RPC tracker where it registered itself: the library is sent there.

    Raises
    ------
    UsageError, ModelError
        A file is missing or does not fit the library.
    TargetError
        This machine can't run the library.
    EngineError
        It failed or crashed.
    """
    path = pathlib.Path(library).absolute()
    label = read_label(path)
    read = [path, *(inputs or {}).values(), *(file for file in (archive, params, check) if file is not None)]
    saved = None if output is None else writable(output, read=read)
    if label.params_beside and params is None:
        raise UsageError(f"the weights of {path.name} are in a file of their own: name it with --params")
    if params is not None and not label.params_beside:
        raise UsageError(f"the weights of {path.name} are inside it: leave --params out")
    weights, weights_file = (None, "") if params is None else read_params(params)
    given = given_inputs(label, inputs or {}, archive)
    say("looking for the target")
    info = tools.resolve_target(label.target)
    endpoint = None
    if device is not None:
        endpoint = find_board(tools, device, tracker, info.kind)
    elif info.unfit:
        raise TargetError(f"{path.name} was built for {label.target}, which can't run here: {info.unfit}")
    rest = None if label.rest is None else read_rest(path, label.rest)
    drawn = tools.random_inputs(label.all_inputs, seed)
    values = {spec.name: given.get(spec.name, drawn[spec.name]) for spec in label.all_inputs}
    taken = {spec.name: values[spec.name] for spec in label.inputs}
    say(f"running {path.name}" + (f" on {device}" if device else ""))
    compiled = CompiledModel(bytes_of(path), weights, (), (), weights_file)
    run = tools.run(
        compiled,
        taken,
        label.target,
        repeats=repeats,
        number=number,
        endpoint=endpoint,
        settle_s=_SETTLE_SECONDS,
    )
    found = None
    if check is not None:
        say(f"running {pathlib.Path(check).name} in onnxruntime")
        found = _checked(tools, label, pathlib.Path(check), values, run.outputs, info.cores)
    outputs: dict[str, Array] = {spec.name: one for spec, one in zip(label.outputs, run.outputs, strict=True)}
    rest_times: tuple[float, ...] = ()
    if label.rest is not None and rest is not None:
        say(f"running {label.rest.file} in onnxruntime")
        outputs, rest_times = run_rest(tools, rest, label.rest, {**values, **outputs}, info.cores, repeats)
    if saved is not None:
        write(saved, archive_of(outputs))
    return RunReport(
        library=path,
        label=label,
        device=device,
        threads=info.cores,
        given=tuple(given),
        outputs=tuple(facts_of(name, value) for name, value in outputs.items()),
        times_s=run.times,
        check=found,
        saved=saved,
        rest_times_s=rest_times,
        warm_up=run.warm_up,
    )


def _checked(
    tools: Toolbox,
    label: Label,
    path: pathlib.Path,
    inputs: dict[str, Array],
    outputs: Sequence[Array],
    threads: int,
) -> Check:
    # Of a model that was cut the file has no such outputs. Otherwise it is run as it is, and not prepared.
    if label.rest is None:
        named = {spec.name: value for spec, value in zip(label.outputs, outputs, strict=True)}
        found = tools.check_original(str(path), inputs, named, threads)
        if found.difference is not None and found.difference.ok:
            return _check(path, label, found.sha256, found.difference)
    # Double precision may know better, and reads the prepared model where it can't read the file's.
    model = tools.prepare(str(path), {spec.name: spec.shape for spec in label.all_inputs})
    if model.inputs != label.inputs or [o.name for o in model.outputs] != [o.name for o in label.outputs]:
        raise UsageError(
            f"{path.name} is another model than the library's {label.model}: it takes {listed(model.inputs)} "
            f"and returns {listed(model.outputs)}, the library takes {listed(label.inputs)} and returns "
            f"{listed(label.outputs)}"
        )
    taken = {spec.name: inputs[spec.name] for spec in label.inputs}
    difference = tools.judge(model, taken, outputs, tools.reference_run(model, taken, threads))
    return _check(path, label, model.sha256, difference)


def _check(path: pathlib.Path, label: Label, sha256: str, difference: OutputDifference) -> Check:
    return Check(
        path=str(path),
        same_model=sha256 == label.model_sha256,
        agree=difference.ok,
        reason=difference.reason,
        remark=difference.remark,
        max_abs=difference.max_abs,
        max_rel=difference.max_rel,
    )
