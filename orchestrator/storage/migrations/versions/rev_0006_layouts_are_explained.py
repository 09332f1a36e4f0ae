"""Extractions say which layout was chosen, and why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COLUMNS = ("layout", "layout_reason")


def upgrade() -> None:
    """Add the columns; of extractions of before nothing is known."""
    for name in _COLUMNS:
        op.add_column("extractions", sa.Column(name, sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    """Drop them."""
    for name in _COLUMNS:
        op.drop_column("extractions", name)
