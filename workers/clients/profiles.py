"""Where a library's time goes, asked of an engine process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workers.clients import limits
from workers.clients.client import Client, ask
from workers.clients.turns import cores_in_use
from workers.enginekit.roles import Profiles
from workers.messages import Array, CompiledModel, PreparedModel

__all__ = ["ProfilesClient"]


def _all_cores(
    model: PreparedModel, compiled: CompiledModel, inputs: Mapping[str, Array], target: str, runs: int
) -> Sequence[str]:
    return cores_in_use(0)


class ProfilesClient(Client):
    """See :class:`workers.enginekit.roles.Profiles`."""

    profile = ask(Profiles.profile, limits.RUN, _all_cores)
