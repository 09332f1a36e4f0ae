"""Records taken into a store in batches, whatever they come from."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from orchestrator.records.reports import BadLine, Imported
from orchestrator.records.source import Source
from orchestrator.storage import Storage, TrialRow
from workers.messages import DeviceInfo, TrialState

__all__ = ["BATCH", "take_trials"]

BATCH = 500
"""Trials of one transaction."""


def take_trials(
    store: Storage,
    name: str,
    trials: Iterator[TrialRow],
    source: Source,
    bad: tuple[BadLine, ...],
    dry_run: bool,
    say: Callable[[str], None],
) -> Imported:
    """Store trials in batches, and before each batch the workloads and device classes it refers to.

    Parameters
    ----------
    name : str
        What the trials come from, for people.
    source : Source
        Where what they refer to is looked up.
    bad : tuple of BadLine
        Lines that were left out; they are only handed on to the report.
    dry_run : bool
        Count what would be stored, and store nothing.
    say : callable
        Told after each batch how many there were.

    Raises
    ------
    StorageError
        A device class is stored as another device.
    """
    count = failed = imported = added = 0
    classes: set[str] = set()
    workloads: set[str] = set()
    # Candidates of this file or store that were counted as new in a dry run.
    fresh: set[tuple[str, str, str]] = set()
    while batch := _batch(trials):
        count += len(batch)
        failed += sum(trial.state is not TrialState.OK for trial in batch)
        new = [h for h in dict.fromkeys(trial.workload_hash for trial in batch) if h not in workloads]
        names = {trial.device_class for trial in batch} - classes
        workloads.update(new)
        classes |= names
        if dry_run:
            imported += _would_import(store, batch, fresh)
            added += store.trials.lacking(batch)
        else:
            for row in sorted((source.device_class(n) for n in names), key=lambda row: row.name):
                info = DeviceInfo(row.target, row.name, row.model, row.cores, row.kind)
                store.device_classes.put(row.engine, info)
            store.workloads.put(source.workloads(new))
            copied = store.trials.record_copies(batch)
            imported += copied.trials
            added += copied.measurements
        say(f"{'checked' if dry_run else 'took'} {count:,} trials")
    return Imported(
        source=name,
        device_classes=tuple(sorted(classes)),
        workloads=len(workloads),
        trials=count,
        failed=failed,
        stored_before=count - imported,
        imported=imported,
        added=added,
        bad=bad,
        dry_run=dry_run,
    )


def _would_import(store: Storage, batch: Sequence[TrialRow], fresh: set[tuple[str, str, str]]) -> int:
    """Count the trials of a batch that are not stored, nor among those counted before; add them to these."""
    before = len(fresh)
    pairs = dict.fromkeys((trial.workload_hash, trial.device_class) for trial in batch)
    known = {pair: store.trials.known_candidates(*pair) for pair in pairs}
    for trial in batch:
        pair = (trial.workload_hash, trial.device_class)
        if trial.candidate not in known[pair]:
            fresh.add((*pair, trial.candidate))
    return len(fresh) - before


def _batch(trials: Iterator[TrialRow]) -> list[TrialRow]:
    return list(itertools.islice(trials, BATCH))
