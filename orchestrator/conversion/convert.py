"""A framework's model converted, compared and kept; or found, where that was done before."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from orchestrator.conversion.choose import Judged, choose, judge_all, read_draws, why_it_says_little
from orchestrator.conversion.environment import resident_of
from orchestrator.conversion.kept import Kept, digests_of, file_name, find_kept, keep, key_of, put_files
from orchestrator.conversion.process import run_converter
from orchestrator.conversion.source import Source
from orchestrator.errors import EngineError, UsageError
from orchestrator.toolbox import Scratch, Toolbox
from workers import environments
from workers.converters.contract import ConversionRequest, Converted
from workers.messages import Origin

__all__ = ["Conversion", "ConversionSettings", "convert"]

#: Seconds that a converter may take. Exporting a large model takes minutes.
LIMIT_S = 1800.0


@dataclass(frozen=True)
class ConversionSettings:
    """How a source is converted.

    Attributes
    ----------
    shapes : mapping of str to tuple of int
        Of inputs whose sizes the source leaves open.
    check : bool
        Compare with the framework's own outputs.
    trust : bool
        Run code of whoever made the source.
    exporter : str
        The only one to try; empty for all.
    signature : str
        Which of several models in the source; empty for the usual one.
    opset : int or None
        None for the exporter's own choice.
    seed : int
        Of random inputs and random weights.
    timeout_s : float
        The converter is killed after that (seconds).
    anew : bool
        Convert also where that was done before.
    """

    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    check: bool = True
    trust: bool = False
    exporter: str = ""
    signature: str = ""
    opset: int | None = None
    seed: int = 0
    timeout_s: float = LIMIT_S
    anew: bool = False


@dataclass(frozen=True)
class Conversion:
    """What came of a source.

    Attributes
    ----------
    source : Source
    kept : Kept
    remembered : bool
        It was converted earlier.
    judged : tuple of Judged
        What each exporter wrote; empty where it was remembered.
    """

    source: Source
    kept: Kept
    remembered: bool
    judged: tuple[Judged, ...] = ()

    @property
    def path(self) -> Path:
        """The ONNX file, which stays; its weights may lie in files beside it."""
        return self.kept.path


def convert(
    tools: Toolbox,
    source: Source,
    settings: ConversionSettings = ConversionSettings(),
    say: Callable[[str], None] = lambda _: None,
) -> Conversion:
    """Convert a source, or find what it became.

    Parameters
    ----------
    tools : Toolbox
        Of any engine: its reference compares.

    Raises
    ------
    UsageError
        The source runs its author's code, which wasn't said to be trusted; the converter isn't installed, or
        has no such exporter; or a signature is named of what has none.
    ModelError
        The source can't be converted; see the codes of :mod:`workers.converters.contract`.
    DisagreementError
        What was exported computes something else than the framework.
    EngineError
        The converter died, or took too long.
    """
    _require_known(source, settings)
    resident = resident_of(source.package)
    asked = f"{settings.exporter}:{settings.signature}" if settings.signature else settings.exporter
    key = key_of(source, settings.shapes, settings.seed, settings.opset, asked)
    environment = environments.status(resident)
    kept = None if settings.anew else find_kept(source, key, environment, check=settings.check)
    if kept is not None:
        return Conversion(source, kept, remembered=True)
    source.require_trust(settings.trust)
    if environment.python is None or not environment.ready:
        raise _not_installed(source, environment)
    say(f"converting {source.name}: {source.kind.name}, with {resident.title}")
    with _folder() as folder:
        out = folder / "out"
        out.mkdir()
        request = ConversionRequest(
            source=source.text,
            kind=source.kind.name,
            shapes={name: list(shape) for name, shape in settings.shapes.items()},
            out=str(out),
            reply=str(folder / "reply.json"),
            seed=settings.seed,
            opset=settings.opset,
            exporter=settings.exporter,
            signature=settings.signature,
        )
        converted = run_converter(source, environment.python, request, settings.timeout_s, folder)
        if not converted.candidates:
            raise EngineError(f"the {source.package.name} converter wrote nothing for {source.name}")
        judged = judge_all(tools, converted, out, settings.shapes, check=settings.check, say=say)
        taken = choose(judged, converted.framework, source.name)
        kept = _put(tools, source, converted, taken, out, environment.versions, settings, judged)
    keep(key, kept)
    return Conversion(source, kept, remembered=False, judged=tuple(judged))


def _require_known(source: Source, settings: ConversionSettings) -> None:
    converter = source.package.load()
    if settings.exporter and settings.exporter not in converter.exporters:
        there = " and ".join(converter.exporters)
        raise UsageError(
            f"--exporter {settings.exporter}: the {converter.name} converter has none of that name"
            + (f"; it has {there}" if there else "")
        )
    if settings.signature and not source.kind.signatures:
        raise UsageError(
            f"--signature {settings.signature}: {source.name} ({source.kind.name}) holds one model alone"
        )


def _put(
    tools: Toolbox,
    source: Source,
    converted: Converted,
    taken: Judged,
    folder: Path,
    versions: dict[str, str],
    settings: ConversionSettings,
    judged: list[Judged],
) -> Kept:
    origin = Origin(source.name, converted.framework, taken.exporter)
    model = f"{file_name(source.stem)}.onnx"
    with put_files(file_name(source.stem)) as (fresh, placed):
        tools.adopt(str(folder / taken.file), str(fresh / model), origin)
    little = why_it_says_little(read_draws(folder)) if settings.check else ""
    files = [*converted.files, *([str(source.path)] if source.is_code and source.path else [])]
    return Kept(
        model=f"{placed[0].name}/{model}",
        origin=origin,
        checked=settings.check,
        max_rel=taken.difference.max_rel if taken.difference else None,
        why=_why(judged, taken),
        notes=(*converted.notes, *([little] if little else [])),
        inputs=tuple(asdict(tensor) for tensor in converted.inputs),
        outputs=tuple(asdict(tensor) for tensor in converted.outputs),
        # Where a converter can't tell what a function was read from, the file alone doesn't tell it either.
        files=digests_of(os.path.abspath(file) for file in files) if converted.files else {},
        versions=versions,
    )


def _why(judged: list[Judged], taken: Judged) -> str:
    """Say what was taken and what it left, beside those that weren't taken."""

    def told(one: Judged) -> str:
        left = one.wrong or one.refusal or (f"leaves {one.burden}" if one.burden else "")
        return f"{one.exporter}: {left}" if left else one.exporter

    others = [told(one) for one in judged if one is not taken]
    return told(taken) + (f"; not {', nor '.join(others)}" if others else "")


def _not_installed(source: Source, environment: environments.EngineEnvironment) -> UsageError:
    converter = source.package.load()
    cost = f"{converter.megabytes / 1000:.1f} GB, about {converter.minutes:g} min"
    return UsageError(
        f"{source.name} is for the {source.package.name} converter ({source.kind.name}): "
        f"{environment.missing}: {environment.mend} (installing takes {cost})"
    )


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder that is gone afterwards, also where this process is killed: the next one removes it."""
    scratch = Scratch()
    try:
        yield Path(scratch.folder())
    finally:
        scratch.remove()
