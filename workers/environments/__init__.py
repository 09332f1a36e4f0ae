"""Environments of engines that need a Python or a TVM of their own."""

from workers.environments.find import EngineEnvironment, folder, interpreter, status
from workers.environments.make import install, use
from workers.environments.packages import EnginePackage, find_package, names
from workers.environments.programs import variables

__all__ = [
    "EngineEnvironment",
    "EnginePackage",
    "find_package",
    "folder",
    "install",
    "interpreter",
    "names",
    "status",
    "use",
    "variables",
]
