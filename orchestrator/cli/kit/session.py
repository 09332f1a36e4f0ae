"""What one run of a command has in its hands: its options, its two streams, its database."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.text import Text

from orchestrator.cli.kit.extras import require
from orchestrator.cli.kit.launchers import Launchers
from orchestrator.cli.kit.server_option import SERVER_VARIABLE
from orchestrator.cli.kit.steps import Steps
from orchestrator.cli.kit.streams import named_stdout
from orchestrator.cli.kit.text import printable
from orchestrator.documents.schema import titled
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.files import leads_to_stdout

if TYPE_CHECKING:
    from orchestrator.remote.address import ServerAddress
    from orchestrator.remote.connection import Connection
    from orchestrator.storage import Storage
    from orchestrator.toolbox import Toolbox

__all__ = ["DB_VARIABLE", "Session"]

DB_VARIABLE = "TUNEFLEET_DB"
# A table that goes to a file or a pipe is cut nowhere.
_UNLIMITED_COLUMNS = 1000


class Session:
    """One run of one command.

    Parameters
    ----------
    command : str
        Its name, which is also the name of its JSON document.
    launchers : Launchers, optional
        What it starts engine processes and campaigns with.
    db : str or None
        Database URL as given; None for the default file.
    as_json : bool
    debug : bool
    """

    def __init__(
        self,
        command: str,
        launchers: Launchers = Launchers(),  # noqa: B008 - frozen
        *,
        db: str | None = None,
        as_json: bool = False,
        debug: bool = False,
    ) -> None:
        self.command = command
        self.launchers = launchers
        self._began = time.monotonic()
        self.db = db
        self.as_json = as_json
        self.debug = debug
        #: The service that is asked instead of a database here.
        self.address: ServerAddress | None = None
        self._emitted = False
        self._named_database = False
        self._stdout_is_data = False

    @property
    def began(self) -> float:
        """When the command began, on the monotonic clock; importing is part of what it takes."""
        if not self.launchers.alone:
            return self._began
        import psutil

        started: float = psutil.Process().create_time()
        return time.monotonic() - max(0.0, time.time() - started)

    # -- stderr

    @property
    def err(self) -> Console:
        """Where logs, progress and errors go."""
        return Console(stderr=True, highlight=False, markup=False)

    def say(self, text: str, *, style: str = "") -> None:
        """Write a line for the person to stderr."""
        # No wrapping: commands to copy must stay in one line.
        self.err.print(Text(text, style=style), soft_wrap=True)

    def error(self, text: str) -> None:
        """Write what went wrong to stderr."""
        line = Text("error: ", style="bold red")
        line.append(text, style="default not bold")
        self.err.print(line, soft_wrap=True)

    def steps(self) -> Steps:
        """Return a place for one line that says what is going on."""
        return Steps(self.err)

    # -- stdout

    def leave_stdout_to(self, output: os.PathLike[str] | None) -> None:
        """Have what people read go to stderr where a file is written to stdout, as ``-o /dev/stdout`` asks.

        Raises
        ------
        UsageError
            A JSON document is to go there as well.
        """
        if output is None or not leads_to_stdout(output):
            return
        if self.as_json:
            raise UsageError(f"--json and {output} both are stdout: leave one of them out")
        self._stdout_is_data = True

    @property
    def out(self) -> Console:
        """Where data goes."""
        if self._stdout_is_data:
            return self.err
        console = Console(highlight=False, markup=False)
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console = Console(highlight=False, markup=False, width=_UNLIMITED_COLUMNS)
        return console

    def show(self, *parts: RenderableType) -> None:
        """Write data for people to stdout; nothing where a JSON document is wanted."""
        if self.as_json:
            return
        console = self.out
        with named_stdout():
            for part in parts:
                console.print(part)

    def write(self, *lines: Text) -> None:
        """Write lines for people to stdout that are not broken where the terminal ends: paths, commands."""
        if not self.as_json:
            with named_stdout():
                for line in lines:
                    self.out.print(line, soft_wrap=True)

    def emit(self, document: dict[str, Any], *, kind: str | None = None) -> None:
        """Write the one JSON document of this command to stdout, where it is wanted."""
        if not self.as_json or self._emitted:
            return
        self._emitted = True
        with named_stdout():
            json.dump(titled(kind or self.command, document), sys.stdout, indent=2, allow_nan=False)
            sys.stdout.write("\n")

    def fail(self, kind: str, message: str, exit_code: int) -> None:
        """Report an error on stderr, and as the JSON document where one is wanted.

        What a terminal would take for a command, such as a name out of a file may hold, is written out.
        """
        message = printable(message)
        self.error(message)
        if self.debug:
            traceback.print_exc()
        error = {"kind": kind, "message": message, "exit_code": exit_code}
        with contextlib.suppress(OSError):
            self.emit({"command": self.command, "error": error}, kind="error")

    # -- engine processes

    def toolbox(self, engine: str) -> Toolbox:
        """Return the processes of an engine; they start when they are first asked something."""
        return self.launchers.toolbox(engine)

    # -- the service

    def server(self) -> Connection | None:
        """Return a connection to the service that is asked; None where a database here is.

        Raises
        ------
        UsageError
            What it takes isn't installed.
        """
        if self.address is None:
            return None
        require("client", "httpx2")
        if self.address.in_the_clear:
            self.say(
                f"the token goes to {self.address.url} unencrypted; https:// would hide it", style="yellow"
            )
        return self.launchers.connect(self.address)

    def refuse_served(self, **options: object) -> None:
        """Refuse options that a service has no answer for.

        Parameters
        ----------
        options : object
            By their names on a command line, with ``_`` for ``-``; those count that were given.

        Raises
        ------
        UsageError
        """
        given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
        if given:
            raise UsageError(
                f"{', '.join(given)}: not through a service; leave it out, or give the command where the "
                "database is"
            )

    # -- the database

    def storage(self, *, create: bool = True) -> Storage:
        """Open the database of this command.

        Parameters
        ----------
        create : bool
            Make a file that isn't there. Queries leave that to commands that have something to store.

        Raises
        ------
        NotFoundError
            The default file isn't there and may not be made.
        StorageError, UsageError
            See :meth:`orchestrator.storage.Storage.open`.
        """
        from orchestrator.storage import Storage

        if create:
            self.name_database()
        else:
            self.require_database()
        return Storage.open(self.db, create=create)

    def require_database(self) -> None:
        """Name the database, and refuse to go on where nothing was ever stored.

        Raises
        ------
        NotFoundError
            The default file is meant and isn't there.
        """
        from orchestrator.storage import default_path

        self.name_database()
        if self.db is None and not default_path().exists():
            raise NotFoundError(f"nothing was stored yet: there is no {self.database}")

    def name_database(self) -> None:
        """Say where the records are, unless the person has named that place."""
        if self.db is None and not self._named_database:
            self._named_database = True
            self.say(f"database: {self.database}", style="dim")

    @property
    def database(self) -> str:
        """The database for people: a file's path or a URL, no password in it."""
        from orchestrator.storage import default_path, safe_url

        if self.address is not None:
            return self.address.url
        if self.db is None:
            return str(default_path())
        if "://" in self.db:
            return safe_url(self.db)
        return os.path.abspath(os.path.expanduser(self.db))

    def command_line(self, *words: str) -> str:
        """Write a command that does the next thing on the same database."""
        from orchestrator.storage import safe_url

        if self.address is not None:
            named = self.address.url == os.environ.get(SERVER_VARIABLE, "").rstrip("/")
            return shlex.join(["tunefleet", *words, *([] if named else ["--server", self.address.url])])
        if self.db is None or self.db == os.environ.get(DB_VARIABLE):
            return shlex.join(["tunefleet", *words])
        return shlex.join(["tunefleet", *words, "--db", safe_url(self.db) if "://" in self.db else self.db])
