"""What a known kernel took on devices while campaigns measured there, and marks where that drifted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and a column that is empty for all there is: no row of a million is written anew."""
    op.create_table(
        "device_checks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=True),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("device_class_id", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("toolchain_id", sa.Integer(), nullable=False),
        sa.Column("kernel", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("at_s", sa.Double(), nullable=False),
        sa.Column("times", sa.JSON(), nullable=False),
        sa.Column("time_s", sa.Double(), nullable=True),
        sa.Column("reference_s", sa.Double(), nullable=True),
        sa.Column("drift", sa.Double(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("marked", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("clock_mhz", sa.Double(), nullable=True),
        sa.Column("governor", sa.String(), nullable=True),
        sa.Column("load", sa.Double(), nullable=True),
        sa.Column("temperature_c", sa.Double(), nullable=True),
        sa.Column("throttle_count", sa.BigInteger(), nullable=True),
        sa.Column("throttling", sa.String(), nullable=True),
        sa.Column("stolen_s", sa.Double(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_device_checks_campaign_id_campaigns"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["device_class_id"],
            ["device_classes.id"],
            name=op.f("fk_device_checks_device_class_id_device_classes"),
        ),
        sa.ForeignKeyConstraint(
            ["toolchain_id"], ["toolchains.id"], name=op.f("fk_device_checks_toolchain_id_toolchains")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_checks")),
    )
    op.create_index("ix_device_checks_campaign_id_id", "device_checks", ["campaign_id", "id"], unique=False)
    op.create_index(
        "ix_device_checks_of_device",
        "device_checks",
        ["device", "host", "device_class_id", "id"],
        unique=False,
    )
    # Both databases add such a column without touching a row.
    op.add_column("measurements", sa.Column("drift", sa.Double(), nullable=True))
    op.create_index(
        "ix_measurements_drifted",
        "measurements",
        ["trial_id"],
        unique=False,
        sqlite_where=sa.text("drift IS NOT NULL"),
        postgresql_where=sa.text("drift IS NOT NULL"),
    )


def downgrade() -> None:
    """Drop both."""
    op.drop_index("ix_measurements_drifted", "measurements")
    with op.batch_alter_table("measurements") as table:
        table.drop_column("drift")
    op.drop_table("device_checks")
