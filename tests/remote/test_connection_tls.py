"""A service that speaks TLS, and who may come in: with a certificate of one's own, and with tokens."""

from __future__ import annotations

import datetime
import ipaddress
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchestrator.errors import ServerError, UsageError
from orchestrator.remote.address import ServerAddress
from orchestrator.remote.connection import connect
from orchestrator.storage import Storage, TokenScope
from tests.kit.cli_builders import put_campaign
from tests.kit.listening import listening
from tests.kit.service_client import token


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate for this machine that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(local, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    return files


def test_a_certificate_has_to_be_one_that_is_trusted(store: Storage, tmp_path: Path) -> None:
    own, key = certificate(tmp_path, "own")
    other, _ = certificate(tmp_path, "other")
    put_campaign(store)
    with listening(store, tmp_path / "uploads", certificate=own, key=key) as url:
        with connect(ServerAddress(url, ca=own)) as server:
            assert server.get("list", "campaigns")["campaigns"][0]["id"] == 1
        for ca in (other, None):
            with (
                connect(ServerAddress(url, ca=ca)) as server,
                pytest.raises(ServerError, match=r"not one that is trusted here .*--ca"),
            ):
                server.get("list", "campaigns")
        with (
            connect(ServerAddress(url.replace("https", "http"))) as server,
            pytest.raises(ServerError, match="broke off"),
        ):
            server.get("list", "campaigns")


def test_a_token_that_is_worth_nothing_is_told_with_what_to_do(store: Storage, tmp_path: Path) -> None:
    reader = token(store, TokenScope.READ, "eve")
    old = token(store, TokenScope.READ, "old", expires_s=0.01)
    revoked = token(store, TokenScope.READ, "bob")
    store.tokens.revoke("bob")
    time.sleep(0.02)
    with listening(store, tmp_path / "uploads") as url:
        with connect(ServerAddress(url, reader)) as server:
            server.get("list", "campaigns")
            with pytest.raises(UsageError, match="'eve' is for read; this takes submit"):
                server.post("pause", "campaigns", 1, "pause")
        for text, said in (
            (old, "was sent"),
            (revoked, "was sent"),
            ("x", "was sent"),
            (None, "no token"),
        ):
            with connect(ServerAddress(url, text)) as server, pytest.raises(UsageError, match=said) as caught:
                server.get("list", "campaigns")
            assert "--token-file" in str(caught.value)
            assert text is None or len(text) == 1 or text not in str(caught.value)
