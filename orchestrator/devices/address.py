"""Addresses of trackers as people write them: ``HOST:PORT``, a host of IPv6 in brackets."""

from __future__ import annotations

import re
import socket

from orchestrator.errors import UsageError

__all__ = ["family_of", "split_address", "tracker_address"]

_ADDRESS = re.compile(r"(\[[^\[\]\s]+\]|[^:\s\[\]]+):(\d{1,5})", re.ASCII)


def split_address(text: str) -> tuple[str, int] | None:
    """Read ``HOST:PORT`` or ``[HOST]:PORT``; None where it is neither."""
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[2]) < 2**16:
        return None
    return found[1].strip("[]"), int(found[2])


def family_of(host: str) -> socket.AddressFamily:
    """Return the kind of socket that listens at a host of this machine."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def tracker_address(text: str | None) -> tuple[str, int]:
    """Read ``HOST:PORT`` of a TVM RPC tracker.

    Raises
    ------
    UsageError
        None was named, or it is no address.
    """
    if not text:
        raise UsageError(
            "boards register at a TVM RPC tracker: name it with --tracker HOST:PORT, or start one here with "
            "--serve-tracker"
        )
    found = split_address(text)
    if found is None:
        brackets = ", a host of IPv6 in brackets: [::1]:9190" if text.count(":") > 1 else ""
        raise UsageError(f"--tracker {text!r} is not of the form HOST:PORT{brackets}")
    return found
