"""``devices check``: is a device as fast as it was?"""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.kit import options
from orchestrator.cli.kit.arguments import boards_of, require_engine
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.facts import facts
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import device_text, latency, plural

__all__ = ["check"]

# Run times of a shared machine differ by this much from one minute to the next.
_USUAL = 1.25


@command(
    "check",
    document="devices-check",
    examples=(
        "devices check",
        "devices check rpi4b --target 'llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72 -num-cores=4' "
        "--tracker 192.0.2.10:9190",
    ),
)
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
    engine: options.Engine = options.DEFAULT_ENGINE,
) -> None:
    """Run a known kernel on a device, and compare its time with that device's earlier checks.

    A matrix product of 256 by 256, computed the same way each time. Do it before a campaign: a device that is
    slower than it was is busy with something else, throttled, or another.
    """
    from orchestrator.devices.address import tracker_address
    from orchestrator.devices.check import check_device

    require_engine(engine)
    if key is not None:
        boards_of([key], [target])
    address = None if key is None else tracker_address(tracker)
    with session.storage() as store, session.toolbox(engine) as tools, session.steps() as steps:
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
