"""Arguments and options as a person typed them, read: models, shapes, boards, engines."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.kit.aim import THIS_MACHINE, Aim
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.parsing import parse_shape
from orchestrator.errors import EngineError, ModelError, UsageError
from workers.files import why_no_model

if TYPE_CHECKING:
    from orchestrator.cli.kit.session import Session
    from orchestrator.models.request import ModelRequest

__all__ = [
    "boards_of",
    "model_request",
    "model_requests",
    "require_engine",
    "require_known",
    "require_one",
    "require_text",
    "shapes_of",
    "spec_values",
    "weighs_layouts",
]


# Then every other letter than ASCII's comes as bytes, whatever the file is called.
_LOCALE = "" if sys.getfilesystemencoding() == "utf-8" else "this locale has ASCII alone: set LC_ALL=C.UTF-8"


def model_request(
    session: Session,
    path: Path,
    shapes: Sequence[str] | None,
    conversion: ConversionOptions,
    aim: Aim = THIS_MACHINE,
) -> ModelRequest:
    """Name one model to campaigns and builds; see :func:`model_requests`."""
    return model_requests(session, [path], shapes, conversion, aim)[0]


def model_requests(
    session: Session,
    paths: Sequence[Path],
    shapes: Sequence[str] | None,
    conversion: ConversionOptions,
    aim: Aim = THIS_MACHINE,
) -> tuple[ModelRequest, ...]:
    """Name models to campaigns and builds, each file once however often and by whatever path it was named.

    A framework's model is converted here, unless that was done before, and what it became is named; so is a
    model in another precision.

    Parameters
    ----------
    conversion : ConversionOptions
        How a framework's model is converted, and to which precision.
    aim : Aim, optional
        What the models are for: this machine, if left out.

    Raises
    ------
    ModelError
        A file isn't there, or can't be converted.
    UsageError
        A shape can't be read, or is given twice and differently; or a model is code that isn't trusted; or it
        is said how to convert what is no framework's model.
    """
    from orchestrator.cli.kit.sources import converted_file, precise_file
    from orchestrator.models.request import ModelRequest

    wanted = shapes_of(shapes)
    conversion.numbers.require_known()
    found: dict[str, ModelRequest] = {}
    converted = 0
    for named in paths:
        made = converted_file(session, named, wanted, conversion)
        converted += made is not None
        path = made or named
        # Engines say the same, a second later: after a process was started.
        _require_file(path)
        path = precise_file(session, path, wanted, conversion.numbers, aim)
        # Weights may lie beside the file, so it is opened where it was named, not where a link leads.
        found.setdefault(os.path.realpath(path), ModelRequest(path=os.path.abspath(path), shapes=wanted))
    if conversion.for_frameworks and not converted:
        raise UsageError(
            f"{conversion.for_frameworks[0]} is for a framework's model; {paths[0]} is tuned and built as it "
            "is"
        )
    return tuple(found.values())


def _require_file(path: Path) -> None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"there is no file {path}") from None
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from None
    if stat.S_ISDIR(status.st_mode):
        raise ModelError(f"{path} is a folder; name the ONNX file in it")
    wrong = why_no_model(status)
    if wrong:
        raise ModelError(f"{path} {wrong}")
    if not _is_text(os.path.abspath(path)):
        mend = _LOCALE or "rename the file, or make a link to it with another name"
        raise ModelError(
            f"{path}: this name isn't UTF-8, as the names are under which records are kept; {mend}"
        )


def require_text(values: Mapping[str, Any]) -> None:
    """Refuse arguments of bytes that aren't UTF-8: no database keeps them. Files may be called so.

    Raises
    ------
    UsageError
    """
    for name, value in values.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, str) and not _is_text(one):
                shown = f"{name.strip('_').replace('_', '-')} {one!r}"
                raise UsageError(f"{shown} is not UTF-8" + (f"; {_LOCALE}" if _LOCALE else ""))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shapes_of(texts: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    """Read all ``--input-shape`` options."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts or ():
        name, shape = parse_shape(text)
        if shapes.setdefault(name, shape) != shape:
            raise UsageError(f"--input-shape gives {name} two shapes: {shapes[name]} and {shape}")
    return shapes


def boards_of(devices: Sequence[str] | None, targets: Sequence[str] | None) -> dict[str, str]:
    """Read all ``--device`` options: keys, and the target of each.

    Raises
    ------
    UsageError
    """
    found: dict[str, str] = {}
    for text in devices or ():
        key, equals, target = text.partition("=")
        if not re.fullmatch(r"[\w.-]+", key):
            raise UsageError(f"--device {text!r} is not of the form KEY or KEY=TARGET")
        if not equals:
            if len(targets or ()) != 1 or (targets or [""])[0] == "auto":
                raise UsageError(
                    f"what device {key} is compiled for isn't known: write --device {key} --target TARGET, "
                    f"or --device '{key}=TARGET'"
                )
            target = (targets or [""])[0]
        if found.setdefault(key, target) != target:
            raise UsageError(f"--device gives {key} two targets")
    return found


def require_engine(name: str, *, installed: bool = True) -> None:
    """Refuse an engine that isn't there, before a process is started for it.

    Parameters
    ----------
    installed : bool
        Refuse one whose environment is missing, too.

    Raises
    ------
    UsageError
        With what installs it, where that would help.
    """
    from workers import environments

    names = environments.names()
    if name not in names:
        raise UsageError(f"there is no engine {name!r}; there are: {', '.join(names)}")
    if installed:
        try:
            environments.interpreter(name)
        except EngineError as error:
            raise UsageError(str(error)) from None


def require_known(engine: str | None) -> None:
    """Refuse an engine that there is none of; it need not be installed where only the store is asked.

    Raises
    ------
    UsageError
    """
    if engine is not None:
        require_engine(engine, installed=False)


def require_one(model: Path | None, workload: str | None) -> None:
    """Refuse a command that names neither a model nor a workload, or both.

    Raises
    ------
    UsageError
    """
    if (model is None) == (workload is None):
        raise UsageError("name a MODEL.onnx or a --workload, one of them")


def weighs_layouts(choice: str) -> bool:
    """Read ``--layout-tuning``.

    Raises
    ------
    UsageError
    """
    if choice not in ("auto", "none"):
        raise UsageError(f"--layout-tuning is auto or none, not {choice!r}")
    return choice == "auto"


def spec_values(**values: Any) -> dict[str, Any]:
    """Leave out what was not given, so that the campaign's own defaults hold."""
    return {key: value for key, value in values.items() if value is not None}
