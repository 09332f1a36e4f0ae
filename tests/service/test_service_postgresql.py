"""The service on PostgreSQL: its pages, and the API that a client asks."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from orchestrator.storage import Storage
from tests.kit.cli_builders import begin, put_campaign, tuned
from tests.kit.served_cli import ServedCli
from tests.kit.service_client import API, client_of, error_of, token
from tests.kit.storage_backends import new_url
from tests.kit.tiny_models import tiny

_PAGES = (
    *("/", "/campaigns/1", "/campaigns/2", "/models", "/models/1", "/devices", "/store", "/access"),
    "/compare?first=1&second=2",
)


def with_password(url: str) -> str:
    """Return a database's URL with a password in it, whether the server asks for one or not."""
    made = make_url(url)
    return made.set(password=made.password or "never-shown").render_as_string(hide_password=False)


def test_pages_and_api_answer_from_postgresql(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with new_url("postgresql", tmp_path, request) as made, Storage.open(with_password(made)) as store:
        secret = make_url(with_password(made)).password
        assert secret
        tuned(store, name="nightly <b>")
        begin(store, put_campaign(store, time_s=600))
        with client_of(store, tmp_path / "files") as client:
            for path in _PAGES:
                answer = client.get(path)
                assert answer.status_code == 200, path
                assert "nightly <b>" not in answer.text
            assert "cpu:0" in client.get("/campaigns/1").text
            assert ":***@" in client.get("/store").text
            for path in ("/metrics", f"{API}/audit", f"{API}/campaigns/1/report", f"{API}/records"):
                assert client.get(path).status_code == 200, path
            for path in (*_PAGES, f"{API}/statistics", f"{API}/campaigns/1/report"):
                assert secret not in client.get(path).text, path
            error_of(client.get(f"{API}/campaigns/x'; DROP TABLE campaigns; --"), 404)
            for path in ("/campaigns/%00", "/workloads/%00/history"):
                error_of(client.get(f"{API}{path}"), 404)
            for path in ("/best?engine=%00", "/failures?campaign=%00", "/records?engine=a%00"):
                assert "holds a NUL" in error_of(client.get(f"{API}{path}"), 400)
        served = ServedCli(store, tmp_path / "files", tmp_path / "records.db")
        model = tmp_path / "net.onnx"
        model.write_bytes(tiny().SerializeToString())
        for words in (
            *(["list"], ["show", "1"], ["trials", "1"], ["best"], ["history", "--workload", "0001"]),
            *(["failures"], ["devices"], ["records", "stats"], ["compare", "1", "2"]),
            *(["submit", str(model), "--name", "mine"], ["pause", "mine"], ["cancel", "mine"]),
        ):
            told = served(*words)
            assert told.code == 0, (words, told.err)
        token(store)
        with client_of(store, tmp_path / "files") as client:
            assert "this needs a token" in error_of(client.get(f"{API}/campaigns"), 401)
