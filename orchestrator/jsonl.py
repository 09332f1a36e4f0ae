"""Records as JSON Lines, all that is known of each: from one store to another, or to a program of one's own.

The format is described in ``docs/records.md``; every change of it makes a new version. Files are read and
written line by line, so a store of any size passes through.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from typing import IO, Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from orchestrator.errors import NotFoundError, StorageError, UsageError
from orchestrator.files import writable, writing
from orchestrator.storage import DeviceClassRow, NewTrial, Storage, TrialRow, default_path
from workers.messages import DeviceInfo, TrialState, Workload

__all__ = [
    "BadLine",
    "Exported",
    "Imported",
    "export_records",
    "import_records",
    "is_records",
    "merge_store",
    "refusal",
    "save_unstored",
    "unstored_path",
]

FORMAT = "tunefleet-records"
VERSION = 1

_BATCH = 500
# Of a file of another kind every line is bad, and some tell that as well as all.
_BAD_LISTED = 50


@dataclass(frozen=True)
class BadLine:
    """A line that can't be imported, and why; of which file, where there are several."""

    number: int
    reason: str
    file: str = ""

    @property
    def where(self) -> str:
        """The line, for people."""
        return f"{self.file} line {self.number}" if self.file else f"line {self.number}"


@dataclass(frozen=True)
class Imported:
    """What became of the records of a file or of another store.

    Attributes
    ----------
    trials, failed : int
        Trials it holds, and how many of them failed.
    stored_before : int
        Those whose candidate was stored already: nothing was changed.
    imported : int
        New ones. With `dry_run` nothing was stored, and it says what would have been.
    device_classes : tuple of str
        What they were measured on.
    bad : tuple of BadLine
        Lines that were left out.
    """

    source: str
    device_classes: tuple[str, ...]
    workloads: int
    trials: int
    failed: int
    stored_before: int
    imported: int
    bad: tuple[BadLine, ...]
    dry_run: bool


@dataclass(frozen=True)
class Exported:
    """What was written: trials, how many of them are failures, workloads, device classes."""

    path: pathlib.Path
    trials: int
    failed: int
    workloads: int
    device_classes: tuple[str, ...]


def refusal(name: str, bad: Sequence[BadLine], lines: int) -> str:
    """Say that nothing of a file was imported, and which of its lines are bad."""
    listed = "".join(f"\n  {line.where}: {line.reason}" for line in bad[:_BAD_LISTED])
    if len(bad) > _BAD_LISTED:
        listed += f"\n  and {len(bad) - _BAD_LISTED} more"
    return (
        f"{len(bad)} of {lines} lines of {name} can't be imported, so nothing was; "
        f"--skip-bad leaves them out:{listed}"
    )


# -- the lines


_Finite = Annotated[float, Field(allow_inf_nan=False, ge=0)]


class _Line(BaseModel):
    # Numbers are numbers and texts are texts; a field nobody knows is a mistake, or another version's.
    model_config = ConfigDict(strict=True, extra="forbid")


class _DeviceClass(_Line):
    name: str = Field(min_length=1)
    engine: str = Field(min_length=1)
    target: str
    model: str
    cores: int
    kind: str


class _Workload(_Line):
    hash: str = Field(min_length=1)
    engine: str = Field(min_length=1)
    name: str
    flops: _Finite
    module: str | None = None
    module_base64: str | None = None

    @model_validator(mode="after")
    def _one_module(self) -> _Workload:
        if (self.module is None) == (self.module_base64 is None):
            raise ValueError("give module or module_base64, one of them")
        return self


class _Trial(_Line):
    workload: str
    device_class: str
    candidate: str = Field(min_length=1)
    trace: str
    state: TrialState = Field(strict=False)
    times_s: list[_Finite]
    times_again_s: list[_Finite] = []
    message: str
    device: str
    host: str
    versions: dict[str, str]
    build_s: _Finite
    run_s: _Finite
    token: str
    recorded_at: AwareDatetime = Field(strict=False)

    @model_validator(mode="after")
    def _timed(self) -> _Trial:
        if self.state is TrialState.OK and not self.times_s:
            raise ValueError("it is called ok and has no times_s")
        return self


