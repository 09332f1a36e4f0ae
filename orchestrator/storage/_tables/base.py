"""What all tables have in common."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Double,
    LargeBinary,
    MetaData,
    String,
)
from sqlalchemy.orm import DeclarativeBase

from orchestrator.storage._types import Instant

__all__ = ["Base"]


class Base(DeclarativeBase):
    """Constraints get names by rule, so that a migration can name what it drops on any database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own idiom
        str: String,
        float: Double,
        bytes: LargeBinary,
        datetime: Instant,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }
