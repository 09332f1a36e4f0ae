"""What any storage has to do, on each of the backends that :mod:`tests.kit.storage_backends` lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.storage_backends import BACKENDS, new_url, postgres_template, storage

__all__ = ["postgres_template", "storage", "url"]


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database that nothing was stored in; how its tables are made is no part of this."""
    with new_url(request.param, tmp_path, request, tables=True) as made:
        yield made
