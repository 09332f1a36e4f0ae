"""Environments of engines that need a Python or a TVM of their own."""

from workers.environments.find import EngineEnvironment, folder, interpreter, names, status
from workers.environments.make import install, use
from workers.environments.programs import variables

__all__ = ["EngineEnvironment", "folder", "install", "interpreter", "names", "status", "use", "variables"]
