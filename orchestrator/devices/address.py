"""Addresses of trackers as people write them."""

from __future__ import annotations

from orchestrator.errors import UsageError

__all__ = ["tracker_address"]


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
    host, _, port = text.rpartition(":")
    if not (host and port.isdigit() and int(port) < 2**16):
        raise UsageError(f"--tracker {text!r} is not of the form HOST:PORT")
    return host, int(port)
