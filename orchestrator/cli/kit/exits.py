"""How a command ends: the one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import typer

from orchestrator.cli.kit.extras import missing_extra
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.streams import STDOUT, abandon_stdout, named_stdout
from orchestrator.errors import TunefleetError, UsageError

__all__ = ["FAILED", "INTERRUPTED", "exit_code_of"]

FAILED = 1
INTERRUPTED = 130


def exit_code_of(session: Session, work: Callable[[], int | None]) -> int:
    """Do a command's work; whatever goes wrong, say so in a line, and return the exit code."""
    try:
        code = work() or 0
        with named_stdout():
            sys.stdout.flush()
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except BrokenPipeError:
        # `| head` has seen enough; that is no failure.
        abandon_stdout()
        return 0
    except KeyboardInterrupt:
        session.fail("Interrupted", "interrupted", INTERRUPTED)
        return INTERRUPTED
    except TunefleetError as error:
        session.fail(type(error).__name__, str(error), error.exit_code)
        return error.exit_code
    except OSError as error:
        session.fail(type(error).__name__, _told(error), FAILED)
        return FAILED
    except Exception as error:
        lacking = missing_extra(error) if isinstance(error, ModuleNotFoundError) else ""
        if lacking:
            session.fail(UsageError.__name__, lacking, UsageError.exit_code)
            return UsageError.exit_code
        words = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
        hint = "" if session.debug else "; run again with --debug, and report what that prints"
        session.fail(type(error).__name__, f"this is a bug in tunefleet: {words}{hint}", FAILED)
        return FAILED
    return code


def _told(error: OSError) -> str:
    """Say what an operation refused, and where: by itself the system mostly says only the first."""
    what = error.strerror or str(error)
    try:
        os.getcwd()
    except OSError:
        return f"the folder that this was started in is gone ({what}): change to one that is there"
    if error.filename == STDOUT:
        # At the end Python would try again, and say so.
        abandon_stdout()
        return f"stdout can't be written: {what}"
    return f"{error.filename}: {what}" if error.filename else what
