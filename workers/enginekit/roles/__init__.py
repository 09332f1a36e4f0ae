"""The roles that an engine is composed of, each an interface in a file of its own.

Everything in and out is plain data from :mod:`workers.messages`. A method runs in a fresh fork of the engine
process; it imports what it needs when it is called, and keeps nothing.
"""

from workers.enginekit.roles.build import Build, NoComparison
from workers.enginekit.roles.devices import Address, Devices
from workers.enginekit.roles.logs import Logs, NoLogs
from workers.enginekit.roles.measure import WAITING, Measure
from workers.enginekit.roles.model import Model
from workers.enginekit.roles.plans import EachBest, Plans
from workers.enginekit.roles.profiles import NoProfiles, Profiles
from workers.enginekit.roles.search import Search, TaskSearch
from workers.enginekit.roles.targets import Targets
from workers.enginekit.roles.toolchain import Toolchain

__all__ = [
    "WAITING",
    "Address",
    "Build",
    "Devices",
    "EachBest",
    "Logs",
    "Measure",
    "Model",
    "NoComparison",
    "NoLogs",
    "NoProfiles",
    "Plans",
    "Profiles",
    "Search",
    "Targets",
    "TaskSearch",
    "Toolchain",
]
