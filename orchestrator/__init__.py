"""tunefleet from Python.

>>> import orchestrator as tf
>>> store = tf.Storage.open()
>>> spec = tf.CampaignSpec(models=(tf.ModelRequest(path="model.onnx"),), trials=200)
>>> outcome = tf.follow(store, tf.submit(store, spec, hold=True).id)
>>> with tf.Toolbox("metaschedule") as tools:
...     tf.build_model(store, tools, spec.models[0], "model.so")

What is listed here is the public API; everything else may change.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.builds import BenchReport, BuildReport, RunReport, bench_model, build_model, run_library
    from orchestrator.campaigns.planning.plan import CampaignPlan, make_plan
    from orchestrator.campaigns.running.coordinator import coordinate, follow
    from orchestrator.campaigns.running.outcome import Outcome
    from orchestrator.campaigns.running.submit import submit
    from orchestrator.campaigns.spec import CampaignSpec
    from orchestrator.errors import TunefleetError
    from orchestrator.fleet.options import FleetOptions
    from orchestrator.models.request import ModelRequest
    from orchestrator.storage import Storage
    from orchestrator.toolbox import Toolbox

__all__ = [
    "BenchReport",
    "BuildReport",
    "CampaignPlan",
    "CampaignSpec",
    "FleetOptions",
    "ModelRequest",
    "Outcome",
    "RunReport",
    "Storage",
    "Toolbox",
    "TunefleetError",
    "bench_model",
    "build_model",
    "coordinate",
    "follow",
    "make_plan",
    "run_library",
    "submit",
]

# Loaded when first used: a query must not wait for what only a campaign needs.
_HOMES = {
    "BenchReport": "orchestrator.builds",
    "BuildReport": "orchestrator.builds",
    "CampaignPlan": "orchestrator.campaigns.planning.plan",
    "CampaignSpec": "orchestrator.campaigns.spec",
    "FleetOptions": "orchestrator.fleet.options",
    "ModelRequest": "orchestrator.models.request",
    "Outcome": "orchestrator.campaigns.running.outcome",
    "RunReport": "orchestrator.builds",
    "Storage": "orchestrator.storage",
    "Toolbox": "orchestrator.toolbox",
    "TunefleetError": "orchestrator.errors",
    "bench_model": "orchestrator.builds",
    "build_model": "orchestrator.builds",
    "coordinate": "orchestrator.campaigns.running.coordinator",
    "follow": "orchestrator.campaigns.running.coordinator",
    "make_plan": "orchestrator.campaigns.planning.plan",
    "run_library": "orchestrator.builds",
    "submit": "orchestrator.campaigns.running.submit",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
