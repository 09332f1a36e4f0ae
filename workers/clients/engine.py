"""All that can be asked of an engine but for its searches, which run where a campaign has its workers."""

from __future__ import annotations

from workers.clients.build import BuildClient
from workers.clients.devices import DevicesClient
from workers.clients.logs import LogsClient
from workers.clients.measure import MeasureClient
from workers.clients.model import ModelClient
from workers.clients.plans import PlansClient
from workers.clients.profiles import ProfilesClient
from workers.clients.targets import TargetsClient
from workers.clients.toolchain import ToolchainClient
from workers.messages import Traits

__all__ = ["EngineClient"]


class EngineClient(
    TargetsClient,
    ModelClient,
    BuildClient,
    MeasureClient,
    PlansClient,
    ProfilesClient,
    LogsClient,
    DevicesClient,
):
    """The methods of its roles, each with its time limit."""

    #: What extractions are bound to.
    engine_version = ToolchainClient.version

    @property
    def traits(self) -> Traits:
        """What the engine says of itself; its process is started to know it."""
        return self.process.traits
