"""A file of records read line by line, checked, and stored: the JSON Lines that a store or a program wrote.

The format is described in ``docs/records.md``; every change of it makes a new version. Nothing keeps a whole
file in memory, so a store of any size passes through.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import os
import pathlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import UsageError
from orchestrator.records.device_classes import difference_of
from orchestrator.records.jsonl_lines import (
    FORMAT,
    READ,
    SIGNED_VERSION,
    VERSION,
    Entry,
    FirstEntry,
    Header,
    measurements_of,
    module_bytes,
)
from orchestrator.records.keys import PublicKey
from orchestrator.records.reports import BadLine, Imported, refusal
from orchestrator.records.seal import private_copy, require_seal
from orchestrator.records.take import BATCH, take_trials
from orchestrator.storage import PACK, DeviceClassRow, Storage, TrialRow
from workers.messages import Workload

__all__ = ["import_records", "is_records"]


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
    trust: Sequence[PublicKey] = (),
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
    trust : sequence of PublicKey, optional
        Take nothing but what one of these has signed; what is taken is then a copy that nobody else can
        change meanwhile. Without, a file that is signed is held against its own sum and the key that it
        names, where signatures can be checked.

    Raises
    ------
    UsageError
        The file can't be read, is of another format or version, isn't what was signed or nobody of `trust`
        has signed it, or, without `skip_bad`, has bad lines: the text has their numbers.
    """
    file = pathlib.Path(path).absolute()
    with private_copy(file) if trust else contextlib.nullcontext(file) as content:
        with _opened(file, content) as unpacked:
            first = unpacked.readline()
            signed_by = require_seal(file.name, _header(file, first), unpacked, first, trust)
        checked = _Reader(store, file, content, only_check=True)
        for number, _ in enumerate(checked.trials(), 1):
            if number % BATCH == 0:
                say(f"checked {number:,} trials")
        bad = tuple(checked.bad)
        if bad and not skip_bad:
            raise UsageError(refusal(file.name, bad, checked.lines))
        reader = _Reader(store, file, content, pack="" if signed_by is None else signed_by.pack)
        found = take_trials(store, file.name, reader.trials(), reader, bad, dry_run, say)
    return replace(found, signed_by=signed_by)


