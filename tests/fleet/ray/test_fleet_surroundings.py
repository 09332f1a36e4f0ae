"""What a Ray of one's own finds around it: proxies, folders, its own ways to fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import ray

from orchestrator.errors import EngineError, UsageError
from orchestrator.fleet.ray.cluster import join_ray
from orchestrator.fleet.ray.proxies import leave_out_proxies
from orchestrator.fleet.ray.temporary import session_folder, why_unusable

_ALL = ("grpc_proxy", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "no_grpc_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: value for name, value in os.environ.items() if name.lower() not in _ALL}
    monkeypatch.setattr(os, "environ", kept)  # a copy: what is set in it is gone afterwards


def test_without_a_proxy_nothing_is_changed() -> None:
    before = dict(os.environ)
    leave_out_proxies("127.0.0.1")
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", ["grpc_proxy", "http_proxy", "https_proxy", "ALL_PROXY"])
def test_own_addresses_are_reached_without_the_proxy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.setenv("no_grpc_proxy", "")
    leave_out_proxies("localhost", "127.0.0.1")
    leave_out_proxies("localhost", "127.0.0.1")
    assert os.environ["no_proxy"] == "example.org,localhost,127.0.0.1"
    for variable in ("NO_PROXY", "no_grpc_proxy"):
        assert os.environ[variable] == "localhost,127.0.0.1"
    assert os.environ[name] == "http://127.0.0.1:9"


def test_a_folder_too_long_for_sockets_is_refused_before_ray_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    folder = tmp_path / ("n" * 70)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("it was started"))
    with pytest.raises(UsageError, match=r"TMPDIR is .* bytes too long for the sockets .* set TMPDIR"):
        join_ray(None, 1)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    assert session_folder() == ("/tmp", "RAY_TMPDIR")
    assert why_unusable() == ""


@pytest.mark.parametrize(
    "error", [Exception("The current node timed out during startup. This could."), OSError("x")]
)
def test_a_ray_that_does_not_start_is_ray_s_and_no_bug(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setenv("TMPDIR", "/tmp")
    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(
        EngineError, match=r"Ray did not start on this machine: .* try again when it is calmer; .*logs"
    ):
        join_ray(None, 1)
