"""A float32 model converted to another precision, compared and kept; or found, where that was done before."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import workers
from orchestrator.conversion.kept import (
    digest_of,
    digest_of_files,
    digests_of,
    file_name,
    find_entry,
    keep_entry,
    kept_folder,
    key_of_values,
    put_files,
)
from orchestrator.errors import UsageError
from orchestrator.toolbox import Scratch, Toolbox
from workers.messages import Metric, Origin, Precision, PrecisionFound, PrecisionRequest, TensorSpec

__all__ = ["Precise", "PrecisionSettings", "to_precision"]


@dataclass(frozen=True)
class PrecisionSettings:
    """Which precision a model gets.

    Attributes
    ----------
    precision : Precision
    shapes : mapping of str to tuple of int
        Of inputs whose sizes the model leaves open.
    calibration : Path or None
        A .npz or .npy file, or a folder of them.
    metric : Metric
    max_error : float
        0.01 is 1%.
    among : tuple of Precision
        What ``auto`` may be beside float32, the best first: those that the devices have instructions for.
    anew : bool
        Convert also where that was done before.
    """

    precision: Precision
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    calibration: Path | None = None
    metric: Metric = Metric.MAX
    max_error: float = 0.01
    among: tuple[Precision, ...] = (Precision.INT8,)
    anew: bool = False


@dataclass(frozen=True)
class Precise:
    """What came of a model.

    Attributes
    ----------
    source : Path
        The float32 model.
    path : Path
        The ONNX file that stays; `source` itself where it remains in float32.
    found : PrecisionFound
    remembered : bool
        It was converted earlier.
    """

    source: Path
    path: Path
    found: PrecisionFound
    remembered: bool


def to_precision(
    tools: Toolbox,
    source: Path,
    settings: PrecisionSettings,
    say: Callable[[str], None] = lambda _: None,
) -> Precise:
    """Convert a model, or find what it became.

    Parameters
    ----------
    tools : Toolbox
        Of any engine: its reference converts and compares.

    Raises
    ------
    UsageError
        The calibration's samples are missing, or none of this model.
    ModelError, DisagreementError
        See :func:`workers.models.to_precision`.
    """
    given = settings.calibration
    if given is not None and not given.exists():
        raise UsageError(f"--calibration {given}: there is no such file or folder")
    sha256 = "" if given is None else digest_of(given)
    key = _key_of(source, settings, sha256)
    before = None if settings.anew else _find(key, source.parent)
    if before is not None:
        path, found = before
        return Precise(source, path or source, found, remembered=True)
    wanted = settings.among if settings.precision is Precision.AUTO else (settings.precision,)
    words = " or ".join(one.value for one in wanted)
    say(f"converting {source.name} to {words}, and comparing it with float32")
    scratch = Scratch()
    try:
        out = Path(scratch.folder()) / "converted.onnx"
        found = tools.to_precision(
            PrecisionRequest(
                path=str(source),
                out=str(out),
                precision=settings.precision,
                shapes=settings.shapes,
                calibration="" if given is None else str(given),
                calibration_sha256=sha256,
                metric=settings.metric,
                max_error=settings.max_error,
                among=settings.among,
            )
        )
        model = ""
        if found.origin is not None:
            stem = file_name(f"{source.stem}.{found.precision.value}")
            with put_files(stem) as (fresh, placed):
                shutil.move(out, fresh / f"{stem}.onnx")
            model = f"{placed[0].name}/{stem}.onnx"
    finally:
        scratch.remove()
    files = digests_of(found.data_files, source.parent)
    keep_entry(key, {"model": model, "found": asdict(found), "files": files})
    return Precise(source, kept_folder() / model if model else source, found, remembered=False)


def _key_of(source: Path, settings: PrecisionSettings, calibration: str) -> str:
    """Return what names a conversion: the file and the samples by content, what is asked for, and the tools.

    What the model has in other files is looked at when it is found.
    """
    # Not imported: onnxruntime belongs to processes of its own.
    code = Path(workers.__file__).parent / "models"
    asked = {
        "precision": settings.precision.value,
        "model": digest_of(source),
        "name": source.name,
        "shapes": {name: list(shape) for name, shape in sorted(settings.shapes.items())},
        "calibration": [calibration, settings.calibration.name if settings.calibration else ""],
        "metric": settings.metric.value,
        "max_error": settings.max_error,
        "among": [one.value for one in settings.among],
        "code": digest_of_files(sorted(code.rglob("*.py")), code),
        "onnxruntime": metadata.version("onnxruntime"),
    }
    return key_of_values(asked)


def _find(key: str, folder: Path) -> tuple[Path | None, PrecisionFound] | None:
    """Return what a model became earlier, where that still holds; no path where it stayed in float32.

    Parameters
    ----------
    folder : Path
        Of this model: another of the same bytes may have other weights beside it.
    """
    stored = find_entry(key)
    if stored is None:
        return None
    try:
        found = _found(stored["found"])
        path = kept_folder() / stored["model"] if stored["model"] else None
        files: dict[str, str] = stored["files"]
    except (ValueError, TypeError, KeyError):
        return None
    if (path is not None and not path.is_file()) or digests_of(files, folder) != files:
        return None
    return path, found


def _found(stored: dict[str, Any]) -> PrecisionFound:
    origin = stored.pop("origin")
    return PrecisionFound(
        precision=Precision(stored.pop("precision")),
        metric=Metric(stored.pop("metric")),
        origin=None if origin is None else Origin(**origin),
        kept=tuple(stored.pop("kept")),
        data_files=tuple(stored.pop("data_files")),
        inputs=tuple(map(TensorSpec.of, stored.pop("inputs"))),
        outputs=tuple(map(TensorSpec.of, stored.pop("outputs"))),
        **stored,
    )
