"""What links compiled kernels to a library: a compiler of this machine, or one for another."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator

from workers.enginekit.machine import is_own
from workers.errors import EngineError
from workers.files import full_temporary_folder

__all__ = ["COMPILERS", "cross_linker", "host_linker", "linker_for", "linking", "require_any_linker"]

#: The order in which TVM looks for what links its libraries.
COMPILERS = ("g++", "gcc", "clang++", "clang", "c++", "cc")
_INSTALL = "apt-get install g++, or what your system calls it, or name another with CXX"


def host_linker() -> str:
    """Return what TVM links with here: what CXX or CC names, or the first compiler on the path.

    Raises
    ------
    EngineError
        There is none. TVM itself fails with a TypeError, after all has been compiled.
    """
    for variable in ("CXX", "CC"):
        named = os.environ.get(variable)
        if not named:
            continue
        if shutil.which(named) is None:
            words = ", and TVM takes one program without arguments" if " " in named.strip() else ""
            raise EngineError(
                f"{variable} names {named!r}, which is no program here{words}; TVM links libraries with it: "
                f"correct {variable}, or unset it for the first of {', '.join(COMPILERS)}"
            )
        return named
    found = next(filter(None, map(shutil.which, COMPILERS)), None)
    if found is None:
        raise EngineError(
            f"there is no compiler on the path (none of {', '.join(COMPILERS)}), and TVM links libraries "
            f"with one: {_INSTALL}"
        )
    return found


def cross_linker(triple: str) -> str | None:
    """Return what links libraries for a target's triple here; None where the usual one does.

    Raises
    ------
    EngineError
        Where it isn't installed.
    """
    if not triple or is_own(triple):
        return None
    # Debian and its likes name cross compilers so; a vendor in the triple is not part of that name.
    parts = triple.split("-")
    names = list(dict.fromkeys([f"{triple}-g++", f"{parts[0]}-{'-'.join(parts[-2:])}-g++"]))
    for name in names:
        if shutil.which(name):
            return name
    if any(part.startswith(("windows", "mingw")) for part in parts):
        raise EngineError(
            f"a library for {triple} is not linked here: docs/windows.md says how to do it by hand"
        )
    raise EngineError(
        f"a library for {triple} is linked with {names[-1]}, which is not installed here "
        f"(Debian has it in the package g++-{parts[0].replace('_', '-')}-{'-'.join(parts[-2:])})"
    )


def linker_for(triple: str) -> tuple[str, bool]:
    """Return what links libraries for a target's triple here, and whether it is a cross compiler.

    Raises
    ------
    EngineError
        It isn't there.
    """
    cross = cross_linker(triple)
    return (host_linker(), False) if cross is None else (cross, True)


def require_any_linker() -> None:
    """Refuse a machine on which no candidate at all could be linked.

    Raises
    ------
    EngineError
        See :func:`host_linker`; a machine that builds for boards alone may have a cross compiler instead.
    """
    try:
        host_linker()
    except EngineError:
        folders = map(pathlib.Path, os.get_exec_path())
        if not any(next(folder.glob("*-g++"), None) for folder in folders):
            raise


@contextlib.contextmanager
def linking(linker: str) -> Iterator[None]:
    """Say of a library that couldn't be linked why, and by what.

    Raises
    ------
    EngineError
        In place of what TVM and the system say: that a file isn't there, or all that the compiler wrote.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise EngineError(
            f"{linker} wrote no library: it is no compiler, or not for C++ ({error.strerror}: "
            f"{error.filename}); correct CXX, or unset it"
        ) from None
    except OSError as error:
        what = error.strerror or str(error)
        if error.filename in (None, linker):
            raise EngineError(
                f"{linker} can't be run to link the library: {what}; correct CXX, or unset it"
            ) from None
        raise EngineError(
            f"{error.filename} can't be written while linking: {what}{full_temporary_folder()}"
        ) from None
    except RuntimeError as error:
        text = str(error)
        if not text.startswith("Compilation error"):  # TVM's own, of the compiler's
            raise
        said = [line.strip() for line in text.splitlines()[1:] if line.strip()]
        said = [line for line in said if not line.startswith("Command line:")]
        told = "; ".join(said[:3]) or "it said nothing"
        raise EngineError(f"{linker} can't link the library: {told}{full_temporary_folder()}") from None
