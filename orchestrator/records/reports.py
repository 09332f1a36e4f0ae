"""What came of an import, and what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BadLine", "Imported", "SignedBy", "refusal"]

# Of a file of another kind every line is bad, and some tell that as well as all.
_BAD_LISTED = 50


@dataclass(frozen=True)
class BadLine:
    """A line that can't be imported, and why; of which file, where there are several."""

    number: int
    reason: str
    file: str = ""

    @property
    def where(self) -> str:
        """The line, for people."""
        return f"{self.file} line {self.number}" if self.file else f"line {self.number}"


@dataclass(frozen=True)
class SignedBy:
    """Who signed a file of records.

    Attributes
    ----------
    key : str
        Fingerprint of the public key.
    name : str
        What the signer calls itself: as trustworthy as the key.
    trusted : bool
        The key is one of those that are trusted. Otherwise it may be anybody's.
    verified : bool
        The signature was checked, and is of this key. Otherwise anybody may have written the file and named
        this key in it: what checks signatures is not installed.
    """

    key: str
    name: str
    trusted: bool
    verified: bool

    @property
    def pack(self) -> str:
        """Whose it is, as the toolchains of its measurements have it."""
        return self.key if self.verified else f"{self.key} (not verified)"


@dataclass(frozen=True)
class Imported:
    """What became of the records of a file or of another store.

    Attributes
    ----------
    trials, failed : int
        Trials it holds, and how many of them failed.
    stored_before : int
        Those whose candidate was stored already.
    imported, added : int
        New ones, and measurements that those got which were stored already. With `dry_run` nothing was
        stored, and it says what would have been.
    device_classes : tuple of str
        What they were measured on.
    bad : tuple of BadLine
        Lines that were left out.
    signed_by : SignedBy or None
        Who signed the file, where it says so.
    """

    source: str
    device_classes: tuple[str, ...]
    workloads: int
    trials: int
    failed: int
    stored_before: int
    imported: int
    added: int
    bad: tuple[BadLine, ...]
    dry_run: bool
    signed_by: SignedBy | None = None


def refusal(name: str, bad: Sequence[BadLine], lines: int) -> str:
    """Say that nothing of a file was imported, and which of its lines are bad."""
    listed = "".join(f"\n  {line.where}: {line.reason}" for line in bad[:_BAD_LISTED])
    if len(bad) > _BAD_LISTED:
        listed += f"\n  and {len(bad) - _BAD_LISTED} more"
    return (
        f"{len(bad)} of {lines} lines of {name} can't be imported, so nothing was; "
        f"--skip-bad leaves them out:{listed}"
    )
