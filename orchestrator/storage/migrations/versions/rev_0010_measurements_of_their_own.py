"""Measurements are rows of their own, many for a trial, each with the toolchain that it was made with.

Every time that was stored is a measurement afterwards: the one that a trial was recorded with, and the one of
being measured again where there was any. What was measured with is made of what each trial said of it; where
that names no compiler, the toolchain is unknown. A device class is measured with what its last trial was.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TEXTS = ("key", "tvm", "llvm", "engine", "kernels", "driver", "tunefleet")
_MOVED = ("times", "again", "message", "device", "host", "versions", "build_s", "run_s", "token")
# Of a trial, in the order in which it is written.
_KEPT = "id, workload_id, device_class_id, candidate, trace, state, cost_s"
_REST = "campaign_id, created_at"


def upgrade() -> None:
    """Add the tables, and move to them what was in the trials."""
    op.add_column("device_classes", sa.Column("toolchain", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "toolchains",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in _TEXTS),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_toolchains")),
        sa.UniqueConstraint("versions", name=op.f("uq_toolchains_versions")),
    )
    op.create_index(op.f("ix_toolchains_key"), "toolchains", ["key"], unique=False)
    connection = op.get_bind()
    known = _toolchains(connection)
    if connection.dialect.name == "sqlite":
        _move_by_copying(connection, known)
    else:
        _move_in_place(connection, known)
    last = "SELECT toolchain FROM trials WHERE id = (SELECT max(id) FROM trials WHERE device_class_id = d.id)"
    connection.execute(sa.text(f"UPDATE device_classes AS d SET toolchain = coalesce(({last}), '')"))


def _toolchains(connection: sa.Connection) -> dict[str, tuple[int, str]]:
    """Insert what trials were measured with; return its id and key, by the text in which they have it."""
    found = connection.execute(
        sa.text(
            "SELECT CAST(versions AS TEXT) AS versions, min(created_at) AS created_at FROM trials "
            "GROUP BY CAST(versions AS TEXT) ORDER BY min(id)"
        ).columns(versions=sa.Text(), created_at=sa.DateTime(timezone=True))
    ).all()
    table = sa.table(
        "toolchains",
        sa.column("id", sa.Integer()),
        sa.column("versions", sa.Text()),
        *(sa.column(name, sa.String()) for name in _TEXTS),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    known: dict[str, tuple[int, str]] = {}
    ids: dict[str, int] = {}
    for row in found:
        said = json.loads(row.versions)
        text = json.dumps(said, sort_keys=True, ensure_ascii=False)
        if text not in ids:
            ids[text] = len(ids) + 1
            values = {name: str(said.get(name, "")) for name in _TEXTS[1:]}
            connection.execute(
                table.insert().values(versions=text, key=_key(said), created_at=row.created_at, **values)
            )
            ids[text] = connection.execute(sa.select(table.c.id).where(table.c.versions == text)).scalar_one()
        known[row.versions] = ids[text], _key(said)
    return known


def _key(versions: dict[str, str]) -> str:
    """Name what compares, as release 0.2 does; written out here, so that this stays as it is."""
    parts = {
        name: text
        for name, text in versions.items()
        if name not in ("engine", "tunefleet", "imported") and text
    }
    canonical = json.dumps({"kernels": "1", **parts}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _move_by_copying(connection: sa.Connection, known: dict[str, tuple[int, str]]) -> None:
    """Copy the trials into a new table: SQLite would copy them once for each column that goes."""
    for index in (
        "ix_trials_workload_id_device_class_id_cost_s_id_campaign_id",
        "ix_trials_campaign_id_id",
    ):
        op.drop_index(index, "trials")
    # Nothing refers to trials yet, so that neither this nor dropping the old table touches other tables.
    op.rename_table("trials", "trials_of_0009")
    _create_trials()
    for text, (_, key) in known.items():
        connection.execute(
            sa.text(
                f"INSERT INTO trials ({_KEPT}, toolchain, {_REST}) SELECT {_KEPT}, :key, {_REST} "
                "FROM trials_of_0009 WHERE CAST(versions AS TEXT) = :text"
            ),
            {"key": key, "text": text},
        )
    _create_measurements()
    _fill_measurements(connection, "trials_of_0009", known)
    # No id of a trial that was deleted may come back.
    connection.execute(
        sa.text(
            "UPDATE sqlite_sequence SET seq = max(seq, coalesce("
            "(SELECT seq FROM sqlite_sequence WHERE name = 'trials_of_0009'), 0)) WHERE name = 'trials'"
        )
    )
    connection.execute(
        sa.text(
            "INSERT INTO sqlite_sequence (name, seq) SELECT 'trials', seq FROM sqlite_sequence "
            "WHERE name = 'trials_of_0009' "
            "AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'trials')"
        )
    )
    op.drop_table("trials_of_0009")
    _create_indexes()


def _move_in_place(connection: sa.Connection, known: dict[str, tuple[int, str]]) -> None:
    op.add_column("trials", sa.Column("toolchain", sa.String(), nullable=True))
    for text, (_, key) in known.items():
        connection.execute(
            sa.text("UPDATE trials SET toolchain = :key WHERE CAST(versions AS TEXT) = :text"),
            {"key": key, "text": text},
        )
    op.alter_column("trials", "toolchain", nullable=False)
    _create_measurements()
    _fill_measurements(connection, "trials", known)
    op.drop_index("ix_trials_workload_id_device_class_id_cost_s_id_campaign_id", "trials")
    for name in _MOVED:
        op.drop_column("trials", name)
    op.create_index(
        "ix_trials_best",
        "trials",
        ["workload_id", "device_class_id", "toolchain", "cost_s", "id", "campaign_id"],
        unique=False,
    )


def _create_trials() -> None:
    op.create_table(
        "trials",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("workload_id", sa.Integer(), nullable=False),
        sa.Column("device_class_id", sa.Integer(), nullable=False),
        sa.Column("candidate", sa.String(), nullable=False),
        sa.Column("trace", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("cost_s", sa.Double(), nullable=True),
        sa.Column("toolchain", sa.String(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_trials_campaign_id_campaigns"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["device_class_id"], ["device_classes.id"], name=op.f("fk_trials_device_class_id_device_classes")
        ),
        sa.ForeignKeyConstraint(
            ["workload_id"], ["workloads.id"], name=op.f("fk_trials_workload_id_workloads")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trials")),
        sa.UniqueConstraint(
            "workload_id",
            "device_class_id",
            "candidate",
            name=op.f("uq_trials_workload_id_device_class_id_candidate"),
        ),
        sqlite_autoincrement=True,
    )


def _create_indexes() -> None:
    op.create_index(
        "ix_trials_best",
        "trials",
        ["workload_id", "device_class_id", "toolchain", "cost_s", "id", "campaign_id"],
        unique=False,
    )
    op.create_index(op.f("ix_trials_campaign_id_id"), "trials", ["campaign_id", "id"], unique=False)


def _create_measurements() -> None:
    op.create_table(
        "measurements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("toolchain_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("counts", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("times", sa.JSON(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("build_s", sa.Double(), nullable=False),
        sa.Column("run_s", sa.Double(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["trials.id"], name=op.f("fk_measurements_trial_id_trials"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["toolchain_id"], ["toolchains.id"], name=op.f("fk_measurements_toolchain_id_toolchains")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_measurements")),
        sa.UniqueConstraint("trial_id", "kind", "token", name=op.f("uq_measurements_trial_id_kind_token")),
    )
    op.create_index(
        "ix_measurements_set_aside",
        "measurements",
        ["toolchain_id"],
        unique=False,
        sqlite_where=sa.text("NOT counts"),
        postgresql_where=sa.text("NOT counts"),
    )


def _fill_measurements(connection: sa.Connection, trials: str, known: dict[str, tuple[int, str]]) -> None:
    """Make measurements of the times that trials have: those they began with, and those taken again."""
    once = "CAST(again AS TEXT) = '[]'"
    # That it wasn't timed in full a good trial's message says, and nothing else does.
    short = "state = 'ok' AND message <> ''"
    kind = f"CASE WHEN {{imported}} THEN 'imported' WHEN {short} THEN 'short' ELSE 'full' END"
    same = "device, host, build_s, run_s, token, created_at"
    into = f"INSERT INTO measurements (trial_id, toolchain_id, kind, counts, state, times, message, {_NEW})"
    for text, (toolchain_id, _) in known.items():
        imported = "1 = 1" if "imported" in json.loads(text) else "1 = 0"
        where = f"FROM {trials} WHERE CAST(versions AS TEXT) = :text"
        given: dict[str, Any] = {"toolchain_id": toolchain_id, "text": text}
        connection.execute(
            sa.text(
                f"{into} SELECT id, :toolchain_id, {kind.format(imported=imported)}, {once}, state, times, "
                f"message, {same} {where} ORDER BY id"
            ),
            given,
        )
        connection.execute(
            sa.text(
                f"{into} SELECT id, :toolchain_id, 'again', {_true(connection)}, state, again, '', {same} "
                f"{where} AND NOT {once} ORDER BY id"
            ),
            given,
        )


_NEW = "device, host, build_s, run_s, token, measured_at"


def _true(connection: sa.Connection) -> str:
    return "1" if connection.dialect.name == "sqlite" else "true"


def downgrade() -> None:
    """Refuse: trials have room for two measurements, and there may be more."""
    raise NotImplementedError("a database of revision 0010 keeps more than one of 0009 has room for")
