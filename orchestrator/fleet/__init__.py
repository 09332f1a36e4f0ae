"""Where work is carried out: Ray actors on the nodes, and the engine processes of this machine."""

from orchestrator.fleet.local import Toolbox

__all__ = ["Toolbox"]
