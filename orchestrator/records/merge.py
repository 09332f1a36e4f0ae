"""The records of one database taken into another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.errors import StorageError
from orchestrator.records.device_classes import classes_of, difference_of
from orchestrator.records.reports import Imported
from orchestrator.records.take import take_trials
from orchestrator.storage import DeviceClassRow, Storage, TrialRow
from workers.messages import Workload

__all__ = ["merge_store"]


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
    known = classes_of(source)
    for name, row in known.items():
        here = store.device_classes.find(name)
        if here is not None and (problem := difference_of(here, row)):
            raise StorageError(f"the stores can't be merged: {problem}")
    pages = source.trials.pages(engine=engine, device_class=device_class)

    def trials() -> Iterator[TrialRow]:
        for page in pages:
            yield from page

    return take_trials(store, source.url, trials(), _OtherStore(source, known), (), dry_run, say)


@dataclass
class _OtherStore:
    """Looks the workloads and device classes of trials up in the store that they come from."""

    store: Storage
    classes: dict[str, DeviceClassRow]

    def device_class(self, name: str) -> DeviceClassRow:
        if name not in self.classes:
            self.classes = classes_of(self.store)
        return self.classes[name]

    def workloads(self, hashes: Sequence[str]) -> list[Workload]:
        return self.store.workloads.get_many(hashes)
