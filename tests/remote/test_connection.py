"""What goes wrong on the way to a service is said in a sentence: who was asked, what it was, what to do."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx2
import pytest

from orchestrator.errors import NotFoundError, ServerError, UsageError
from orchestrator.remote.address import ServerAddress, server_address
from orchestrator.remote.connection import Connection, connect

_URL = "http://tuning.example"


def answering(status: int, content: bytes, **headers: str) -> Connection:
    """Return a connection to what answers so."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=content, headers=headers)

    return Connection(ServerAddress(_URL, "t0ken"), httpx2.Client(transport=httpx2.MockTransport(answer)))


def failing(error: Exception) -> Connection:
    """Return a connection on which that happens."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        raise error

    return Connection(ServerAddress(_URL), httpx2.Client(transport=httpx2.MockTransport(answer)))


def refusal(kind: str, message: str, exit_code: int = 2) -> bytes:
    import json

    error = {"kind": kind, "message": message, "exit_code": exit_code}
    return json.dumps({"schema": "tunefleet/error/1", "command": "GET /x", "error": error}).encode()


@pytest.mark.parametrize(
    ("connection", "kind", "said"),
    [
        (answering(404, refusal("NotFoundError", "no campaign 9", 3)), NotFoundError, "^no campaign 9$"),
        (
            answering(429, refusal("RefusedError", "the quota is used up")),
            UsageError,
            "^the quota is used up$",
        ),
        (answering(500, refusal("KeyError", "this is a bug", 1)), ServerError, "^this is a bug$"),
        (
            answering(401, refusal("RefusedError", "not known")),
            UsageError,
            "the token that was sent.*--token-file",
        ),
        (
            answering(413, b"<html>nginx</html>"),
            ServerError,
            "413 .*something before it",
        ),
        (answering(502, b""), ServerError, "502 Bad Gateway"),
        (answering(200, b"<html>hello</html>"), ServerError, "it is no tunefleet service"),
        (answering(200, b'{"schema": "tunefleet/list/2"}'), ServerError, "list/2 where tunefleet/list/1"),
        (
            answering(302, b"", location="https://sso.example/login?x=1"),
            ServerError,
            "sends on to https://sso.example:",
        ),
        (
            failing(httpx2.ConnectError("[Errno 111] Connection refused")),
            ServerError,
            "no service is reached",
        ),
        (failing(httpx2.ConnectTimeout("timed out")), ServerError, "doesn't answer"),
        (failing(httpx2.ReadError("")), ServerError, "broke off: ReadError"),
        (
            failing(
                httpx2.ConnectError(
                    "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed (_ssl.c:1)"
                )
            ),
            ServerError,
            r"not one that is trusted here \(self-signed\).*--ca",
        ),
        (
            failing(httpx2.ConnectError("[SSL: WRONG_VERSION_NUMBER] wrong version")),
            ServerError,
            "is it http://",
        ),
    ],
)
def test_each_failure_has_its_sentence(connection: Connection, kind: type[Exception], said: str) -> None:
    with connection, pytest.raises(kind, match=said) as caught:
        connection.get("list", "campaigns")
    assert "\n" not in str(caught.value)
    assert "t0ken" not in str(caught.value)


def test_a_name_of_any_characters_is_one_part_of_a_path() -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(200, json={"schema": "tunefleet/show/1"})

    with Connection(ServerAddress(_URL), httpx2.Client(transport=httpx2.MockTransport(answer))) as connection:
        connection.get(
            "show", "campaigns", "../a b?c#d/é", limit=None, state=["done", "failed"], dry_run=True
        )
    path, _, query = asked[0].partition("?")
    assert path == f"{_URL}/api/v1/campaigns/..%2Fa%20b%3Fc%23d%2F%C3%A9"
    assert query == "state=done&state=failed&dry_run=true"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("tuning.example:8085", "is no address such as"),
        ("ftp://tuning.example", "is no address such as"),
        ("http://", "is no address such as"),
        ("http://host:99999", "is no address such as"),
        ("http://[::1", "is no address such as"),
        ("https://me:secret@tuning.example", "TUNEFLEET_TOKEN or --token-file"),
    ],
)
def test_what_is_no_address_is_refused(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        server_address(url, None, None)
    assert "secret" not in str(caught.value)


def test_a_token_comes_from_a_file_or_a_variable_and_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("tunefleet_abc\n")
    monkeypatch.setenv("TUNEFLEET_TOKEN", "tunefleet_def")
    assert server_address("https://a.example/", None, None).token == "tunefleet_def"
    address = server_address("https://a.example/", file, None)
    assert (address.url, address.token) == ("https://a.example", "tunefleet_abc")
    assert "tunefleet_abc" not in repr(address)
    assert not address.in_the_clear
    assert server_address("http://a.example", file, None).in_the_clear
    assert not server_address("http://localhost:8085", file, None).in_the_clear
    file.write_text(" \n")
    for content, said in ((" \n", "is empty"), ("two words", "holds no token")):
        file.write_text(content)
        with pytest.raises(UsageError, match=said):
            server_address("https://a.example", file, None)
    with pytest.raises(UsageError, match="can't be read"):
        server_address("https://a.example", tmp_path / "none", None)


def test_certificates_that_are_none_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        server_address("https://a.example", None, tmp_path / "none")
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(UsageError, match="is no file of certificates"):
        connect(server_address("https://a.example", None, file))
    assert ssl.OPENSSL_VERSION
