"""A converter's process: its own interpreter, its own group, a time limit, and what it said."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import workers
from orchestrator.conversion.environment import converter_folder
from orchestrator.conversion.source import Source
from orchestrator.errors import EngineLostError, EngineTimeoutError, ModelError
from workers.converters.contract import ConversionRequest, Converted
from workers.environments import variables
from workers.environments.lifeline import die_with_parent

__all__ = ["run_converter"]

_LAST_WORDS = 1500
_MEMORY = "; where memory ran out, the system ends what takes most"
# Of the folder this package lies in, another interpreter sees this package alone; and nothing of the folder
# that the command was called in, unless the source is code.
_INSIDE = """
import importlib.util as util, runpy, sys
def load(name, folder):
    spec = util.spec_from_file_location(name, folder + "/__init__.py", submodule_search_locations=[folder])
    sys.modules[name] = module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
workers, name, folder, request = sys.argv[1:]
sys.path[:] = [path for path in sys.path if path]
load("workers", workers)
if folder:
    load(name, folder)
sys.argv[1:] = [request]
runpy.run_module(name + ".inside", run_name="__main__", alter_sys=True)
"""


def run_converter(
    source: Source, python: str, request: ConversionRequest, limit_s: float, folder: Path
) -> Converted:
    """Run a source's converter to its end, and return what it replied.

    Parameters
    ----------
    python : str
        The converter's interpreter.
    limit_s : float
        Seconds after which it is killed.
    folder : pathlib.Path
        An empty one, for what it says.

    Raises
    ------
    ModelError
        The source can't be converted; the text is the converter's own.
    EngineTimeoutError, EngineLostError
        It took too long, or died; its last words are in the text.
    """
    asked, log = folder / "request.json", folder / "words.log"
    request.write(str(asked))
    package = source.package
    lies = "" if package.own else str(package.folder)
    command = [python, "-c", _INSIDE, str(Path(workers.__file__).parent), package.module, lies, str(asked)]
    with log.open("wb") as words:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            env=variables(python),
            # A Ctrl-C at the terminal is for the command, which ends this.
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise EngineTimeoutError(
                f"converting {source.name} was ended after {limit_s:g} s; --timeout gives it more"
                f"{_last_words(package.name, log)}"
            ) from None
        finally:
            # Whatever it started is in its group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    try:
        reply = json.loads(Path(request.reply).read_text("utf-8"))
    except (OSError, ValueError):
        raise EngineLostError(
            f"the {package.name} converter {_ended(code)} while it converted {source.name}"
            f"{_last_words(package.name, log)}"
        ) from None
    if "error" in reply:
        raise _refusal(source, reply["error"])
    return Converted.of(reply)


def _refusal(source: Source, error: dict[str, str]) -> ModelError:
    message = error["message"].strip()
    hint = f"; {error['hint'].strip()}" if error.get("hint") else ""
    return ModelError(f"{source.name}: {message.rstrip('.')}{hint}")


def _ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code} and without a reply"
    name = signal.Signals(-code).name
    return f"was killed by signal {-code} ({name})" + (_MEMORY if -code == signal.SIGKILL else "")


def _last_words(name: str, log: Path) -> str:
    """Return the end of what a converter said, and keep all of it where a person can read it."""
    words = log.read_text("utf-8", "replace").strip()
    if not words:
        return ""
    kept = converter_folder() / f"{name}.log"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(log, kept)
    return f"; all that it said is in {kept}, which ends:\n{words[-_LAST_WORDS:]}"
