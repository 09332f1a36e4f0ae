"""Models say what they were converted from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COLUMNS = {"source": sa.Text, "framework": sa.String, "exporter": sa.String}


def upgrade() -> None:
    """Add the columns; files that were stored before are ONNX files of whatever origin."""
    for name, kind in _COLUMNS.items():
        op.add_column("models", sa.Column(name, kind(), nullable=False, server_default=""))


def downgrade() -> None:
    """Drop them."""
    for name in _COLUMNS:
        op.drop_column("models", name)
