"""Devices are kept as they stand: what a coordinator last saw of each, for others to read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of devices seen before, nothing more is known than that they were."""
    op.add_column("devices", sa.Column("state", sa.String(), nullable=False, server_default="seen"))
    op.add_column("devices", sa.Column("message", sa.Text(), nullable=False, server_default=""))
    op.add_column("devices", sa.Column("trials_per_hour", sa.Double(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    for name in ("trials_per_hour", "message", "state"):
        op.drop_column("devices", name)
