"""Campaigns keep what their models' libraries took when they began, and onnxruntime beside them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table. Of campaigns that began before, it isn't known."""
    op.create_table(
        "beginnings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("device_class_id", sa.Integer(), nullable=False),
        sa.Column("library_s", sa.Double(), nullable=True),
        sa.Column("reference_s", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_beginnings_campaign_id_campaigns"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_beginnings_model_id_models"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["device_class_id"],
            ["device_classes.id"],
            name=op.f("fk_beginnings_device_class_id_device_classes"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_beginnings")),
        sa.UniqueConstraint(
            "campaign_id",
            "model_id",
            "device_class_id",
            name=op.f("uq_beginnings_campaign_id_model_id_device_class_id"),
        ),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("beginnings")
