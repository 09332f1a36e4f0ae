"""Typed calls into an engine process, for the actors and for a command's own machine alike.

A method of an engine stands in three places: in the interface of its role, in the engine, and here as a
line that says how long it may take. The signature of that line is the interface's.
"""

from workers.clients.build import BuildClient
from workers.clients.client import Client
from workers.clients.devices import DevicesClient, Service
from workers.clients.engine import EngineClient
from workers.clients.logs import LogsClient
from workers.clients.measure import MeasureClient
from workers.clients.model import ModelClient
from workers.clients.plans import PlansClient
from workers.clients.profiles import ProfilesClient
from workers.clients.reference import ReferenceClient
from workers.clients.search import OpenSearch, SearchClient
from workers.clients.targets import TargetsClient
from workers.clients.toolchain import ToolchainClient

__all__ = [
    "BuildClient",
    "Client",
    "DevicesClient",
    "EngineClient",
    "LogsClient",
    "MeasureClient",
    "ModelClient",
    "OpenSearch",
    "PlansClient",
    "ProfilesClient",
    "ReferenceClient",
    "SearchClient",
    "Service",
    "TargetsClient",
    "ToolchainClient",
]
