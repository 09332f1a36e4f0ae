"""Commands about devices: devices, devices check."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.arguments import boards_of, require_engine
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.session import Session

if TYPE_CHECKING:
    from orchestrator.storage import DeviceRow

__all__ = ["register"]

# A coordinator tells of its devices every few seconds; what is older than this, nobody watches.
_WATCHED = timedelta(seconds=30)
# Run times of a shared machine differ by this much from one minute to the next.
_USUAL = 1.25
_STYLES = {"free": "green", "busy": "green", "quarantined": "bold red", "lost": "red"}


def register(app: typer.Typer) -> None:
    """Add the group and its commands."""
    group = typer.Typer(rich_markup_mode="rich")
    command(group, "devices", of_group=True, examples=("devices", "devices --json"))(devices)
    command(
        group,
        "check",
        document="devices-check",
        examples=(
            "devices check",
            "devices check rpi4b --target 'llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72 -num-cores=4' "
            "--tracker 192.0.2.10:9190",
        ),
    )(check)
    app.add_typer(group, name="devices", rich_help_panel=options.PANELS.SETUP)


def devices(session: Session) -> None:
    """List the devices that were ever measured on: what they are, how they stand, how fast they measure.

    A running coordinator says every few seconds how its devices stand; nobody watches the others.
    """
    from orchestrator.cli.kit.grid import Grid
    from orchestrator.cli.kit.text import age, amount, device_text, instant

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


def check(
    session: Session,
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY",
            help="Key of a device at the --tracker; left out, this machine's.",
            show_default=False,
        ),
    ] = None,
    target: options.Target = "auto",
    tracker: options.Tracker = None,
    engine: options.Engine = "metaschedule",
) -> None:
    """Run a known kernel on a device, and compare its time with that device's earlier checks.

    A matrix product of 256 by 256, computed the same way each time. Do it before a campaign: a device that is
    slower than it was is busy with something else, throttled, or another.
    """
    from orchestrator.cli.kit.facts import facts
    from orchestrator.cli.kit.text import device_text, latency, plural
    from orchestrator.devices.address import tracker_address
    from orchestrator.devices.check import check_device
    from orchestrator.toolbox import Toolbox

    require_engine(engine)
    if key is not None:
        boards_of([key], [target])
    address = None if key is None else tracker_address(tracker)
    with session.storage() as store, Toolbox(engine) as tools, session.steps() as steps:
        found = check_device(store, tools, target=target, key=key, tracker=address, say=steps)
    session.emit(
        {
            "key": found.key,
            "host": found.host,
            "device_class": found.device.device_class,
            "target": found.device.target,
            "time_s": found.time_s,
            "gflops": found.gflops,
            "checks_before": found.checks,
            "before_s": found.before_s,
            "ratio": found.ratio,
        }
    )
    pairs = [
        ("device", f"{found.key} on {found.host}"),
        ("class", device_text(found.device.device_class)),
        ("known kernel", f"{latency(found.time_s)}, {found.gflops:.1f} GFLOP/s"),
    ]
    if found.ratio is None:
        pairs.append(("before", "never checked: this is what the next check is compared with"))
    else:
        pairs.append(("before", f"{latency(found.before_s)}, median of {plural(found.checks, 'check')}"))
    session.show(facts(pairs))
    if found.ratio is not None and not 1 / _USUAL <= found.ratio <= _USUAL:
        word = "slower" if found.ratio > 1 else "faster"
        times = max(found.ratio, 1 / found.ratio)
        session.say(
            f"{times:.2g} times {word} than before: is it busy, throttled, or another device?", style="yellow"
        )


def _state(row: DeviceRow) -> str:
    """Say how a device stands; what a coordinator said that died since then is not taken for the present."""
    watched = datetime.now(timezone.utc) - row.last_seen_at < _WATCHED
    return row.state if watched or row.state not in ("free", "busy") else "seen"
