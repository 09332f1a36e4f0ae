"""Other interpreters, asked what they are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

from workers.environments.lifeline import die_with_parent
from workers.errors import EngineError, UsageError

__all__ = ["ASK_SECONDS", "program_of", "python_version", "run_program", "text_of", "variables"]

_VARIABLES_OF_AN_INTERPRETER = ("PYTHONEXECUTABLE", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
ASK_SECONDS = 60.0


def variables(python: str = sys.executable) -> dict[str, str]:
    """Return the environment variables for a Python that runs an engine.

    Another than this process's one must not be told where this one has its library.
    """
    if python == sys.executable:
        return dict(os.environ)
    return {key: text for key, text in os.environ.items() if key not in _VARIABLES_OF_AN_INTERPRETER}


def program_of(python: str) -> str:
    """Return the full path of an interpreter that a person named."""
    found = shutil.which(os.path.expanduser(python))
    if found is None:
        raise UsageError(f"{python} is no program; name a Python interpreter")
    # Links are kept: that of a virtual environment leads to a Python which knows nothing of it.
    return os.path.abspath(found)


def python_version(python: str) -> tuple[int, int]:
    text = run_program(
        [python, "-I", "-c", "import sys; print(*sys.version_info[:2])"], ASK_SECONDS, variables(python)
    )
    try:
        major, minor = map(int, text.split())
    except ValueError:
        raise EngineError(f"{python} is no Python: asked for its version, it said {text[:100]!r}") from None
    return major, minor


def text_of(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def run_program(command: list[str], timeout_s: float, environment: dict[str, str]) -> str:
    """Run a program that ends with this process, and return what it says."""
    with tempfile.TemporaryFile("w+", errors="replace") as complaints:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                timeout=timeout_s,
                text=True,
                errors="replace",
                env=environment,
                preexec_fn=die_with_parent,
            )
        except subprocess.TimeoutExpired:
            raise EngineError(f"`{' '.join(command)}` took longer than {timeout_s:.0f} s") from None
        except OSError as error:
            raise EngineError(f"{command[0]} can't be started: {error.strerror}") from None
        if done.returncode:
            complaints.seek(0)
            said = (complaints.read().strip() or done.stdout.strip())[-2000:]
            raise EngineError(f"`{' '.join(command)}` failed with exit code {done.returncode}:\n{said}")
    return done.stdout
