"""Whole models: imported, compiled and run in an engine process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workers.clients import limits
from workers.clients.client import Client, ask, start
from workers.clients.turns import cores_in_use
from workers.enginekit.roles import Model
from workers.messages import Array, Baton, CompiledModel, Endpoint

__all__ = ["ModelClient"]


def _cores_it_is_timed_on(
    compiled: CompiledModel,
    inputs: Mapping[str, Array],
    target: str,
    repeats: int = 0,
    number: int = 1,
    endpoint: Endpoint | None = None,
    settle_s: float = 0.0,
    least_s: float = 0.0,
    baton: Baton | None = None,
) -> Sequence[str]:
    """What is timed here is not to be timed while another process measures on these cores."""
    return cores_in_use(0) if repeats and endpoint is None else ()


class ModelClient(Client):
    """See :class:`workers.enginekit.roles.Model`."""

    extract = ask(Model.extract, limits.EXTRACT)
    #: Several may be under way.
    compile = start(Model.compile, limits.COMPILE)
    run = ask(Model.run, limits.RUN, _cores_it_is_timed_on)
    #: In turns with something else; who asks for both has the cores.
    begin_run = start(Model.run, limits.RUN)
