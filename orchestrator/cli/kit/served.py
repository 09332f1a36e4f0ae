"""What a person named, as a service has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.kit.arguments import shapes_of
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stored import tune_command

if TYPE_CHECKING:
    from orchestrator.remote.connection import Connection
    from orchestrator.remote.models import ServedModel

__all__ = ["served_model", "served_place"]


def served_model(
    session: Session,
    server: Connection,
    model: Path,
    shapes: Sequence[str] | None,
    conversion: ConversionOptions,
) -> ServedModel:
    """Find a model of a service by its file here, or by its number there.

    See :func:`orchestrator.remote.models.find_served_model` for what is raised. A framework's model is the
    file that `tunefleet convert` wrote of it, or its number.
    """
    from orchestrator.remote.models import find_served_model

    session.refuse_served(
        **{name[2:].replace("-", "_"): True for name in conversion.chosen if name[:2] == "--"}
    )
    tune = tune_command(session, model, shapes, conversion)
    return find_served_model(server, model, shapes_of(shapes), tune)


def served_place(
    session: Session,
    server: Connection,
    model: Path | None,
    workload: str | None,
    shapes: Sequence[str] | None,
    conversion: ConversionOptions,
) -> tuple[str, str | int]:
    """Return where a service has answers about a workload or a model; one of both is named."""
    if workload is not None:
        return "workloads", workload
    assert model is not None
    return "models", served_model(session, server, model, shapes, conversion).id
