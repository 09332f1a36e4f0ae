"""What any storage has to do, on each of the backends that :mod:`tests.kit.storage_backends` lists."""

import pytest

from tests.kit.storage_backends import postgres_template, storage, url_with_tables

__all__ = ["postgres_template", "storage", "url", "url_with_tables"]


@pytest.fixture
def url(url_with_tables: str) -> str:
    """URL of a database that nothing was stored in."""
    return url_with_tables
