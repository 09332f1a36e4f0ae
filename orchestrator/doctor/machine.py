"""The machine: space, ports, memory, GPUs."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket

from orchestrator.doctor.findings import DISTRIBUTION, Check, Status, output_of
from orchestrator.fleet.ray.temporary import session_folder, why_unusable
from workers.enginekit import cuda

__all__ = [
    "check_cuda",
    "check_disk",
    "check_gpu",
    "check_home",
    "check_machine",
    "check_ports",
    "check_shared_memory",
    "nearest_folder",
]

_PORTS_TRIED = 20
_MIB = 2**20
_GIB = 2**30
# An engine process with TVM in it takes some 250 MiB, and there are several for each core.
_MEMORY_WARN = 3 * _GIB
# Ray's shared memory; with less it falls back to a folder on disk, with a warning of its own.
_SHM_WARN = 256 * _MIB
_DISK_WARN = 1 * _GIB
_DISK_FAIL = 50 * _MIB


def check_gpu() -> Check:
    """Is there a GPU? Without one, tuning is for the CPU."""
    tool = shutil.which("nvidia-smi")
    text = (
        output_of(tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
        if tool
        else None
    )
    if not text:
        return Check("GPU", Status.OK, "none found; tuning is for the CPU")
    return Check("GPU", Status.OK, "; ".join(line.strip() for line in text.splitlines()))


def check_cuda() -> Check:
    """Can kernels for a GPU be compiled here, and does TVM get to a GPU that is here?

    Neither is missed where there is no GPU and none is built for.
    """
    name = "CUDA"
    here = shutil.which("nvidia-smi") is not None
    compiler = cuda.compiler()
    found = cuda.nvcc() if compiler == "nvcc" else compiler
    if here and not cuda.has_runtime():
        mend = f"pip install '{DISTRIBUTION}[cuda]', or the CUDA 13 toolkit"
        return Check(name, Status.WARN, f"TVM can't use the GPU without {cuda.RUNTIME}", mend)
    if compiler:
        return Check(name, Status.OK, f"compiled with {found}")
    if not here:
        return Check(
            name, Status.OK, "no compiler; libraries for a GPU hold source, which its machine compiles"
        )
    mend = f"pip install '{DISTRIBUTION}[cuda]', or the CUDA toolkit with nvcc on the path"
    return Check(name, Status.WARN, "no compiler, so that nothing can be measured on the GPU", mend)


def check_disk(name: str, folder: pathlib.Path) -> Check:
    """Is there room for records?"""
    try:
        free = shutil.disk_usage(nearest_folder(folder)).free
    except OSError as error:
        return Check(name, Status.WARN, f"{folder}: {error.strerror}")
    found = f"{_size(free)} in {folder}"
    if free < _DISK_FAIL:
        return Check(name, Status.FAIL, found, "free some space, or keep the database elsewhere with --db")
    if free < _DISK_WARN:
        return Check(name, Status.WARN, found, "free some space")
    return Check(name, Status.OK, found)


def check_ports(name: str, ports: tuple[int, int]) -> Check:
    """Is a loopback port free where the tracker or a server will look for one?"""
    first, last = ports
    for port in range(first, min(last, first + _PORTS_TRIED)):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return Check(name, Status.OK, f"{port} on loopback is free")
    mend = "end what listens there (`ss -ltnp` lists it)"
    return Check(
        name, Status.WARN, f"{first} to {port} on loopback are all taken; later ones will be tried", mend
    )


def check_machine() -> Check:
    """How many cores, how much memory?"""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory()
    found = f"{cores} cores, {_size(memory.available)} of {_size(memory.total)} memory available"
    if memory.available < _MEMORY_WARN:
        return Check("machine", Status.WARN, found, "end other programs, or use fewer cores with --slots")
    if cores < 2:
        return Check("machine", Status.WARN, found, "search and measurement will take turns on the one core")
    return Check("machine", Status.OK, found)


def check_shared_memory(folder: pathlib.Path = pathlib.Path("/dev/shm")) -> Check:
    """Is there shared memory for Ray?"""
    name = "shared memory"
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return Check(
            name, Status.WARN, f"there is no {folder}", "Ray will use a folder on disk, which is slower"
        )
    found = f"{_size(free)} free in {folder}"
    if free < _SHM_WARN:
        return Check(name, Status.WARN, found, "give more of it (in a container: --shm-size=1g)")
    return Check(name, Status.OK, found)


def check_home() -> Check:
    """Can Ray keep its token and its logs?"""
    name = "home and temporary folder"
    # Ray 2.60 writes a token under the home directory, and its session under the temporary one.
    try:
        home = pathlib.Path.home()
    except RuntimeError:  # HOME isn't set, and this user has no entry in passwd
        return Check(name, Status.FAIL, "no home folder is known", "set HOME to a folder of yours")
    if not os.access(home, os.W_OK | os.X_OK):
        found = f"{home} can't be written to" if home.is_dir() else f"there is no folder {home}"
        return Check(name, Status.FAIL, found, "set HOME to a folder of yours")
    wrong, _, mend = why_unusable().partition(": ")
    if wrong:
        return Check(name, Status.FAIL, wrong, mend)
    return Check(name, Status.OK, f"{home}, {session_folder()[0]}")


def nearest_folder(folder: pathlib.Path) -> pathlib.Path:
    """The folder itself, or the first above it that is there."""
    return next((path for path in (folder, *folder.parents) if path.is_dir()), pathlib.Path("/"))


def _size(number: float) -> str:
    return f"{number / _GIB:.1f} GiB" if number >= _GIB else f"{number / _MIB:.0f} MiB"
