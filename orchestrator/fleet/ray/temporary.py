"""The folder in which a Ray of one's own keeps its sockets and logs, and what may be wrong with it."""

from __future__ import annotations

import os
import shutil
from datetime import datetime

__all__ = ["logs_of_session", "session_folder", "why_unusable"]

# Of struct sockaddr_un, less the zero at its end.
_LONGEST_SOCKET = 107
_LARGEST_PID = 4194304
# An object store of Ray's lies in memory, its logs here.
_FREE_BYTES = 16 * 2**20


def session_folder() -> tuple[str, str]:
    """Return where Ray keeps its sessions, and the variable that says so: as Ray 2.60 looks for it."""
    for variable in ("RAY_TMPDIR", "TMPDIR"):
        if variable in os.environ:
            return os.environ[variable], variable
    return "/tmp", "TMPDIR"


def why_unusable() -> str:
    """Say why Ray can't start with that folder, and what to set; empty where it can."""
    folder, variable = session_folder()
    longest = (
        f"{folder}/ray/session_{datetime.now():%Y-%m-%d_%H-%M-%S_%f}_{_LARGEST_PID}/sockets/plasma_store"
    )
    set_it = f"set {variable} to another folder, such as /tmp"
    over = len(os.fsencode(longest)) - _LONGEST_SOCKET
    if not os.path.isabs(folder):
        return f"{variable} is {folder!r}, which is no absolute path: {set_it}"
    if over > 0:
        return f"{variable} is {folder}, {over} bytes too long for the sockets that Ray has in it: {set_it}"
    if not os.path.isdir(folder):
        return f"{variable} is {folder}, where there is no folder: make it, or {set_it}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{variable} is {folder}, which can't be written to: {set_it}"
    if shutil.disk_usage(folder).free < _FREE_BYTES:
        return f"{variable} is {folder}, which is full: free some space, or {set_it}"
    return ""


def logs_of_session() -> str:
    """Return the folder of the logs of the Ray that was started last."""
    return f"{session_folder()[0]}/ray/session_latest/logs"
