"""Records of a store, written as JSON Lines."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from orchestrator.errors import NotFoundError
from orchestrator.files import writable, writing
from orchestrator.records.device_classes import classes_of
from orchestrator.records.jsonl_lines import (
    Written,
    class_line,
    header_line,
    put_line,
    toolchain_line,
    trial_line,
    workload_line,
)
from orchestrator.records.keys import PrivateKey
from orchestrator.records.seal import Sealing
from orchestrator.storage import Storage
from workers.messages import TrialState

__all__ = ["Exported", "export_records"]


@dataclass(frozen=True)
class Exported:
    """What was written: trials, how many of them are failures, workloads, device classes."""

    path: pathlib.Path
    trials: int
    failed: int
    workloads: int
    device_classes: tuple[str, ...]


def export_records(
    store: Storage,
    output: str | os.PathLike[str],
    *,
    engine: str | None = None,
    device_class: str | None = None,
    workloads: Sequence[str] | None = None,
    sign: PrivateKey | None = None,
    signer: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Write stored records, failures too, to a file; packed where its name ends in ``.gz``.

    Parameters
    ----------
    engine, device_class : str, optional
        Only those of these.
    workloads : sequence of str, optional
        Only those of workloads with these hashes.
    sign : PrivateKey, optional
        Sign the file with this key.
    signer : str, optional
        What the signer calls itself.

    Raises
    ------
    NotFoundError
        There is nothing to write, or no such device class.
    UsageError
        The file can't be written.
    """
    path = writable(output, read=[] if store.path is None else [store.path])
    classes = classes_of(store)
    if device_class is not None and device_class not in classes:
        known = ", ".join(classes) or "none"
        raise NotFoundError(f"no device class {device_class} is stored; there are: {known}")
    seen: set[str] = set()
    named: set[str] = set()
    told: set[str] = set()
    trials = failed = 0
    pages = store.trials.pages(engine=engine, device_class=device_class, workloads=workloads)
    first = next(pages, None)
    if first is None:
        raise NotFoundError("no such trial is stored; nothing was written")
    by = None if sign is None else (sign.public.raw, signer)
    with writing(path) as raw, _packed(raw, path) as plain, _signed(plain, sign) as file:
        put_line(file, header_line(by))
        for page in itertools.chain([first], pages):
            for name in dict.fromkeys(trial.device_class for trial in page):
                if name not in named:
                    named.add(name)
                    put_line(file, {"device_class": class_line(classes.get(name) or classes_of(store)[name])})
            missing = [h for h in dict.fromkeys(trial.workload_hash for trial in page) if h not in seen]
            for workload in store.workloads.get_many(missing):
                put_line(file, {"workload": workload_line(workload)})
            seen.update(missing)
            for line in (toolchain_line(one.versions) for trial in page for one in trial.measurements):
                if line["name"] not in told:
                    told.add(line["name"])
                    put_line(file, {"toolchain": line})
            for trial in page:
                put_line(file, {"trial": trial_line(trial)})
            trials += len(page)
            failed += sum(trial.state is not TrialState.OK for trial in page)
            say(f"wrote {trials:,} trials")
    return Exported(path, trials, failed, len(seen), tuple(sorted(named)))


@contextlib.contextmanager
def _signed(file: IO[bytes], key: PrivateKey | None) -> Iterator[Written]:
    """Sign what was written, once all of it is."""
    if key is None:
        yield file
        return
    sealing = Sealing(file, key)
    yield sealing
    sealing.sign()


@contextlib.contextmanager
def _packed(raw: IO[bytes], path: pathlib.Path) -> Iterator[IO[bytes]]:
    """Write through gzip where the file's name asks for it."""
    if path.suffix != ".gz":
        yield raw
        return
    with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
        yield file  # type: ignore[misc]
