"""Which fleet an address is for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator.fleet
from orchestrator.errors import UsageError
from orchestrator.fleet.choose import choose_backend
from orchestrator.fleet.port import DevicesWanted
from orchestrator.fleet.simulated import SimulatedFleet, Simulation, offer

TOY = """
from orchestrator.fleet import simulated

class Toy:
    schemes = ("toy",)
    def make(self, engine, wanted, address, slots):
        return simulated.SimulatedFleet(simulated.Simulation(versions={"toy": address}), wanted, slots=slots)
    def find_devices(self, engine, address, targets, say, stopped):
        return {}

BACKEND = Toy()
"""


@pytest.mark.parametrize(
    "address", [None, "auto", "local", "192.0.2.1:6379", "ray://192.0.2.1:10001", "nobodys://x"]
)
def test_no_address_and_an_address_that_is_no_others_are_for_ray(address: str | None) -> None:
    assert "ray" in choose_backend(address).schemes


def test_a_simulation_is_had_by_the_address_it_was_offered_at() -> None:
    simulation = Simulation(slots=7)
    address = offer(simulation)
    fleet = choose_backend(address).make("plain", DevicesWanted(), address, None)
    assert isinstance(fleet, SimulatedFleet)
    assert fleet.simulation is simulation
    assert (fleet.total_slots, simulation.engines) == (7, ["plain"])
    with pytest.raises(UsageError, match="nothing is simulated at simulated://nowhere"):
        choose_backend("simulated://nowhere").make("plain", DevicesWanted(), "simulated://nowhere", None)


def test_another_fleet_is_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").write_text(TOY)
    monkeypatch.setattr(orchestrator.fleet, "__path__", [*orchestrator.fleet.__path__, str(tmp_path)])
    fleet = choose_backend("toy://there").make("plain", DevicesWanted(), "toy://there", 3)
    assert fleet.start()
    assert (fleet.versions, fleet.total_slots) == ({"toy": "toy://there"}, 3)
    fleet.stop()


def test_choosing_imports_no_ray() -> None:
    code = (
        "import sys; from orchestrator.fleet.choose import choose_backend; choose_backend(None); "
        "print('ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
