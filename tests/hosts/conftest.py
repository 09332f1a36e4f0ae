"""A network of hosts for each test, and a Ray cluster on two of them."""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.host_cluster import HEALTH, Cluster
from tests.kit.separate_hosts import Network, missing
from tests.kit.tiny_models import save

_missing = functools.cache(missing)


@pytest.fixture(scope="session")
def require() -> Callable[[str], None]:
    """Skips a test that lacks something; fails it where TUNEFLEET_TEST_HOSTS=1 asks for these tests."""

    def check(why: str) -> None:
        if why and os.environ.get("TUNEFLEET_TEST_HOSTS") == "1":
            pytest.fail(f"TUNEFLEET_TEST_HOSTS=1 asks for the tests on hosts, but {why}")
        if why:
            pytest.skip(why)

    return check


@pytest.fixture
def network(require: Callable[[str], None]) -> Iterator[Network]:
    """A network without hosts. A test that asks for it is skipped where none can be made."""
    require(_missing())
    # Not pytest's own folder, whose path is too long for the sockets that Ray makes below it.
    folder = Path(tempfile.mkdtemp(prefix="hosts-"))
    made = Network(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(network: Network) -> Cluster:
    """Head and CPU node, both up, and a model on the head."""
    made = Cluster(
        network, network.host("head", 10, **HEALTH), network.host("cpu", 11, **HEALTH), secrets.token_hex(32)
    )
    # Larger than in other tests: its tasks have more candidates than any campaign here asks for.
    save(made.head.home / "tiny.onnx", channels=16, outputs=32)
    made.start_head()
    made.join(made.cpu)
    return made
