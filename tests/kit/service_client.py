"""A service on a store, asked in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from orchestrator.service.access.secrets import new_token
from orchestrator.service.app import make_app
from orchestrator.service.parts import make_parts
from orchestrator.service.settings import ServiceSettings
from orchestrator.storage import NewToken, Storage, TokenScope

__all__ = ["API", "LOOPBACK", "bearer", "client_of", "error_of", "token"]

API = "/api/v1"
#: Address and port of a client on the service's own machine.
LOOPBACK = ("127.0.0.1", 50000)


def client_of(store: Storage, files: Path, *, host: str = "127.0.0.1", **settings: Any) -> TestClient:
    """Return a client of a service, as a browser on this machine is one."""
    parts = make_parts(store, ServiceSettings(db=store.url, files=files, host=host, **settings))
    # Nothing is good for a second here: a test looks at once.
    parts.recent._seconds = 0.0
    client = TestClient(
        make_app(parts), base_url="http://127.0.0.1:8085", follow_redirects=False, client=LOOPBACK
    )
    client.headers["sec-fetch-site"] = "same-origin"
    return client


def token(store: Storage, scope: TokenScope = TokenScope.ADMIN, name: str = "ada", **quotas: Any) -> str:
    """Make a token and return it."""
    text, digest = new_token()
    store.tokens.create(NewToken(name, digest, scope, **quotas))
    return text


def bearer(text: str) -> dict[str, str]:
    """Return the header that a token is sent in."""
    return {"Authorization": f"Bearer {text}"}


def error_of(answer: Any, status: int) -> str:
    """Return the sentence of a refusal, which is the document `error`."""
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert document["schema"] == "tunefleet/error/1"
    message: str = document["error"]["message"]
    assert message
    assert "Traceback" not in message
    assert "\n" not in message
    return message
