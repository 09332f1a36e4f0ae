"""Which model of a service a person means: by the content of a file here, or by its number there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import ModelError, NotFoundError, UsageError
from orchestrator.files import digest_of_file
from orchestrator.models.request import ModelRequest
from orchestrator.remote.connection import Connection

__all__ = ["ServedModel", "find_served_model"]


@dataclass(frozen=True)
class ServedModel:
    """A model that a service has."""

    id: int
    name: str


def find_served_model(
    server: Connection, named: Path, shapes: Mapping[str, tuple[int, ...]], tune: str
) -> ServedModel:
    """Find the model of a service that a file is, or that has a number.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Input shapes that it was submitted with; where none are named, those it is stored with will do.
    tune : str
        The command that would have it there.

    Raises
    ------
    ModelError
        There is no such file.
    NotFoundError
        No campaign of the service prepared it.
    UsageError
        It is stored with several input shapes, and none were named.
    """
    if not named.is_file():
        if str(named).isdecimal():
            found = server.get("model", "models", str(named))
            return ServedModel(found["id"], found["name"])
        raise ModelError(f"there is no file {named}; {server.url} may also be asked for a model's number")
    stored: list[dict[str, Any]] = server.get("models", "models", sha256=digest_of_file(named))["models"]
    wanted = ModelRequest(path=str(named), shapes=dict(shapes)).shapes_key
    exact = [one for one in stored if one["shapes_key"] == wanted]
    if not exact and shapes:
        stored = []
    if not exact and len(stored) > 1:
        several = " or ".join(
            f"--input-shape {' --input-shape '.join(one['shapes_key'].split(';'))}" for one in stored
        )
        raise UsageError(f"{named} is stored with several input shapes; choose {several}")
    for one in exact or stored:
        return ServedModel(one["id"], one["name"])
    raise NotFoundError(f"no campaign at {server.url} prepared {named} yet; `{tune}` has one do it")