class _Header(_Line):
    format: Literal["tunefleet-records"]
    version: int
    written_at: str = ""
    tunefleet: str = ""


class _Entry(_Line):
    device_class: _DeviceClass | None = None
    workload: _Workload | None = None
    trial: _Trial | None = None

    @model_validator(mode="after")
    def _one(self) -> _Entry:
        if len(self.model_fields_set) != 1:
            raise ValueError("a line is a device_class, a workload or a trial, one of them")
        return self


# -- writing


def export_records(
    store: Storage,
    output: str | os.PathLike[str],
    *,
    engine: str | None = None,
    device_class: str | None = None,
    workloads: Sequence[str] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Write stored records, failures too, to a file; packed where its name ends in ``.gz``.

    Parameters
    ----------
    engine, device_class : str, optional
        Only those of these.
    workloads : sequence of str, optional
        Only those of workloads with these hashes.

    Raises
    ------
    NotFoundError
        There is nothing to write, or no such device class.
    UsageError
        The file can't be written.
    """
    path = writable(output)
    classes = _classes(store)
    if device_class is not None and device_class not in classes:
        known = ", ".join(classes) or "none"
        raise NotFoundError(f"no device class {device_class} is stored; there are: {known}")
    seen: set[str] = set()
    named: set[str] = set()
    trials = failed = 0
    pages = store.all_trials(engine=engine, device_class=device_class, workloads=workloads)
    first = next(pages, None)
    if first is None:
        raise NotFoundError("no such trial is stored; nothing was written")
    with writing(path) as raw, _packed(raw, path) as file:
        _put(file, _header_line())
        for page in itertools.chain([first], pages):
            for name in dict.fromkeys(trial.device_class for trial in page):
                if name not in named:
                    named.add(name)
                    _put(file, {"device_class": _class_line(classes.get(name) or _classes(store)[name])})
            missing = [h for h in dict.fromkeys(trial.workload_hash for trial in page) if h not in seen]
            for workload in store.get_workloads(missing):
                _put(file, {"workload": _workload_line(workload)})
            seen.update(missing)
            for trial in page:
                _put(file, {"trial": _trial_line(trial)})
            trials += len(page)
            failed += sum(trial.state is not TrialState.OK for trial in page)
            say(f"wrote {trials:,} trials")
    return Exported(path, trials, failed, len(seen), tuple(sorted(named)))


def unstored_path(campaign_id: int) -> pathlib.Path:
    """Return where the trials of a campaign are kept that no store took: in the user's data folder."""
    folder = default_path().parent
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"unstored-{campaign_id}-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}.jsonl"


def save_unstored(
    path: pathlib.Path,
    trials: Sequence[NewTrial],
    workloads: Sequence[Workload],
    devices: Iterable[DeviceInfo],
) -> None:
    """Write trials that no store has taken yet, to be imported when one does.

    Parameters
    ----------
    workloads, devices
        Those that the trials name, and maybe others; all of one engine.

    Raises
    ------
    UsageError
        The file can't be written.
    """
    now = _instant(datetime.now(timezone.utc))
    engine = workloads[0].engine
    with writing(path) as file:
        _put(file, _header_line())
        for device in devices:
            row = DeviceClassRow(
                0, device.device_class, engine, device.target, device.model, device.cores, device.kind
            )
            _put(file, {"device_class": _class_line(row)})
        for workload in workloads:
            _put(file, {"workload": _workload_line(workload)})
        for trial in trials:
            measured = trial.measurement
            line = {
                "workload": trial.workload_hash,
                "device_class": trial.device_class,
                "candidate": trial.candidate.hash,
                "trace": trial.candidate.trace,
                "state": measured.state.value,
                "times_s": list(measured.times),
                "message": measured.message,
                "device": measured.device,
                "host": measured.host,
                "versions": dict(trial.versions),
                "build_s": trial.build_s,
                "run_s": measured.run_s,
                "token": trial.token,
                "recorded_at": now,
            }
            _put(file, {"trial": line})


def _header_line() -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "written_at": _instant(datetime.now(timezone.utc)),
        "tunefleet": version("tunefleet"),
    }


