"""Where two layouts of a model are close, campaigns try both out, and what they decide is kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and to extractions which layout came next.

    Of those that were stored before, it isn't known whether any came close.
    """
    op.add_column("extractions", sa.Column("alternative", sa.String(), nullable=False, server_default=""))
    op.add_column("extractions", sa.Column("estimate_s", sa.Double(), nullable=True))
    op.add_column("extractions", sa.Column("alternative_s", sa.Double(), nullable=True))
    op.create_table(
        "layout_decisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=True),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("device_class_id", sa.Integer(), nullable=False),
        sa.Column("engine_version", sa.String(), nullable=False),
        sa.Column("chosen", sa.String(), nullable=False),
        sa.Column("other", sa.String(), nullable=False),
        sa.Column("chosen_s", sa.Double(), nullable=True),
        sa.Column("other_s", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_layout_decisions_campaign_id_campaigns"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["models.id"],
            name=op.f("fk_layout_decisions_model_id_models"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["device_class_id"],
            ["device_classes.id"],
            name=op.f("fk_layout_decisions_device_class_id_device_classes"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_layout_decisions")),
        sa.UniqueConstraint(
            "campaign_id",
            "model_id",
            "device_class_id",
            name=op.f("uq_layout_decisions_campaign_id_model_id_device_class_id"),
        ),
    )
    op.create_index(
        op.f("ix_layout_decisions_model_id_device_class_id"),
        "layout_decisions",
        ["model_id", "device_class_id"],
        unique=False,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("layout_decisions")
    for name in ("alternative_s", "estimate_s", "alternative"):
        op.drop_column("extractions", name)
