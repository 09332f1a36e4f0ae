"""What an engine is: its traits, and a role for each thing that it does.

An engine is a package with a module attribute ``ENGINE`` that is one of these.
:mod:`workers.environments.packages` says where such a package may lie; ``tests/kit/toy_engine`` holds a small
one to begin with.
"""

from __future__ import annotations

import abc
from functools import cached_property

from workers.enginekit.roles import (
    Build,
    Devices,
    EachBest,
    Logs,
    Measure,
    Model,
    NoLogs,
    NoProfiles,
    Plans,
    Profiles,
    Search,
    Targets,
    Toolchain,
)
from workers.messages import Traits

__all__ = ["Engine"]


class Engine(abc.ABC):
    """All that knows one compiler.

    Roles are made when they are first asked for, so that a process imports only what it is there for. Their
    methods run in a fresh fork of the engine process; :meth:`warm` runs in that process itself.

    Attributes
    ----------
    traits : Traits
        Data, known without importing anything.
    """

    traits: Traits

    @abc.abstractmethod
    def warm(self, role: str) -> None:
        """Import, once and in the engine process itself, what the forks of a `role` will need.

        It must start no thread: forks are taken from here.

        Parameters
        ----------
        role : {'search', 'build', 'measure', 'model'}
        """

    @property
    @abc.abstractmethod
    def toolchain(self) -> Toolchain:
        """What it compiles with."""

    @property
    @abc.abstractmethod
    def targets(self) -> Targets:
        """The devices it compiles for."""

    @property
    @abc.abstractmethod
    def search(self) -> Search:
        """How it finds candidates."""

    @property
    @abc.abstractmethod
    def build(self) -> Build:
        """How it compiles them."""

    @property
    @abc.abstractmethod
    def measure(self) -> Measure:
        """How it times them."""

    @property
    @abc.abstractmethod
    def model(self) -> Model:
        """What it does with whole models."""

    @cached_property
    def devices(self) -> Devices:
        """TVM's RPC tracker and server, unless the engine has its own."""
        from workers.enginekit.rpc import RpcDevices

        return RpcDevices()

    @cached_property
    def plans(self) -> Plans:
        """Each task's best record, unless the engine weighs them."""
        return EachBest()

    @cached_property
    def logs(self) -> Logs:
        """None, unless the engine has some."""
        return NoLogs(self.traits)

    @cached_property
    def profiles(self) -> Profiles:
        """None, unless the engine can look into its libraries."""
        return NoProfiles(self.traits)
