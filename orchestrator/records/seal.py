"""The signature of a file of records: who signed it, and whether it is what was signed.

The header names the signer's key, the last line holds the signature. What is signed is the SHA-512 of all
bytes before that line, unpacked, so that a file of any size passes through once.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO

from pydantic import ValidationError

from orchestrator.errors import UsageError
from orchestrator.records.jsonl_lines import Entry, Header, put_line
from orchestrator.records.keys import PrivateKey, PublicKey, can_check, fingerprint
from orchestrator.records.reports import SignedBy

__all__ = ["Sealing", "private_copy", "require_seal"]


class Sealing:
    """A file that is being written, and that is signed in its end.

    Parameters
    ----------
    file : binary file
        Where the lines go.
    key : PrivateKey
    """

    def __init__(self, file: IO[bytes], key: PrivateKey) -> None:
        self._file, self._key = file, key
        self._digest = hashlib.sha512()

    def write(self, data: bytes) -> int:
        """Write what is to be signed."""
        self._digest.update(data)
        return self._file.write(data)

    def sign(self) -> None:
        """Write the last line, which is the signature."""
        digest = self._digest.digest()
        signature = base64.b64encode(self._key.sign(digest)).decode()
        put_line(self._file, {"signature": {"sha512": digest.hex(), "ed25519": signature}})


@contextlib.contextmanager
def private_copy(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Copy a file to where nobody else can change it between its check and its use.

    Raises
    ------
    UsageError
        It can't be read, or there is no space.
    """
    with tempfile.TemporaryDirectory(prefix="tunefleet-records-") as folder:
        copy = pathlib.Path(folder) / path.name
        try:
            with path.open("rb") as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except FileNotFoundError:
            raise UsageError(f"there is no file {path}") from None
        except OSError as error:
            raise UsageError(f"{path} can't be read, or copied to {folder}: {error.strerror}") from None
        yield copy


def require_seal(
    name: str, header: Header, lines: Iterator[bytes], first: bytes, trust: Sequence[PublicKey]
) -> SignedBy | None:
    """Refuse a file that isn't what was signed, or that nobody who is trusted signed.

    Without `trust`, a signed file has to be signed by the key that it names, as far as that can be checked
    here, and to have its own sum, which tells of damage; of an unsigned one None is returned.

    Parameters
    ----------
    name : str
        Of the file, for people.
    header : Header
        Its first line, read.
    lines : iterator of bytes
        All lines after that, each with its line break.
    first : bytes
        The first line as it stands.
    trust : sequence of PublicKey
        Whose signatures count.

    Raises
    ------
    UsageError
    """
    if header.signer is None:
        if trust:
            raise _refused(name, "is not signed, and --trust asks for a signature")
        return None
    try:
        raw = base64.b64decode(header.signer.key, validate=True)
    except binascii.Error:
        raw = b""
    key = fingerprint(raw)
    called = f" (which calls itself {header.signer.name})" if header.signer.name else ""
    trusted = next((one for one in trust if one.raw == raw), None)
    if trust and trusted is None:
        names = ", ".join(one.name for one in trust)
        raise _refused(name, f"says that {key}{called} signed it, and trusted is {names}")
    digest = hashlib.sha512(first)
    last = b""
    for line in lines:
        digest.update(last)
        last = line
    signature = _signature(last)
    if signature is None:
        raise _refused(
            name,
            f"is cut off or was changed: {key}{called} signed it, and the signature at its end is missing",
        )
    if signature[0] != digest.digest():
        raise _refused(name, f"was changed or damaged after {key}{called} signed it")
    verified = trusted is not None or can_check()
    if verified and not PublicKey(raw).signed(digest.digest(), signature[1]):
        raise _refused(
            name, f"has a signature that is not of {key}{called}: it was changed, or somebody else signed it"
        )
    return SignedBy(key, header.signer.name, trusted is not None, verified)


def _signature(line: bytes) -> tuple[bytes, bytes] | None:
    """Read the last line: the digest, and the signature of it."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = Entry.model_validate_json(line)
        if entry.signature is None:
            return None
        return bytes.fromhex(entry.signature.sha512), base64.b64decode(entry.signature.ed25519, validate=True)
    except (ValidationError, ValueError):
        return None


def _refused(name: str, reason: str) -> UsageError:
    return UsageError(f"{name} {reason}; nothing was imported")
