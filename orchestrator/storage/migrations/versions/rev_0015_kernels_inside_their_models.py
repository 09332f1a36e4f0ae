"""What kernels take inside their models is kept, beside what they take alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_UNIQUE = ["model_id", "device_class_id", "workload_id"]


def upgrade() -> None:
    """Add the table. Of models before, nobody looked."""
    op.create_table(
        "inside_times",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("device_class_id", sa.Integer(), nullable=False),
        sa.Column("workload_id", sa.Integer(), nullable=False),
        sa.Column("candidate", sa.String(), nullable=False),
        sa.Column("toolchain", sa.String(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_inside_times_model_id_models"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["device_class_id"],
            ["device_classes.id"],
            name=op.f("fk_inside_times_device_class_id_device_classes"),
        ),
        sa.ForeignKeyConstraint(
            ["workload_id"], ["workloads.id"], name=op.f("fk_inside_times_workload_id_workloads")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inside_times")),
        sa.UniqueConstraint(*_UNIQUE, name=op.f("uq_inside_times_model_id_device_class_id_workload_id")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("inside_times")
