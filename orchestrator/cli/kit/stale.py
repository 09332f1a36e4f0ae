"""Records of another toolchain: the option that says what becomes of them, and what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.kit import options
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import device_text, plural
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.models.request import ModelRequest
    from orchestrator.records.revalidate import Revalidated
    from orchestrator.storage import Storage
    from orchestrator.toolbox import Toolbox

__all__ = ["Stale", "outcome_lines", "revalidate_model", "revalidated_model", "say_stale", "uses_stale"]

Stale = Annotated[
    str,
    typer.Option(
        "--stale",
        metavar="use|revalidate|ignore",
        help="Records that were measured with another toolchain: take them where a task has no other, "
        "measure the 3 fastest of each task first, or leave them out.",
        rich_help_panel=options.HOW,
    ),
]
_KNOWN = ("use", "revalidate", "ignore")


def uses_stale(choice: str) -> bool:
    """Read ``--stale``: whether such a record is taken where there is no other.

    Raises
    ------
    UsageError
        There is no such choice.
    """
    if choice not in _KNOWN:
        raise UsageError(f"--stale {choice!r} is none of {', '.join(_KNOWN)}")
    return choice != "ignore"


def revalidate_model(
    session: Session,
    store: Storage,
    tools: Toolbox,
    request: ModelRequest,
    *,
    target: str,
    layout: str | None = None,
    board: str | None = None,
    tracker: tuple[str, int] | None = None,
    say: Callable[[str], None],
) -> None:
    """Measure the fastest records of another toolchain of a model's tasks, as ``--stale revalidate`` asks.

    Raises
    ------
    UsageError
        They are a board's, and nobody said where that registers.
    """
    if board is not None and tracker is None:
        raise UsageError(
            "--stale revalidate measures on the board: `tunefleet records revalidate MODEL --device "
            f"{board} --tracker HOST:PORT` does it, and then this needs no --stale"
        )
    outcome = revalidated_model(
        store, tools, request, target=target, layout=layout, key=board, tracker=tracker, say=say
    )
    if outcome.measured or outcome.timed_out or outcome.waiting:
        for line in outcome_lines(outcome):
            session.say(line)


def revalidated_model(
    store: Storage,
    tools: Toolbox,
    request: ModelRequest,
    *,
    most: int = 3,
    target: str,
    layout: str | None = None,
    key: str | None = None,
    tracker: tuple[str, int] | None = None,
    say: Callable[[str], None],
) -> Revalidated:
    """Measure the fastest records of another toolchain of a model's tasks."""
    from orchestrator.devices.targets import resolve_boards
    from orchestrator.models.lookup import find_model
    from orchestrator.records.revalidate import revalidate

    say("looking for the target")
    place = resolve_boards(tools, {key: target})[key] if key else tools.resolve_target(target)
    version = tools.engine_version()
    found = find_model(store, tools, request, place, version=version, layout=layout, say=say)
    rows = store.trials.best_for_model(found.id, place.device_class, found.engine_version)
    hashes = [row.workload_hash for row in rows]
    return revalidate(store, tools, hashes, most=most, target=target, key=key, tracker=tracker, say=say)


def outcome_lines(outcome: Revalidated) -> list[str]:
    """Say what came of measuring records with another toolchain."""
    from orchestrator.storage import drift_words, toolchain_text

    where = f"on {device_text(outcome.device_class)} with {toolchain_text(outcome.versions)}"
    remarks = []
    if outcome.drift is not None:
        off = f"the device is {drift_words(outcome.drift)} than it was"
        remarks.append(f"{off}: what was measured is marked" if outcome.measured else off)
    if outcome.unchecked:
        remarks.append(f"the device is not checked for drift: {outcome.unchecked}")
    if outcome.waiting:
        remarks.append(
            f"{plural(outcome.waiting, 'record')} that a drift of before marked wait until it is back"
        )
    if outcome.timed_out:
        remarks.append(f"{plural(outcome.timed_out, 'record')} took too long, twice, and stay as they were")
    if not outcome.measured:
        return remarks or [f"nothing to measure {where}: no record of another toolchain is among the fastest"]
    lines = [
        f"measured {plural(outcome.measured, 'record')} of {plural(outcome.workloads, 'workload')} {where}",
        f"another record than before is the best of {plural(outcome.changed, 'workload')}",
    ]
    if outcome.rechecked:
        lines.append(
            f"{plural(outcome.rechecked, 'record')} of these had been measured on a device that drifted"
        )
    if outcome.failed:
        lines.append(f"{plural(outcome.failed, 'record')} can't be built or run with it")
    if outcome.left:
        lines.append(f"the best of {plural(outcome.left, 'workload')} is stale all the same: tune them")
    return lines + remarks


def say_stale(session: Session, stale: int, of: int, *words: str) -> None:
    """Say how many records are stale, and which command measures them, where any is."""
    if stale:
        how = session.command_line("records", "revalidate", *words)
        session.say(
            f"{stale} of {plural(of, 'record')} {'is' if stale == 1 else 'are'} stale: measured with another "
            f"toolchain. To measure the fastest with this one:\n  {how}",
            style="yellow",
        )
