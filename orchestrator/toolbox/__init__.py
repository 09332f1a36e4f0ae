"""The engine processes a command needs on its own machine: to read, plan, build and compare."""

from orchestrator.toolbox.scratch import Scratch
from orchestrator.toolbox.toolbox import Toolbox

__all__ = ["Scratch", "Toolbox"]
