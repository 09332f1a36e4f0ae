"""A model in two precisions, built and timed against each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import ModelRequest, Storage, Toolbox
from orchestrator.builds.forms import time_forms
from orchestrator.conversion.faster import find_times, keep_times, times_key
from tests.kit.float_networks import float_network
from workers.messages import Precision, PrecisionRequest


def test_both_forms_are_built_timed_and_remembered(
    tools: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEFLEET_CONVERTED", str(tmp_path / "kept"))
    net, other = float_network(tmp_path / "net.onnx"), tmp_path / "other.onnx"
    found = tools.to_precision(PrecisionRequest(str(net), str(other), Precision.BF16, max_error=0.1))
    assert found.precision is Precision.BF16
    device = tools.resolve_target("auto")
    said: list[str] = []
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as store:
        first, second = (ModelRequest(path=str(path)) for path in (net, other))
        times = time_forms(store, tools, first, second, device, said.append)
    assert min(times.float32_s, times.other_s) > 0
    # Both are of microseconds, and rounded the same model: one that ran something else is far from it.
    assert 0.02 < times.ratio < 50
    assert any("compiling net" in line for line in said)
    assert any("compiling other" in line for line in said)
    assert "timing both precisions, turn 9 of 9" in said
    key = times_key(tools, net, other, {}, device.device_class)
    assert find_times(key) is None
    keep_times(key, times)
    assert find_times(times_key(tools, net, other, {}, device.device_class)) == times
    assert find_times(times_key(tools, net, other, {}, "another")) is None
