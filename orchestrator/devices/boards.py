"""Boards, devices that registered themselves at a tracker: are they there, and can they run their targets?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.errors import EngineError, TargetError, TunefleetError, UsageError
from orchestrator.toolbox import Toolbox
from workers.actors import state_of
from workers.messages import DeviceInfo, Endpoint, EvaluatorConfig, TrialState, address_text

__all__ = ["find_board", "refuse_wrong_targets", "wait_for_board"]

#: Seconds that a device may be away from its tracker, or in use; a server that was started again takes five.
BOARD_SECONDS = 20.0
_LOOK_SECONDS = 1.0
# Whether it runs is the question, not how fast.
_ONCE = EvaluatorConfig(number=1, repeat=1, min_repeat_ms=0)


def find_board(
    tools: Toolbox,
    key: str,
    tracker: tuple[str, int] | None,
    kind: str,
    *,
    wait_s: float = 0.0,
    say: Callable[[str], None] = lambda _: None,
) -> Endpoint:
    """Return the address of a board, once its tracker lists it.

    Parameters
    ----------
    wait_s : float, optional
        Seconds to wait for it to register.

    Raises
    ------
    UsageError
        No tracker was named, or it knows no such device.
    EngineError
        The tracker does not answer.
    """
    if tracker is None:
        raise UsageError(f"device {key} is registered at a TVM RPC tracker: name it with --tracker HOST:PORT")
    where = address_text(*tracker)
    until = time.monotonic() + wait_s
    while not (known := tools.tracked(*tracker)).get(key):
        there = ", ".join(sorted(known)) or "none"
        if time.monotonic() >= until:
            waited = f" ({wait_s:g} s were waited for it)" if wait_s else ""
            raise UsageError(f"the tracker at {where} knows no device of key {key}; it knows {there}{waited}")
        say(f"waiting for device {key} to register at {where}; there is {there}")
        time.sleep(_LOOK_SECONDS)
    return Endpoint(*tracker, key, kind)


def wait_for_board(
    tools: Toolbox,
    key: str,
    tracker: tuple[str, int] | None,
    kind: str,
    say: Callable[[str], None] = lambda _: None,
) -> Endpoint:
    """Return the address of a board, and wait up to `BOARD_SECONDS` for it; see :func:`find_board`."""
    return find_board(tools, key, tracker, kind, wait_s=BOARD_SECONDS, say=say)


def refuse_wrong_targets(
    tools: Toolbox,
    boards: Mapping[str, DeviceInfo],
    tracker: tuple[str, int],
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Refuse boards that can't run their targets, by what each says of itself and by running a kernel there.

    A board that is away or in use for longer than `BOARD_SECONDS` is passed over: whoever needs it later
    fails with a clear error.

    Raises
    ------
    TargetError
        With what the device said, or how the kernel failed.
    """
    for key, device in boards.items():
        try:
            endpoint = wait_for_board(tools, key, tracker, device.kind, say)
            say(f"asking device {key} what it is")
            _run_known_kernel(tools, key, device, replace(endpoint, wait_s=BOARD_SECONDS), say)
        except TargetError:
            raise
        except (EngineError, UsageError) as error:
            say(f"device {key} was not checked: {str(error).splitlines()[0]}")


def _run_known_kernel(
    tools: Toolbox, key: str, device: DeviceInfo, endpoint: Endpoint, say: Callable[[str], None]
) -> None:
    """Raise :class:`TargetError` unless a kernel that is built for the target runs on the board."""
    refused = f"device {key} can't run code for target {device.target}"
    reason = tools.unfit(device.target, endpoint)
    if reason:
        raise TargetError(f"{refused}: {reason}")
    workload, candidate = tools.known_kernel(device.target)
    try:
        artifact = tools.build(workload, device.target, candidate)
    except TunefleetError as error:
        raise TargetError(f"nothing can be built for target {device.target}: {error}") from None
    say(f"running a known kernel on device {key}")
    try:
        tools.measure(artifact, endpoint, _ONCE)
    except EngineError as error:
        if state_of(error) is TrialState.DEVICE_LOST:
            raise
        # Classic TVM puts a traceback before what happened.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
        told = " ... ".join(dict.fromkeys((lines[0], lines[-1])))
        raise TargetError(
            f"{refused}: a matrix product that was built for it failed there while {error.stage}: {told}. "
            "An instruction that its CPU lacks, for one, ends the process that runs it, and with it the RPC "
            f"server may have stopped to listen: see that {key} is back at its tracker"
        ) from None
