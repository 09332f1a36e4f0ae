"""``serve``: pages and an API on the store."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.extras import require
from orchestrator.cli.kit.server_option import SERVER_VARIABLE
from orchestrator.cli.kit.session import DB_VARIABLE, Session

__all__ = ["serve"]

_COMMAND = "from orchestrator.cli import main; main()"
_END_SECONDS = 30


@command(
    "serve",
    panel=options.PANELS.CAMPAIGNS,
    examples=(
        "serve --coordinator",
        "serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem",
    ),
)
def serve(
    session: Session,
    host: Annotated[
        str,
        typer.Option("--host", metavar="ADDRESS", help="Where to listen; others come in with a token alone."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, metavar="N", help="0 for any that is free.")
    ] = 8085,
    coordinator: Annotated[
        bool,
        typer.Option("--coordinator", help="Run what is submitted, too: `tunefleet coordinator`, beside it."),
    ] = False,
    files: Annotated[
        Path | None,
        typer.Option(
            "--files",
            metavar="FOLDER",
            help="Where uploaded models are kept, for the coordinator too; beside the database, if left out.",
            show_default=False,
        ),
    ] = None,
    uploads: Annotated[
        str,
        typer.Option(
            "--uploads",
            envvar="TUNEFLEET_UPLOADS",
            metavar="URL",
            help="Keep them there instead, as fsspec has it: s3://bucket/models. Coordinators fetch them.",
            show_default=False,
        ),
    ] = "",
    upload_limit: Annotated[
        int, typer.Option("--upload-limit", min=1, metavar="MIB", help="Size of a file that may be uploaded.")
    ] = 2048,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate, PEM.", show_default=False)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key, PEM.", show_default=False)
    ] = None,
    behind_proxy: Annotated[
        str,
        typer.Option(
            "--behind-proxy",
            metavar="ADDRESS",
            help="Of a proxy whose word about who asks is taken; several with commas.",
            show_default=False,
        ),
    ] = "",
    notify: Annotated[
        list[str] | None,
        typer.Option(
            "--notify",
            envvar="TUNEFLEET_NOTIFY",
            metavar="URL",
            help="Tell there when a campaign ends or a device is quarantined: Apprise's address; repeat it.",
            show_default=False,
        ),
    ] = None,
    mlflow: Annotated[
        str | None,
        typer.Option(
            "--mlflow",
            envvar="TUNEFLEET_MLFLOW",
            metavar="URI",
            help="Log each campaign as a run there: MLflow's tracking server, or sqlite:///PATH.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve pages and an API on the store, until Ctrl-C.

    On a loopback, until the first token is made, whoever is on this machine may do everything. Elsewhere, and
    behind a proxy, it doesn't start without a token: see `tunefleet tokens`.
    """
    require("service", "fastapi", "uvicorn", "jinja2", "prometheus_client")
    if coordinator:
        require("tuning", "ray", "tvm", "psutil")
    from orchestrator.service.run import files_folder
    from orchestrator.service.run import serve as run
    from orchestrator.service.settings import ServiceSettings

    with session.storage() as store:
        settings = ServiceSettings(
            db=session.db,
            files=(files or files_folder(store)).absolute(),
            host=host,
            port=port,
            certificate=tls_cert,
            key=tls_key,
            proxies=behind_proxy,
            uploads=uploads,
            upload_bytes=upload_limit * 2**20,
        )
        with contextlib.ExitStack() as beside:

            def ready(address: str) -> None:
                # Not before: a service that can't be started leaves no coordinator for a moment.
                if coordinator:
                    beside.enter_context(_coordinator(session))
                session.say(f"serving on {address}; Ctrl-C ends it")

            if notify:
                from orchestrator.service.notices import Notices, sender

                beside.enter_context(Notices(store, sender(tuple(notify))))
            if mlflow:
                from orchestrator.service.mlflow_runs import CampaignRuns, mlflow_client

                beside.enter_context(CampaignRuns(store, mlflow_client(mlflow)))
            run(store, settings, ready)


@contextlib.contextmanager
def _coordinator(session: Session) -> Iterator[None]:
    """Have a coordinator run beside the service, in a process of its own: Ray stays out of this one."""
    environment = {**os.environ, **({DB_VARIABLE: session.db} if session.db else {})}
    environment.pop(SERVER_VARIABLE, None)
    # A session of its own: Ctrl-C in the terminal is for the service, which then ends it.
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, "coordinator"], env=environment, start_new_session=True
    )
    over = threading.Event()

    def watch() -> None:
        code = process.wait()
        if not over.is_set():
            session.error(
                f"the coordinator beside this service has ended, with exit code {code}: nobody runs what is "
                "submitted until `tunefleet coordinator` is started, or this service anew"
            )

    threading.Thread(target=watch, name="tunefleet-coordinator", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
