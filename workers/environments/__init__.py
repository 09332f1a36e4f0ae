"""Environments of engines, and of what else needs a Python or libraries of its own."""

from workers.environments.find import EngineEnvironment, folder, interpreter, status
from workers.environments.make import install, use
from workers.environments.packages import EnginePackage, find_package, names
from workers.environments.programs import variables
from workers.environments.resident import Resident, data_folder

__all__ = [
    "EngineEnvironment",
    "EnginePackage",
    "Resident",
    "data_folder",
    "find_package",
    "folder",
    "install",
    "interpreter",
    "names",
    "status",
    "use",
    "variables",
]
