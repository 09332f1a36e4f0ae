"""The tracker that a command serves for boards: where it listens, what it says, what it refuses."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from orchestrator.cli.campaigns.tracker import _address
from orchestrator.errors import UsageError
from orchestrator.fleet.options import FleetOptions
from orchestrator.storage import Storage
from tests.kit.cli_builders import Cli


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_coordinator_serves_a_tracker_and_says_what_a_board_runs(cli: Cli) -> None:
    port = free_port()
    seen: list[str | None] = []

    def coordinate(*_: object, fleet: FleetOptions, **__: object) -> None:
        seen.append(fleet.tracker)
        socket.create_connection(("127.0.0.1", port), 5).close()

    cli.launch(coordinate=coordinate)
    answer = cli("coordinator", "--until-idle", "--serve-tracker", f"127.0.0.1:{port}")
    assert answer.code == 0
    assert seen == [f"127.0.0.1:{port}"]
    line = f"python -m tvm.exec.rpc_server --tracker 127.0.0.1:{port} --key KEY --host ITS-OWN-ADDRESS"
    assert line in answer.err
    assert "warning" not in answer.err
    assert socket.socket().connect_ex(("127.0.0.1", port)) != 0


def test_all_addresses_are_served_only_when_asked_for_and_with_a_warning(cli: Cli) -> None:
    port = free_port()
    answer = cli("coordinator", "--until-idle", "--serve-tracker", f"0.0.0.0:{port}")
    assert answer.code == 0
    assert f"warning: the tracker listens on all addresses of this machine, port {port}" in answer.err
    assert f"--tracker {socket.gethostname()}:{port}" in answer.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--serve-tracker", "127.0.0.1", "--tracker", "10.0.0.1:9190"], "give one of them"),
        (["--serve-tracker", "here:or:there"], "is not of the form HOST or HOST:PORT"),
        (["--serve-tracker", "127.0.0.1:99999"], "is not of the form HOST or HOST:PORT"),
        (["--serve-tracker", "auto", "--ray-address", "auto"], "which network 'auto' is on isn't known"),
    ],
)
def test_what_can_not_be_meant_is_refused(cli: Cli, model: Path, words: list[str], told: str) -> None:
    for command in (["coordinator"], ["tune", str(model)]):
        answer = cli(*command, *words)
        assert answer.code == 2
        assert told in answer.err


def test_auto_is_the_loopback_of_one_machine_and_the_side_of_this_one_that_the_cluster_is_on() -> None:
    assert _address("auto", None) == ("127.0.0.1", 9190)
    assert _address("auto:9300", "127.0.0.2:6379") == ("127.0.0.1", 9300)
    assert _address("10.0.0.10", "10.0.0.11:6379") == ("10.0.0.10", 9190)
    with pytest.raises(UsageError, match=r"the Ray cluster at 256\.0\.0\.1:6379 can't be reached"):
        _address("auto", "256.0.0.1:6379")


def test_boards_of_a_campaign_need_a_tracker_that_is_named_or_served(
    cli: Cli, model: Path, store: Storage
) -> None:
    answer = cli("tune", str(model), "--device", "board=llvm -num-cores=1")
    assert answer.code == 2
    assert store.campaigns.newest() == []
    assert "name it with --tracker HOST:PORT, or start one here with --serve-tracker" in answer.err
