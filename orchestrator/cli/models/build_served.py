"""A library that a service builds: asked for, waited for, downloaded."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.served import served_model
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stored import tune_command
from orchestrator.cli.models.built import say_files, show_built
from orchestrator.errors import EngineError
from orchestrator.files import writable, writing

if TYPE_CHECKING:
    from orchestrator.remote.connection import Connection

__all__ = ["build_served"]

_ASK_SECONDS = 1.0
# The service gives a build an hour, and others may be before it.
_MOST_SECONDS = 4 * 3600.0
_FILE = re.compile(r"[\w-][\w.-]{0,79}", re.ASCII)


def build_served(
    session: Session,
    model: Path,
    output: Path,
    conversion: ConversionOptions,
    shapes: Sequence[str] | None,
    device: str | None,
    require_complete: bool,
) -> None:
    """Have a service build a library, and write it here.

    Raises
    ------
    EngineError
        It could not be built there; the text says why.
    """
    session.leave_stdout_to(output)
    library = writable(output, read=[model])
    server = session.server()
    assert server is not None
    with server, session.steps() as steps:
        found = served_model(session, server, model, shapes, conversion)
        wanted = {"model": found.id, "device": device, "require_complete": require_complete}
        if _FILE.fullmatch(library.name):
            # What else belongs to the library names itself after it.
            wanted["file"] = library.name
        build = server.post(
            "service-build", "builds", body={k: v for k, v in wanted.items() if v is not None}
        )
        build = _waited_for(server, build, found.name, steps)
        document = {**build["report"], "library": str(library)}
        files = [library]
        with writing(library) as file:
            server.download("builds", build["id"], "library", into=file)
        if document["rest"] is not None:
            rest = library.with_name(Path(document["rest"]["path"]).name)
            document["rest"] = {**document["rest"], "path": str(rest)}
            with writing(writable(rest)) as file:
                server.download("builds", build["id"], "rest", into=file)
            files.append(rest)
    session.emit({name: value for name, value in document.items() if name != "schema"})
    show_built(session, document, str(model))
    say_files(session, document, files, tune_command(session, model, shapes, conversion))


def _waited_for(
    server: Connection, build: dict[str, Any], name: str, say: Callable[[str], None]
) -> dict[str, Any]:
    until = time.monotonic() + _MOST_SECONDS
    while build["state"] in ("waiting", "building"):
        said = "waits for others at" if build["state"] == "waiting" else "is being built at"
        say(f"{name} {said} {server.url}")
        if time.monotonic() > until:
            raise EngineError(f"{name} was not built at {server.url} within {_MOST_SECONDS / 3600:.0f} hours")
        time.sleep(_ASK_SECONDS)
        build = server.get("service-build", "builds", build["id"])
    if build["state"] != "done":
        raise EngineError(f"{server.url} couldn't build {name}: {build['error']}")
    return build
