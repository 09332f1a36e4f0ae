"""Measurements: what else came of measuring trials that are stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select

from orchestrator.storage._campaign_rows import require_lease
from orchestrator.storage._database import chunks
from orchestrator.storage._group import Group
from orchestrator.storage._measurement_rows import insert_measurements, measurements_of
from orchestrator.storage._tables import Trial
from orchestrator.storage._toolchain_rows import canonical, put_toolchains, with_release
from orchestrator.storage._trial_rows import measurement_values, of_pair
from orchestrator.storage.rows import MeasurementRow, NewMeasurement

__all__ = ["Measurements"]


class Measurements(Group):
    """Measurements of trials. The first of each comes with the trial: see :meth:`.Trials.record`.

    Written by the owner of the campaign that measured, or by who measured without one; read by anyone.
    """

    def add(
        self,
        measurements: Sequence[NewMeasurement],
        *,
        campaign_id: int | None = None,
        owner: str | None = None,
    ) -> int:
        """Add measurements to trials that are stored, in one transaction; return how many were new.

        The trial's state, cost and toolchain are from then on those of the measurement that counts: see
        :class:`.TrialRow`. One that is there already, by its trial, kind and token, changes nothing. Those of
        candidates that aren't stored are passed over.

        Parameters
        ----------
        campaign_id, owner : int, str or None
            Where both are given, ``owner`` must hold that campaign's lease; checked in the same transaction.

        Raises
        ------
        LeaseLostError
            It doesn't. Nothing was stored.
        ValueError
            A measurement is called ok without a time, or has times that are no numbers.
        """
        rows = []
        for one in measurements:
            values = measurement_values(one.measurement, one.kind, one.candidate)
            versions = canonical(with_release(one.versions))
            rows.append({**values, "token": one.token, "build_s": one.build_s, "versions": versions})

        def work(connection: Connection) -> int:
            if owner is not None and campaign_id is not None:
                require_lease(connection, campaign_id, owner)
            ids = _trial_ids(connection, measurements)
            toolchains = put_toolchains(connection, (row["versions"] for row in rows))
            values = []
            for one, row in zip(measurements, rows, strict=True):
                trial_id = ids.get((one.workload_hash, one.device_class, one.candidate))
                if trial_id is not None:
                    given = {name: value for name, value in row.items() if name != "versions"}
                    toolchain = {"toolchain_id": toolchains[row["versions"]]}
                    values.append({**given, **toolchain, "trial_id": trial_id, "counts": False})
            return insert_measurements(connection, values)

        return self._database.write(work) if rows else 0

    def of_trial(self, trial_id: int) -> list[MeasurementRow]:
        """Return all measurements of a trial, the first one first; none where there is no such trial."""
        return self.of_trials([trial_id]).get(trial_id, [])

    def of_trials(self, trial_ids: Collection[int]) -> dict[int, list[MeasurementRow]]:
        """Return all measurements of trials by their ids, the first of each first."""
        return self._database.read(lambda c: measurements_of(c, trial_ids))


def _trial_ids(
    connection: Connection, measurements: Sequence[NewMeasurement]
) -> dict[tuple[str, str, str], int]:
    """Return the ids of the trials that were measured, and have nobody else judge them meanwhile."""
    found: dict[tuple[str, str, str], int] = {}
    pairs = sorted({(one.workload_hash, one.device_class) for one in measurements})
    for pair in pairs:
        candidates = sorted(
            {one.candidate for one in measurements if (one.workload_hash, one.device_class) == pair}
        )
        for part in chunks(candidates):
            query = (
                select(Trial.id, Trial.candidate)
                .where(of_pair(*pair), Trial.candidate.in_(part))
                .order_by(Trial.id)
                .with_for_update()
            )
            found |= {(*pair, row.candidate): row.id for row in connection.execute(query)}
    return found