def _put(file: IO[bytes], line: dict[str, Any]) -> None:
    file.write(json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())
    file.write(b"\n")


def _class_line(row: DeviceClassRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "engine": row.engine,
        "target": row.target,
        "model": row.model,
        "cores": row.cores,
        "kind": row.kind,
    }


def _workload_line(workload: Workload) -> dict[str, Any]:
    line: dict[str, Any] = {
        "hash": workload.hash,
        "engine": workload.engine,
        "name": workload.name,
        "flops": workload.flops,
    }
    try:
        line["module"] = workload.module.decode()
    except UnicodeDecodeError:
        line["module_base64"] = base64.b64encode(workload.module).decode()
    return line


def _trial_line(trial: TrialRow) -> dict[str, Any]:
    line = {
        "workload": trial.workload_hash,
        "device_class": trial.device_class,
        "candidate": trial.candidate,
        "trace": trial.trace,
        "state": trial.state.value,
        "times_s": list(trial.times),
        "message": trial.message,
        "device": trial.device,
        "host": trial.host,
        "versions": trial.versions,
        "build_s": trial.build_s,
        "run_s": trial.run_s,
        "token": trial.token,
        "recorded_at": _instant(trial.created_at),
    }
    # Releases that know nothing of it read the lines that need nothing of it.
    return {**line, "times_again_s": list(trial.again)} if trial.again else line


# -- reading


