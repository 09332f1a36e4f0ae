"""Trials keep the times of being measured again, apart from those they were recorded with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; trials of before were measured once."""
    op.add_column("trials", sa.Column("again", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("trials", "again")
