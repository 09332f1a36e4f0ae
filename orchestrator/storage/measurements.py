"""Measurements: what else came of measuring trials that are stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, true, update

from orchestrator.storage._campaign_rows import require_named_lease
from orchestrator.storage._database import chunks
from orchestrator.storage._group import Group
from orchestrator.storage._ids import device_class_id, storable
from orchestrator.storage._measurement_rows import insert_measurements, measurements_of
from orchestrator.storage._standing import judge_anew
from orchestrator.storage._tables import DeviceCheck, Measurement, Trial
from orchestrator.storage._toolchain_rows import canonical, put_toolchains, with_release
from orchestrator.storage._trial_rows import measurement_values, of_pair
from orchestrator.storage.rows import MeasurementKey, MeasurementRow, NewDeviceCheck, NewMeasurement

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
            given = {"token": one.token, "build_s": one.build_s, "drift": one.drift}
            rows.append({**values, **given, "versions": versions})

        def work(connection: Connection) -> int:
            require_named_lease(connection, campaign_id, owner)
            ids = _trial_ids(
                connection, [(one.workload_hash, one.device_class, one.candidate) for one in measurements]
            )
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

    def mark(
        self,
        keys: Sequence[MeasurementKey],
        drift: float,
        *,
        campaign_id: int | None = None,
        owner: str | None = None,
    ) -> int:
        """Say of measurements that their device had drifted by so much; return how many are marked now.

        Trials are judged by what else was measured of them, where there is something. Measurements that
        aren't stored are passed over, and those that are marked stay as they are.

        Parameters
        ----------
        campaign_id, owner : int, str or None
            As for :meth:`add`.
        """

        def work(connection: Connection) -> int:
            require_named_lease(connection, campaign_id, owner)
            ids = _trial_ids(connection, [key[:3] for key in keys])
            of_token = [(ids[key[:3]], key.token) for key in keys if key[:3] in ids]
            counting = connection.execution_options(preserve_rowcount=True)
            table: Any = Measurement.__table__
            marked = 0
            for part in chunks(of_token):
                statement = (
                    update(table)
                    .where(
                        table.c.trial_id == bindparam("of"),
                        table.c.token == bindparam("by"),
                        table.c.drift.is_(None),
                    )
                    .values(drift=drift)
                )
                marked += counting.execute(statement, [{"of": of, "by": by} for of, by in part]).rowcount
            judge_anew(connection, {of for of, _ in of_token})
            return marked

        return self._database.write(work) if keys else 0

    def mark_unchecked(
        self,
        check: NewDeviceCheck,
        drift: float,
        *,
        campaign_id: int | None = None,
        owner: str | None = None,
    ) -> int:
        """Mark what was measured on a device after its latest stored check; return how many are marked now.

        Where none is stored, nothing is: nobody knows what the device was like.

        Parameters
        ----------
        check : NewDeviceCheck
            One that is about to be stored, of the device that had drifted by `drift`.
        campaign_id, owner : int, str or None
            As for :meth:`add`.
        """

        def work(connection: Connection) -> int:
            require_named_lease(connection, campaign_id, owner)
            place = device_class_id(connection, check.device_class)
            device, host = storable(check.device), storable(check.host)
            latest = (
                select(DeviceCheck.checked_at)
                .where(
                    DeviceCheck.device == device,
                    DeviceCheck.host == host,
                    DeviceCheck.device_class_id == place,
                )
                .order_by(DeviceCheck.id.desc())
                .limit(1)
                .scalar_subquery()
            )
            found = (
                select(Measurement.id, Measurement.trial_id)
                .join(Trial, Trial.id == Measurement.trial_id)
                .where(
                    Measurement.measured_at > latest,
                    Measurement.device == device,
                    Measurement.host == host,
                    Measurement.drift.is_(None),
                    Trial.device_class_id == place,
                )
            )
            rows = connection.execute(found).all()
            for part in chunks([row.id for row in rows]):
                connection.execute(update(Measurement).where(Measurement.id.in_(part)).values(drift=drift))
            judge_anew(connection, {row.trial_id for row in rows})
            return len(rows)

        return self._database.write(work)

    def drifts(self, trial_ids: Collection[int]) -> dict[int, float]:
        """Return by how much the devices had drifted on which trials were measured, of those that had.

        Of the measurement that counts, by the trials' ids.
        """
        found: dict[int, float] = {}

        def work(connection: Connection) -> dict[int, float]:
            for part in chunks(sorted(trial_ids)):
                query = select(Measurement.trial_id, Measurement.drift).where(
                    Measurement.trial_id.in_(part),
                    Measurement.counts == true(),
                    Measurement.drift.is_not(None),
                )
                found.update((row.trial_id, row.drift) for row in connection.execute(query))
            return found

        return self._database.read(work)

    def of_trial(self, trial_id: int) -> list[MeasurementRow]:
        """Return all measurements of a trial, the first one first; none where there is no such trial."""
        return self.of_trials([trial_id]).get(trial_id, [])

    def of_trials(self, trial_ids: Collection[int]) -> dict[int, list[MeasurementRow]]:
        """Return all measurements of trials by their ids, the first of each first."""
        return self._database.read(lambda c: measurements_of(c, trial_ids))


def _trial_ids(
    connection: Connection, measured: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], int]:
    """Return the ids of the trials that were measured, and have nobody else judge them meanwhile."""
    found: dict[tuple[str, str, str], int] = {}
    for pair in sorted({one[:2] for one in measured}):
        candidates = sorted({one[2] for one in measured if one[:2] == pair})
        for part in chunks(candidates):
            query = (
                select(Trial.id, Trial.candidate)
                .where(of_pair(*pair), Trial.candidate.in_(part))
                .order_by(Trial.id)
                .with_for_update()
            )
            found |= {(*pair, row.candidate): row.id for row in connection.execute(query)}
    return found
