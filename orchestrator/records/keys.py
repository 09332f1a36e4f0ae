"""Ed25519 keys that files of records are signed with and checked against: PEM files, as openssl writes them.

Private keys are PKCS #8 (``openssl genpkey -algorithm ed25519``), public ones SubjectPublicKeyInfo
(``openssl pkey -pubout``). The signatures are those of RFC 8032.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import pathlib
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError
from orchestrator.files import writable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = [
    "PASSPHRASE_VARIABLE",
    "PrivateKey",
    "PublicKey",
    "can_check",
    "fingerprint",
    "make_keys",
    "read_private",
    "read_public",
]

#: Where the passphrase of an encrypted key is looked for.
PASSPHRASE_VARIABLE = "TUNEFLEET_SIGN_PASSPHRASE"
# So that a signature made for anything else is none of these.
_CONTEXT = b"tunefleet-records signature 1\n"


@dataclass(frozen=True)
class PublicKey:
    """Who may have signed.

    Attributes
    ----------
    raw : bytes
        The 32 bytes of it.
    """

    raw: bytes

    @property
    def name(self) -> str:
        """Its fingerprint."""
        return fingerprint(self.raw)

    def signed(self, digest: bytes, signature: bytes) -> bool:
        """Say whether a signature of a digest is this key's; of what is no key none is."""
        _require_cryptography()
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, _CONTEXT + digest)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class PrivateKey:
    """Who signs.

    Attributes
    ----------
    readable_by_others : bool
        Its file can be read by other accounts.
    """

    key: Ed25519PrivateKey
    readable_by_others: bool = False

    @property
    def public(self) -> PublicKey:
        """What checks its signatures."""
        return PublicKey(self.key.public_key().public_bytes_raw())

    def sign(self, digest: bytes) -> bytes:
        """Sign a digest."""
        return self.key.sign(_CONTEXT + digest)


def fingerprint(raw: bytes) -> str:
    """Write a public key in short: the SHA-256 of its bytes."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")


def read_private(path: str | os.PathLike[str]) -> PrivateKey:
    """Read the key to sign with.

    Raises
    ------
    UsageError
        There is no such file, or it is no private Ed25519 key; or `cryptography` is not installed.
    """
    _require_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data, mode = _read(path)
    if b"PRIVATE KEY" not in data:
        what = "a public key" if b"PUBLIC KEY" in data else "no key in PEM"
        raise UsageError(
            f"{path} is {what}: what signs is a private one (openssl genpkey -algorithm ed25519 -out {path})"
        )
    passphrase = os.environ.get(PASSPHRASE_VARIABLE)
    try:
        # One that isn't encrypted takes none.
        encrypted = b"ENCRYPTED" in data
        found: Any = load_pem_private_key(data, passphrase.encode() if encrypted and passphrase else None)
    except TypeError:
        raise UsageError(f"{path} is encrypted: give its passphrase in {PASSPHRASE_VARIABLE}") from None
    except Exception as error:  # of several kinds, by what is wrong with it
        hint = f", or {PASSPHRASE_VARIABLE} has another passphrase than its" if encrypted else ""
        raise UsageError(f"{path} can't be read as a private key{hint}: {_short(error)}") from None
    if not isinstance(found, Ed25519PrivateKey):
        raise UsageError(
            f"{path} is a key of another kind than Ed25519: make one with openssl genpkey -algorithm ed25519"
        )
    return PrivateKey(found, bool(mode & (stat.S_IRGRP | stat.S_IROTH)))


def read_public(path: str | os.PathLike[str]) -> PublicKey:
    """Read a key to check signatures with.

    Raises
    ------
    UsageError
        There is no such file, or it is no public Ed25519 key; or `cryptography` is not installed.
    """
    _require_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data, _ = _read(path)
    if b"PRIVATE KEY" in data:
        raise UsageError(
            f"{path} is a private key, which is for who signs alone; what is trusted is the public one "
            f"(openssl pkey -in {path} -pubout -out {path}.pub)"
        )
    try:
        found: Any = load_pem_public_key(data)
    except Exception as error:  # of several kinds, by what is wrong with it
        raise UsageError(f"{path} can't be read as a public key in PEM: {_short(error)}") from None
    if not isinstance(found, Ed25519PublicKey):
        raise UsageError(f"{path} is a key of another kind than Ed25519, with which no records are signed")
    return PublicKey(found.public_bytes_raw())


def make_keys(path: str | os.PathLike[str]) -> tuple[pathlib.Path, pathlib.Path, PublicKey]:
    """Make a pair of keys: the private one in a file that nobody else can read, the public one beside it.

    Raises
    ------
    UsageError
        One of the files is there already, or can't be written; or `cryptography` is not installed.
    """
    _require_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    private = writable(path)
    public = writable(f"{os.fspath(path)}.pub")
    for file in (private, public):
        if file.exists():
            raise UsageError(f"{file} is there already, and a key is never overwritten: name another file")
    key = Ed25519PrivateKey.generate()
    public_key: Ed25519PublicKey = key.public_key()
    _write_new(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    _write_new(public, public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    return private, public, PrivateKey(key).public


def can_check() -> bool:
    """Say whether signatures can be checked here: `cryptography` is installed."""
    try:
        import cryptography  # noqa: F401 - only asked for
    except ImportError:
        return False
    return True


def _require_cryptography() -> None:
    if not can_check():
        raise UsageError(
            "signatures take the package cryptography, and it is not installed: "
            "pip install 'tunefleet[signing]'"
        )


def _read(path: str | os.PathLike[str]) -> tuple[bytes, int]:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16), os.fstat(file.fileno()).st_mode
    except FileNotFoundError:
        raise UsageError(f"there is no key {os.fspath(path)}") from None
    except OSError as error:
        raise UsageError(f"{os.fspath(path)} can't be read: {error.strerror}") from None


def _write_new(path: pathlib.Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with contextlib.closing(os.fdopen(descriptor, "wb")) as file:
            file.write(data)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from None


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:100] if str(error) else type(error).__name__
