"""Which tracker boards are looked for at: one that is there, or one that this command serves."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator, Sequence

from orchestrator.cli.kit.options import DEFAULT_ENGINE
from orchestrator.cli.kit.session import Session
from orchestrator.errors import UsageError
from workers.messages import address_text

__all__ = ["chosen_tracker"]

_PORT = 9190  # TVM's own
#: Seconds in which boards are to register at a tracker that was just started.
_BOARD_SECONDS = 300.0


@contextlib.contextmanager
def chosen_tracker(
    session: Session,
    tracker: str | None,
    served: str | None,
    ray_address: str | None = None,
    *,
    keys: Sequence[str] = (),
    engine: str = DEFAULT_ENGINE,
) -> Iterator[str | None]:
    """Give the tracker's ``HOST:PORT``; one that is served here lives as long as this.

    Parameters
    ----------
    tracker, served : str or None
        ``--tracker`` and ``--serve-tracker``.
    keys : sequence of str, optional
        Of boards that have to be there before anything is begun; they are waited for where the tracker was
        just started.

    Raises
    ------
    UsageError
        Both were given, or neither where boards need one, or the address can't be right.
    EngineError
        A board did not register in time.
    """
    from orchestrator.devices.address import tracker_address

    if served is None:
        if keys:
            tracker_address(tracker)  # before anything is stored or started
        yield tracker
        return
    if tracker is not None:
        raise UsageError(
            "--tracker names a tracker that is there, --serve-tracker starts one: give one of them"
        )
    from orchestrator.devices.tracker import ServedTracker

    host, port = _address(served, ray_address)
    with ServedTracker(engine, host, port, lambda text: session.say(text, style="dim")) as own:
        if own.open_to_all:
            session.say(
                f"warning: the tracker listens on all addresses of this machine, port {port}, and asks "
                "nobody who they are: whoever reaches it can pretend to be a device. Name one address",
                style="yellow",
            )
        reached = socket.gethostname() if own.open_to_all else host
        for key in keys or ("KEY",):
            # TVM's own command takes an address of IPv6 without brackets, and with them finds no such host.
            session.say(
                "on the board: python -m tvm.exec.rpc_server "
                f"--tracker {reached}:{port} --key {key} --host ITS-OWN-ADDRESS"
            )
        own.wait_for(keys, _BOARD_SECONDS)
        yield address_text(*own.address)


def _address(text: str, ray_address: str | None) -> tuple[str, int]:
    """Read ``HOST``, ``HOST:PORT``, or ``auto`` with or without a port."""
    found = re.fullmatch(r"(\[[\da-fA-F:]+\]|[^:\s]+)(?::(\d+))?", text)
    if found is None or not 0 < int(found.group(2) or _PORT) < 2**16:
        raise UsageError(f"--serve-tracker {text!r} is not of the form HOST or HOST:PORT")
    host, port = found.group(1).strip("[]"), int(found.group(2) or _PORT)
    if host != "auto":
        return host, port
    if ray_address is None:
        return "127.0.0.1", port
    from orchestrator.devices.address import split_address

    head = split_address(ray_address.removeprefix("ray://"))
    if head is None:
        raise UsageError(
            f"which network {ray_address!r} is on isn't known: give --serve-tracker this machine's address "
            "there"
        )
    # Nothing is sent: the socket only learns from which address it would be.
    try:
        family = socket.getaddrinfo(*head, type=socket.SOCK_DGRAM)[0][0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(head)
            return str(probe.getsockname()[0]), port
    except OSError as error:
        raise UsageError(f"the Ray cluster at {ray_address} can't be reached: {error}") from None