def is_records(path: str | os.PathLike[str]) -> bool:
    """Whether a file says in its first line that it is of this format, of whatever version."""
    try:
        with open(path, "rb") as raw, _unpacked(raw) as file:
            found = json.loads(file.readline(4096))
    except (OSError, EOFError, ValueError):
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def import_records(
    store: Storage,
    path: str | os.PathLike[str],
    *,
    skip_bad: bool = False,
    dry_run: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Imported:
    """Store the records of a file, all of them or none.

    Every line is checked before the first trial is stored. Where storing is interrupted, the same import
    goes on with the rest.

    Parameters
    ----------
    skip_bad : bool, optional
        Store the good lines where there are bad ones.
    dry_run : bool, optional
        Check the lines and store nothing.

    Raises
    ------
    UsageError
        The file can't be read, is of another format or version, or, without `skip_bad`, has bad lines: the
        text has their numbers.
    """
    file = pathlib.Path(path).absolute()
    checked = _Reader(store, file, only_check=True)
    for number, _ in enumerate(checked.trials(), 1):
        if number % _BATCH == 0:
            say(f"checked {number:,} trials")
    bad = tuple(checked.bad)
    if bad and not skip_bad:
        raise UsageError(refusal(file.name, bad, checked.lines))
    reader = _Reader(store, file)
    return _take(store, file.name, reader.trials(), reader, bad, dry_run, say)


def merge_store(
    store: Storage,
    source: Storage,
    *,
    engine: str | None = None,
    device_class: str | None = None,
    dry_run: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Imported:
    """Store the records of another store here: workloads, device classes and trials.

    Campaigns, models and comparisons stay where they are. Doing it twice changes nothing the second time.

    Raises
    ------
    StorageError
        A device class has the same name in both and is another device.
    """
    known = _classes(source)
    for name, row in known.items():
        here = store.find_device_class(name)
        if here is not None and (problem := _other(here, row)):
            raise StorageError(f"the stores can't be merged: {problem}")
    pages = source.all_trials(engine=engine, device_class=device_class)

    def trials() -> Iterator[TrialRow]:
        for page in pages:
            yield from page

    return _take(store, source.url, trials(), _Source(source, known), (), dry_run, say)


@dataclass
class _Source:
    """Where the workloads and device classes of trials are looked up: another store."""

    store: Storage
    classes: dict[str, DeviceClassRow]

    def device_class(self, name: str) -> DeviceClassRow:
        if name not in self.classes:
            self.classes = _classes(self.store)
        return self.classes[name]

    def workloads(self, hashes: Sequence[str]) -> list[Workload]:
        return self.store.get_workloads(hashes)


@dataclass
class _Reader:
    """Goes through a file once; keeps what was wrong, and the workloads of the trials it has just passed."""

    store: Storage
    path: pathlib.Path
    only_check: bool = False
    bad: list[BadLine] = field(default_factory=list)
    lines: int = 0
    _classes: dict[str, DeviceClassRow] = field(default_factory=dict)
    # A file of a whole store has many: what has been stored is dropped.
    _workloads: dict[str, Workload] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    def device_class(self, name: str) -> DeviceClassRow:
        return self._classes[name]

    def workloads(self, hashes: Sequence[str]) -> list[Workload]:
        return [self._workloads.pop(h) for h in hashes if h in self._workloads]

    def trials(self) -> Iterator[TrialRow]:
        """Yield the trials that can be stored, in the file's order."""
        for number, text in self._texts():
            self.lines += 1
            try:
                entry = _Entry.model_validate_json(text)
                trial = self._take(entry)
            except ValidationError as error:
                self.bad.append(BadLine(number, _words(error)))
            except ValueError as error:
                self.bad.append(BadLine(number, str(error)))
            else:
                if trial is not None:
                    yield trial

    def _take(self, entry: _Entry) -> TrialRow | None:
        if entry.device_class is not None:
            line = entry.device_class
            row = DeviceClassRow(0, line.name, line.engine, line.target, line.model, line.cores, line.kind)
            stored = self.store.find_device_class(line.name)
            if problem := stored is not None and _other(stored, row):
                raise ValueError(problem)
            self._classes[line.name] = row
            return None
        if entry.workload is not None:
            given = entry.workload
            module = _module(given)
            self._known.add(given.hash)
            if not self.only_check:
                self._workloads[given.hash] = Workload(
                    given.hash, given.engine, given.name, given.flops, module
                )
            return None
        assert entry.trial is not None
        trial = entry.trial
        if trial.workload not in self._known:
            raise ValueError(f"no line before it is about its workload {trial.workload}")
        if trial.device_class not in self._classes:
            raise ValueError(f"no line before it is about its device class {trial.device_class}")
        return TrialRow(
            id=0,
            workload_hash=trial.workload,
            workload_name="",
            device_class=trial.device_class,
            candidate=trial.candidate,
            state=trial.state,
            cost_s=None,
            times=tuple(trial.times_s),
            message=trial.message,
            campaign_id=None,
            device=trial.device,
            host=trial.host,
            versions=trial.versions,
            build_s=trial.build_s,
            run_s=trial.run_s,
            token=trial.token,
            created_at=trial.recorded_at,
            trace=trial.trace,
            again=tuple(trial.times_again_s),
        )

    def _texts(self) -> Iterator[tuple[int, bytes]]:
        try:
            with self.path.open("rb") as raw, _unpacked(raw) as file:
                self._header(file.readline())
                for number, line in enumerate(file, 2):
                    if line.strip():
                        yield number, line
        except FileNotFoundError:
            raise UsageError(f"there is no file {self.path}") from None
        except (EOFError, gzip.BadGzipFile):
            raise UsageError(f"{self.path} is cut off or damaged: it can't be unpacked") from None
        except OSError as error:
            raise UsageError(f"{self.path} can't be read: {error.strerror}") from None

    def _header(self, line: bytes) -> None:
        try:
            header = _Header.model_validate_json(line)
        except ValidationError:
            raise UsageError(
                f"{self.path} does not begin as a file of records does; is it a log? then name its --engine"
            ) from None
        if header.version != VERSION:
            raise UsageError(
                f"{self.path} is of version {header.version} of its format, this tunefleet reads {VERSION}; "
                "use the tunefleet that wrote it, or a newer one"
            )


def _take(
    store: Storage,
    name: str,
    trials: Iterator[TrialRow],
    source: _Source | _Reader,
    bad: tuple[BadLine, ...],
    dry_run: bool,
    say: Callable[[str], None],
) -> Imported:
    """Store trials in batches, and before each what they refer to."""
    count = failed = imported = 0
    classes: set[str] = set()
    workloads: set[str] = set()
    # Candidates of this file or store that were counted as new in a dry run.
    fresh: set[tuple[str, str, str]] = set()
    while batch := _some(trials):
        count += len(batch)
        failed += sum(trial.state is not TrialState.OK for trial in batch)
        new = [h for h in dict.fromkeys(trial.workload_hash for trial in batch) if h not in workloads]
        names = {trial.device_class for trial in batch} - classes
        workloads.update(new)
        classes |= names
        if dry_run:
            imported += _would_import(store, batch, fresh)
        else:
            for row in sorted((source.device_class(n) for n in names), key=lambda row: row.name):
                info = DeviceInfo(row.target, row.name, row.model, row.cores, row.kind)
                store.put_device_class(row.engine, info)
            store.put_workloads(source.workloads(new))
            imported += store.import_trials(batch)
        say(f"{'checked' if dry_run else 'took'} {count:,} trials")
    return Imported(
        source=name,
        device_classes=tuple(sorted(classes)),
        workloads=len(workloads),
        trials=count,
        failed=failed,
        stored_before=count - imported,
        imported=imported,
        bad=bad,
        dry_run=dry_run,
    )


def _would_import(store: Storage, batch: Sequence[TrialRow], fresh: set[tuple[str, str, str]]) -> int:
    before = len(fresh)
    pairs = dict.fromkeys((trial.workload_hash, trial.device_class) for trial in batch)
    known = {pair: store.known_candidates(*pair) for pair in pairs}
    for trial in batch:
        pair = (trial.workload_hash, trial.device_class)
        if trial.candidate not in known[pair]:
            fresh.add((*pair, trial.candidate))
    return len(fresh) - before


def _some(trials: Iterator[TrialRow]) -> list[TrialRow]:
    return list(itertools.islice(trials, _BATCH))


def _module(line: _Workload) -> bytes:
    if line.module is not None:
        return line.module.encode()
    assert line.module_base64 is not None
    return base64.b64decode(line.module_base64, validate=True)


def _other(stored: DeviceClassRow, given: DeviceClassRow) -> str:
    """Say in what a device class differs from the stored one of its name; nothing where it doesn't."""
    for name in ("engine", "target", "model", "cores", "kind"):
        ours, theirs = getattr(stored, name), getattr(given, name)
        if ours != theirs:
            return f"device class {given.name} is stored with {name} {ours!r}, and this has {theirs!r}"
    return ""


def _classes(store: Storage) -> dict[str, DeviceClassRow]:
    return {row.name: row for row in store.device_classes()}


@contextlib.contextmanager
def _packed(raw: IO[bytes], path: pathlib.Path) -> Iterator[IO[bytes]]:
    if path.suffix != ".gz":
        yield raw
        return
    with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
        yield file  # type: ignore[misc]


@contextlib.contextmanager
def _unpacked(raw: Any) -> Iterator[Any]:
    """Read through gzip where the file is packed, whatever its name."""
    packed = raw.peek(2)[:2] == b"\x1f\x8b"
    if not packed:
        yield raw
        return
    with gzip.GzipFile(fileobj=raw, mode="rb") as file:
        yield file


def _words(error: ValidationError) -> str:
    """Say in a line what is wrong, with the field it is in."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    words = first["msg"].removeprefix("Value error, ")
    return f"{where}: {words}" if where else words


def _instant(then: datetime) -> str:
    return then.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
