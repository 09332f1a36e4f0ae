"""What a library says of itself: which model it is, for what it was compiled, and what it takes.

The label is a ZIP archive with one JSON file behind the library's own bytes. Loaders of shared libraries
never look there, and any unzip does: ``unzip -p lib.so tunefleet.json``.
"""

from __future__ import annotations

import io
import json
import pathlib
import zipfile
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.errors import UsageError
from workers.messages import Origin, TensorSpec

__all__ = ["Label", "MeasuredKernel", "RestLabel", "labelled", "read_label"]

_NAME = "tunefleet.json"
_VERSION = 1
# Of a library with a rest beside it: who reads version 1 would take what it returns for the model's outputs.
_WITH_REST = 2
# Of a library whose model was converted: earlier readers know no such name.
_WITH_ORIGIN = 3
# Of a library that names its measurements: nor such a one.
_WITH_MEASUREMENTS = 4
# A ZIP needs a date; the same build is to give the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class RestLabel:
    """The ONNX file beside a library, which goes on from what the library returns.

    Attributes
    ----------
    file : str
        Its name, in the library's folder.
    sha256 : str
    inputs : tuple of TensorSpec
        Outputs of the library, and inputs of the whole model.
    outputs : tuple of str
        Of the whole model; those that the file doesn't make, the library does.
    cut_at : tuple of str
    """

    file: str
    sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    cut_at: tuple[str, ...]


@dataclass(frozen=True)
class MeasuredKernel:
    """The measurement by which a kernel's schedule was chosen.

    Attributes
    ----------
    task : str
    workload, candidate : str
        Hashes: of the computation, and of its schedule.
    trial : int
        Its number in the store that the library was built from.
    times_s : tuple of float
        Seconds of one call, one value a repeat, as they count.
    device_class, device, host : str
        Where it was measured.
    measured_at : str
        ISO 8601.
    versions : dict of str to str
        What it was measured with.
    """

    task: str
    workload: str
    candidate: str
    trial: int
    times_s: tuple[float, ...]
    device_class: str
    device: str
    host: str
    measured_at: str
    versions: dict[str, str]

    @classmethod
    def of(cls, found: dict[str, Any]) -> MeasuredKernel:
        """Read what a label says of one."""
        return cls(**{**found, "times_s": tuple(found["times_s"])})


@dataclass(frozen=True)
class Label:
    """What is known of a library when it is built.

    Attributes
    ----------
    model, model_sha256 : str
        Name and hash of the ONNX file, see :class:`workers.messages.PreparedModel`.
    engine, target, device_class : str
    inputs, outputs : tuple of TensorSpec
        In the order of the model, under its names.
    params_beside : bool
        The weights are in a file of their own.
    tasks_total, tasks_tuned, tasks_lent : int
        All of them, those with a record, and those without one that have a schedule all the same.
    plan : str
        Which records were applied.
    records_key : str
        :func:`orchestrator.storage.records_key` of the stored records.
    versions : dict of str to str
        Of the engine and its TVM.
    rest : RestLabel or None
        Where the model was cut before its post-processing.
    origin : Origin or None
        What the model was converted from.
    measurements : tuple of MeasuredKernel
        Those it was built from; empty in a label of an earlier version.
    """

    model: str
    model_sha256: str
    engine: str
    target: str
    device_class: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    params_beside: bool
    tasks_total: int
    tasks_tuned: int
    plan: str
    records_key: str
    versions: dict[str, str]
    rest: RestLabel | None = None
    tasks_lent: int = 0
    origin: Origin | None = None
    measurements: tuple[MeasuredKernel, ...] = ()

    @property
    def all_inputs(self) -> tuple[TensorSpec, ...]:
        """What the whole model takes: the library's inputs, then those that only the rest reads."""
        known = {spec.name for spec in (*self.inputs, *self.outputs)}
        return self.inputs + tuple(
            spec for spec in (self.rest.inputs if self.rest else ()) if spec.name not in known
        )


def labelled(library: bytes, label: Label) -> bytes:
    """Return a library with its label."""
    whole = io.BytesIO(library)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_DEFLATED) as archive:
        known = {name: value for name, value in asdict(label).items() if value is not None}
        if not label.measurements:
            del known["measurements"]
        text = json.dumps({"version": _version_of(label), **known}, indent=1)
        archive.writestr(zipfile.ZipInfo(_NAME, _DATE), text)
    return whole.getvalue()


def _version_of(label: Label) -> int:
    """Return the first version whose readers know all that is in it."""
    if label.measurements:
        return _WITH_MEASUREMENTS
    return _WITH_ORIGIN if label.origin else _WITH_REST if label.rest else _VERSION


def read_label(path: pathlib.Path) -> Label:
    """Read the label of a library.

    Raises
    ------
    UsageError
        There is no such file, or no label that this version can read in it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found: dict[str, Any] = json.loads(archive.read(_NAME))
    except FileNotFoundError:
        raise UsageError(f"there is no library {path}") from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise UsageError(
            f"{path} says nothing of itself: it was not written by `tunefleet build`, or what `build` put "
            "at its end was stripped; build it anew"
        ) from None
    version = found.pop("version", None)
    if version not in range(_VERSION, _WITH_MEASUREMENTS + 1):
        raise UsageError(
            f"{path} has a label of version {version}; this tunefleet reads up to {_WITH_MEASUREMENTS}"
        )
    for name in ("inputs", "outputs"):
        found[name] = tuple(TensorSpec.of(spec) for spec in found[name])
    rest = found.pop("rest", None)
    if rest is not None:
        inputs = tuple(TensorSpec.of(spec) for spec in rest["inputs"])
        rest = RestLabel(rest["file"], rest["sha256"], inputs, tuple(rest["outputs"]), tuple(rest["cut_at"]))
    origin = found.pop("origin", None)
    measurements = tuple(map(MeasuredKernel.of, found.pop("measurements", ())))
    return Label(
        **found,
        rest=rest,
        origin=None if origin is None else Origin(**origin),
        measurements=measurements,
    )
