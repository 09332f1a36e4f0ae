"""What searches have learned, kept for later campaigns."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Select, delete, func, select

from orchestrator.storage._group import Group
from orchestrator.storage._ids import device_class_id, insert_row, workload_ids
from orchestrator.storage._tables import CostModelRow, CostSamples
from orchestrator.storage.rows import Experience, NewSamples

__all__ = ["CostModels"]

#: Trials of which samples are kept for each kind and device class; the oldest go first.
KEPT = 6000
# Trials that a campaign begins with: training on more takes longer than it helps. Those of other device
# classes count for less by being fewer.
_OWN, _OTHERS = 1000, 500


class CostModels(Group):
    """Samples that cost models are trained on, and the latest model of each device class.

    Samples of one `kind` can be trained on together: the same engine and features, vectors as wide. All of it
    can be had again by measuring, and nothing of it is a measurement.
    """

    def learned(
        self,
        device_class: str,
        kind: str,
        samples: Sequence[NewSamples],
        model: bytes | None,
        trained_on: int,
        *,
        campaign_id: int | None = None,
    ) -> None:
        """Keep what a campaign's searches learned, and its model in the place of the one before.

        Raises
        ------
        NotFoundError
            A workload or the device class isn't stored.
        """

        def work(connection: Connection) -> None:
            place = device_class_id(connection, device_class)
            ids = workload_ids(connection, [one.workload_hash for one in samples])
            for one in samples:
                values = {
                    "device_class_id": place,
                    "workload_id": ids[one.workload_hash],
                    "campaign_id": campaign_id,
                    "kind": kind,
                    "count": one.count,
                    "samples": one.samples,
                }
                insert_row(connection, CostSamples, values)
            _drop_oldest(connection, place, kind)
            if model is not None:
                here = (CostModelRow.device_class_id == place, CostModelRow.kind == kind)
                connection.execute(delete(CostModelRow).where(*here))
                values = {"device_class_id": place, "kind": kind, "trained_on": trained_on, "model": model}
                insert_row(connection, CostModelRow, values)

        self._database.write(work)

    def has_model(self, device_class: str, kind: str) -> bool:
        """Say whether there is a model trained on samples of a kind, for a device class."""

        def work(connection: Connection) -> bool:
            query = _model(device_class_id(connection, device_class), kind)
            return connection.execute(query).first() is not None

        return self._database.read(work)

    def experience(self, device_class: str, kind: str) -> Experience:
        """Return what a campaign on a device class begins with.

        That is the latest samples of it, and some of other device classes, of workloads that it has none of:
        costs of one workload on two of them can't be compared.
        """

        def work(connection: Connection) -> Experience:
            place = device_class_id(connection, device_class)
            own = CostSamples.device_class_id == place
            taken, count, known = _latest(connection, _samples(kind).where(own), _OWN)
            others, more, _ = _latest(
                connection, _samples(kind).where(~own, CostSamples.workload_id.not_in(known)), _OTHERS
            )
            model = connection.execute(_model(place, kind)).scalar_one_or_none()
            return Experience((*taken, *others), count + more, model)

        return self._database.read(work)


def _model(place: int, kind: str) -> Select[bytes]:
    """Select the model of a device class."""
    return select(CostModelRow.model).where(CostModelRow.device_class_id == place, CostModelRow.kind == kind)


def _samples(kind: str) -> Select[int, int, int, bytes]:
    """Select samples of a kind, the latest first."""
    return (
        select(CostSamples.workload_id, CostSamples.device_class_id, CostSamples.count, CostSamples.samples)
        .where(CostSamples.kind == kind)
        .order_by(CostSamples.id.desc())
    )


def _latest(
    connection: Connection, query: Select[int, int, int, bytes], most: int
) -> tuple[list[bytes], int, set[int]]:
    """Take samples until they are of so many trials; each workload's of one device class alone."""
    taken: list[bytes] = []
    count, of = 0, dict[int, int]()
    # Of a row there are 1 to 16 trials, so that these are always enough.
    for workload, place, trials, samples in connection.execute(query.limit(most)):
        if count >= most:
            break
        if of.setdefault(workload, place) == place:
            taken.append(samples)
            count += trials
    return taken, count, set(of)


def _drop_oldest(connection: Connection, place: int, kind: str) -> None:
    here = (CostSamples.device_class_id == place, CostSamples.kind == kind)
    newer = (func.sum(CostSamples.count).over(order_by=CostSamples.id.desc()) - CostSamples.count).label(
        "newer"
    )
    counted = select(CostSamples.id, newer).where(*here).subquery()
    old = select(counted.c.id).where(counted.c.newer >= KEPT)
    connection.execute(delete(CostSamples).where(CostSamples.id.in_(old)))
