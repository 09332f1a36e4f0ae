"""``devices``: those that were ever measured on."""

from __future__ import annotations

from rich.text import Text

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import age, amount, device_text
from orchestrator.documents.devices import check_of, check_text, device_state, devices_document

__all__ = ["devices"]

_STYLES = {"free": "green", "busy": "green", "quarantined": "bold red", "lost": "red"}


@command("devices", examples=("devices", "devices --json"), place=Place.ANYWHERE)
def devices(session: Session) -> None:
    """List the devices that were ever measured on: what they are, how they stand, how fast they measure.

    A running coordinator says every few seconds how its devices stand; nobody watches the others.
    """
    if (server := session.server()) is not None:
        from orchestrator.remote.rows.answers import devices_of

        with server:
            found, checks = devices_of(server.get("devices", "devices"))
    else:
        with session.storage(create=False) as store:
            found, checks = store.devices.all(), store.device_checks.latest()
    session.emit(devices_document(found, checks))
    if not found:
        session.show("no device was measured on yet: a campaign, or `tunefleet devices check`, does")
        return
    grid = Grid(
        *("device", "class", "host", "state", "trials/h", "seen", "speed", "last error"),
        right=("trials/h",),
        flexible=("device", "class", "host", "last error"),
    )
    for row in found:
        state = device_state(row)
        grid.add(
            row.key,
            device_text(row.device_class),
            row.host,
            Text(state, style=_STYLES.get(state, "dim")),
            "-" if row.trials_per_hour is None else amount(round(row.trials_per_hour)),
            age(row.last_seen_at),
            check_text(check_of(row, checks)),
            (row.message.splitlines() or [""])[0],
        )
    session.show(grid.table())
