"""Workloads are found by what they are called: records of the like start a cost model."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.create_index(op.f("ix_workloads_engine_name_id"), "workloads", ["engine", "name", "id"], unique=False)


def downgrade() -> None:
    """Drop it."""
    op.drop_index(op.f("ix_workloads_engine_name_id"), table_name="workloads")
