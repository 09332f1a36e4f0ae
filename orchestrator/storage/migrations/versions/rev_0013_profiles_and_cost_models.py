"""Models keep where their time went; cost models, and what they learn from, outlive their campaign."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables. Of trials before, there are no samples."""
    op.create_table(
        "profiles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("device_class_id", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_profiles_model_id_models"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["device_class_id"],
            ["device_classes.id"],
            name=op.f("fk_profiles_device_class_id_device_classes"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profiles")),
    )
    op.create_index(op.f("ix_profiles_model_id_device_class_id"), "profiles", ["model_id", "device_class_id"])
    op.create_table(
        "cost_samples",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device_class_id", sa.Integer(), nullable=False),
        sa.Column("workload_id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("samples", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_class_id"],
            ["device_classes.id"],
            name=op.f("fk_cost_samples_device_class_id_device_classes"),
        ),
        sa.ForeignKeyConstraint(
            ["workload_id"], ["workloads.id"], name=op.f("fk_cost_samples_workload_id_workloads")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_cost_samples_campaign_id_campaigns"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cost_samples")),
    )
    op.create_index(
        op.f("ix_cost_samples_kind_device_class_id_id"), "cost_samples", ["kind", "device_class_id", "id"]
    )
    op.create_table(
        "cost_models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device_class_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("trained_on", sa.Integer(), nullable=False),
        sa.Column("model", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_class_id"],
            ["device_classes.id"],
            name=op.f("fk_cost_models_device_class_id_device_classes"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cost_models")),
        sa.UniqueConstraint("device_class_id", "kind", name=op.f("uq_cost_models_device_class_id_kind")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("cost_models")
    op.drop_table("cost_samples")
    op.drop_table("profiles")
