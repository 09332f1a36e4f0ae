"""Commands around the service: tokens, serving."""

from __future__ import annotations

import pytest

from orchestrator.service.access.secrets import digest_of
from orchestrator.storage import Storage, TokenScope
from tests.kit.cli_builders import Cli
from tests.kit.documented import assert_documented


def test_a_token_is_shown_once_and_stored_as_its_digest(cli: Cli, store: Storage) -> None:
    answer = cli("tokens", "create", "ada", "--scope", "submit", "--expires", "90d", "--upload-limit", "100")
    assert answer.code == 0, answer.err
    text = answer.out.strip()
    # 32 bytes are 43 letters.
    assert len(text) == len("tunefleet_") + 43
    row = store.tokens.find(digest_of(text))
    assert row is not None
    assert (row.name, row.scope, row.upload_bytes, row.live) == ("ada", TokenScope.SUBMIT, 100 * 2**20, True)
    assert text not in cli("tokens", "list").out
    assert text.encode() not in cli.db.read_bytes()
    assert cli("tokens", "create", "ada").code == 2
    assert cli("tokens", "revoke", "ada").code == 0
    assert cli("tokens", "revoke", "bob").code == 3
    assert "revoked" in cli("tokens", "list").out


def test_who_was_given_a_token_and_lost_it_is_in_the_audit(cli: Cli, store: Storage) -> None:
    text = cli("tokens", "create", "ada", "--scope", "submit").out.strip()
    assert cli("tokens", "create", "ada").code == 2
    assert cli("tokens", "revoke", "bob").code == 3
    assert cli("tokens", "revoke", "ada").code == 0
    rows = store.audit.newest()
    assert [(row.action, row.subject, row.who, row.token_id, row.detail) for row in rows] == [
        (f"{action} token", "ada", "(command)", None, {"scope": "submit"}) for action in ("revoke", "create")
    ]
    assert text not in str(rows)


def test_tokens_commands_write_what_is_documented(cli: Cli, store: Storage) -> None:
    for words in (["create", "ada"], ["list"], ["revoke", "ada"]):
        answer = cli("tokens", *words, "--json")
        assert answer.code == 0, answer.err
        assert_documented(answer.document)


@pytest.mark.parametrize("words", [["--expires", "soon"], ["--expires", "0d"], ["--scope", "root"]])
def test_a_token_that_can_t_be_right_is_not_made(cli: Cli, store: Storage, words: list[str]) -> None:
    assert cli("tokens", "create", "ada", *words).code == 2
    assert cli("tokens", "create", " ").code == 2
    assert store.tokens.all() == []


def test_a_service_that_can_t_be_started_says_why(cli: Cli, store: Storage) -> None:
    for words, said in (
        (["--host", "0.0.0.0"], "there is no token"),
        (["--host", "203.0.113.7"], "listened on"),
        (["--tls-cert", "missing.pem"], "belong together"),
        (["--tls-cert", "missing.pem", "--tls-key", "missing.key"], "no certificate"),
    ):
        answer = cli("serve", "--port", "0", *words)
        assert answer.code == 2, answer.err
        # The line is broken where the terminal ends.
        assert said.split()[-1] in answer.err
