"""``devices``: those that were ever measured on."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from rich.text import Text

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import age, amount, device_text, instant

if TYPE_CHECKING:
    from orchestrator.storage import DeviceRow

__all__ = ["devices"]

# A coordinator tells of its devices every few seconds; what is older than this, nobody watches.
_WATCHED = timedelta(seconds=30)
_STYLES = {"free": "green", "busy": "green", "quarantined": "bold red", "lost": "red"}


@command("devices", examples=("devices", "devices --json"))
def devices(session: Session) -> None:
    """List the devices that were ever measured on: what they are, how they stand, how fast they measure.

    A running coordinator says every few seconds how its devices stand; nobody watches the others.
    """
    with session.storage(create=False) as store:
        found = store.devices.all()
    session.emit(
        {
            "devices": [
                {
                    "key": row.key,
                    "host": row.host,
                    "device_class": row.device_class,
                    "model": row.model,
                    "state": _state(row),
                    "trials_per_hour": row.trials_per_hour,
                    "last_seen_at": instant(row.last_seen_at),
                    "last_error": row.message,
                    "versions": row.versions,
                }
                for row in found
            ]
        }
    )
    if not found:
        session.show("no device was measured on yet: a campaign, or `tunefleet devices check`, does")
        return
    grid = Grid(
        *("device", "class", "host", "state", "trials/h", "seen", "last error"),
        right=("trials/h",),
        flexible=("device", "class", "host", "last error"),
    )
    for row in found:
        state = _state(row)
        grid.add(
            row.key,
            device_text(row.device_class),
            row.host,
            Text(state, style=_STYLES.get(state, "dim")),
            "-" if row.trials_per_hour is None else amount(round(row.trials_per_hour)),
            age(row.last_seen_at),
            (row.message.splitlines() or [""])[0],
        )
    session.show(grid.table())


def _state(row: DeviceRow) -> str:
    """Say how a device stands; what a coordinator said that died since then is not taken for the present."""
    watched = datetime.now(timezone.utc) - row.last_seen_at < _WATCHED
    return row.state if watched or row.state not in ("free", "busy") else "seen"
