"""A plugin for pytest-xdist: tests that share a fixture share a process, and the long ones begin.

``--dist loadgroup`` of pytest-xdist 3.8 does nothing under pytest 9, which reads no more what it appends to a
test's name. So the processes that collected the tests leave what belongs together in a file.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# Of these files first, in this order, whoever is free takes the next; what is short fills the rest.
_LONG = (
    "test_workers_layouts",  # and with it all that shares the engine's processes
    "test_autotvm_engine",
    "test_campaigns_end_to_end",
    "test_campaigns_nodes",
    "test_workers_environments",
    "test_fleet_boards",
    "test_hosts_campaigns",
    "test_records_logs",
    "test_records_metaschedule",
)
# Where fixtures are that are cheap, or that each process is to have: pytest's own, and the tests' topmost.
_EVERYBODY_S = {"", ".", "tests"}


class Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Gives out what belongs together as one."""

    places: dict[str, str] | None = None

    def _split_scope(self, nodeid: str) -> str:
        if self.places is None:
            self.places = json.loads(_note(self.config).read_text())
        return self.places.get(nodeid, nodeid)


def _note(config: pytest.Config) -> Path:
    return Path(str(config.stash[_FOLDER].name)) / "places.json"


_FOLDER = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    if _FOLDER not in node.config.stash:
        node.config.stash[_FOLDER] = tempfile.TemporaryDirectory(prefix="side-by-side-")
    node.workerinput["places"] = str(_note(node.config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    return Together(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    given = getattr(config, "workerinput", None)
    if given is None:
        return
    rank = {name: number for number, name in enumerate(_LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
    places = {item.nodeid: place for item in items if (place := _shared(item))}
    fresh = Path(given["places"]).with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(places))
    fresh.replace(given["places"])


def _shared(item: pytest.Item) -> str:
    """Say where the fixtures are that a test shares with others: in its file, or a folder above it."""
    known = getattr(item, "_fixtureinfo").name2fixturedefs.values()  # noqa: B009
    places = {found[-1].baseid for found in known if found[-1].scope != "function"}
    outermost: str = min(places - _EVERYBODY_S, key=len, default="")
    return outermost
