"""Addresses, of IPv6 too."""

from __future__ import annotations

import socket

import pytest

from orchestrator.cli.campaigns.tracker import _address
from orchestrator.devices.address import tracker_address
from orchestrator.errors import UsageError
from workers.messages import Endpoint, address_text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.10:9190", ("10.0.0.10", 9190)),
        ("board-1.local:9190", ("board-1.local", 9190)),
        ("[::1]:9190", ("::1", 9190)),
        ("[fe80::1%eth0]:9190", ("fe80::1%eth0", 9190)),
    ],
)
def test_an_address_is_read_as_it_is_written(text: str, address: tuple[str, int]) -> None:
    assert tracker_address(text) == address
    assert address_text(*address) == text
    assert Endpoint(*address, "board", "cpu").where == text


@pytest.mark.parametrize(
    "text", ["::1:9190", "fe80::1:9190", "host", "host:", ":9190", "host:99999", "[::1]", "a b:1"]
)
def test_what_could_be_read_in_two_ways_or_in_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not of the form HOST:PORT") as refused:
        tracker_address(text)
    assert ("in brackets: [::1]:9190" in str(refused.value)) is (text.count(":") > 1)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_the_side_of_this_machine_that_a_cluster_of_ipv6_is_on() -> None:
    assert _address("[::1]:9300", None) == ("::1", 9300)
    assert _address("auto", "ray://[::1]:10001") == ("::1", 9190)