@dataclass
class _Reader:
    """Goes through a file once; keeps what was wrong, and the workloads of the trials it has just passed.

    Attributes
    ----------
    path, content : pathlib.Path
        The file as it was named, and where it is read.
    pack : str
        Whose key signed it (:attr:`.SignedBy.pack`); empty where none did.
    """

    store: Storage
    path: pathlib.Path
    content: pathlib.Path
    only_check: bool = False
    pack: str = ""
    bad: list[BadLine] = field(default_factory=list)
    lines: int = 0
    _classes: dict[str, DeviceClassRow] = field(default_factory=dict)
    # A file of a whole store has many: what has been stored is dropped.
    _workloads: dict[str, Workload] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _toolchains: dict[str, dict[str, str]] = field(default_factory=dict)
    _entry: type[Entry] | type[FirstEntry] = Entry

    def device_class(self, name: str) -> DeviceClassRow:
        """Return a device class that a line before was about."""
        return self._classes[name]

    def workloads(self, hashes: Sequence[str]) -> list[Workload]:
        """Hand over the workloads that lines before were about, and forget them."""
        return [self._workloads.pop(h) for h in hashes if h in self._workloads]

    def trials(self) -> Iterator[TrialRow]:
        """Yield the trials that can be stored, in the file's order."""
        for number, text in self._texts():
            self.lines += 1
            try:
                entry = self._entry.model_validate_json(text)
                trial = self._trial_of(entry)
            except ValidationError as error:
                self.bad.append(BadLine(number, _words(error)))
            except ValueError as error:
                self.bad.append(BadLine(number, str(error)))
            else:
                if trial is not None:
                    yield trial

    def _trial_of(self, entry: Entry | FirstEntry) -> TrialRow | None:
        """Keep what a line says of a device class, toolchain or workload; return the trial where it is one.

        Raises
        ------
        ValueError
            What the line says can't be stored: the text has the reason.
        """
        if entry.device_class is not None:
            line = entry.device_class
            row = DeviceClassRow(0, line.name, line.engine, line.target, line.model, line.cores, line.kind)
            stored = self.store.device_classes.find(line.name)
            if problem := stored is not None and difference_of(stored, row):
                raise ValueError(problem)
            self._classes[line.name] = row
            return None
        if isinstance(entry, Entry) and entry.toolchain is not None:
            self._toolchains[entry.toolchain.name] = entry.toolchain.versions
            return None
        if entry.workload is not None:
            given = entry.workload
            module = module_bytes(given)
            self._known.add(given.hash)
            if not self.only_check:
                self._workloads[given.hash] = Workload(
                    given.hash, given.engine, given.name, given.flops, module
                )
            return None
        if entry.trial is None:
            raise ValueError("a signature is the last line of a signed file, and nothing else")
        trial = entry.trial
        if trial.workload not in self._known:
            raise ValueError(f"no line before it is about its workload {trial.workload}")
        if trial.device_class not in self._classes:
            raise ValueError(f"no line before it is about its device class {trial.device_class}")
        measurements = measurements_of(trial, self._toolchains)
        if self.pack:
            # What others measured is stale until it is measured here, whatever they measured it with.
            measurements = tuple(
                replace(one, versions={**one.versions, PACK: self.pack}) for one in measurements
            )
        first = measurements[0]
        return TrialRow(
            id=0,
            workload_hash=trial.workload,
            workload_name="",
            device_class=trial.device_class,
            candidate=trial.candidate,
            state=first.state,
            cost_s=None,
            times=first.times,
            message=first.message,
            campaign_id=None,
            device=first.device,
            host=first.host,
            versions=first.versions,
            build_s=first.build_s,
            run_s=first.run_s,
            token=first.token,
            created_at=trial.recorded_at,
            trace=trial.trace,
            measurements=measurements,
        )

    def _texts(self) -> Iterator[tuple[int, bytes]]:
        with _opened(self.path, self.content) as file:
            header = _header(self.path, file.readline())
            self._entry = Entry if header.version == VERSION else FirstEntry
            lines = enumerate(file, 2)
            # The last line of a signed file is its signature.
            for number, line in lines if header.signer is None else _all_but_last(lines):
                if line.strip():
                    yield number, line


def _all_but_last(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    return (pair for pair, _ in itertools.pairwise(lines))


def _header(path: pathlib.Path, line: bytes) -> Header:
    """Read the first line of a file."""
    try:
        header = Header.model_validate_json(line)
    except ValidationError:
        raise UsageError(
            f"{path} does not begin as a file of records does; is it a log? then name its --engine"
        ) from None
    if header.version not in READ:
        raise UsageError(
            f"{path} is of version {header.version} of its format, this tunefleet reads up to "
            f"{VERSION}; use the tunefleet that wrote it, or a newer one"
        )
    signed = header.signer is not None
    if header.version != VERSION and signed != (header.version == SIGNED_VERSION):
        names = "a signer" if header.signer else "no signer"
        raise UsageError(
            f"{path} was changed: its first line is of version {header.version} and names {names}"
        )
    return header


@contextlib.contextmanager
def _opened(path: pathlib.Path, content: pathlib.Path) -> Iterator[Any]:
    """Open a file, unpacked.

    Parameters
    ----------
    path : pathlib.Path
        What it is called.
    content : pathlib.Path
        Where it is read.
    """
    try:
        with content.open("rb") as raw, _unpacked(raw) as file:
            yield file
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UsageError(f"{path} is cut off or damaged: it can't be unpacked") from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None


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
