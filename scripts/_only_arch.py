"""Empty what a library has of machine code for other GPUs than one, so that it is small when compressed.

    python3 scripts/_only_arch.py libonnxruntime_providers_cuda.so 90

The code lies in the section .nv_fatbin: containers (a magic number, a version, the size of their head, that
of what follows), and in each of them entries (a kind, of which 2 is machine code and 1 PTX; the size of their
head, that of their code; at byte 28 the architecture). Places and sizes stay what they are.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

_CONTAINER, _MACHINE_CODE = 0xBA55ED50, 2


def emptied(data: bytearray, start: int, end: int, arch: int) -> int:
    """Empty a section's entries for other architectures; return how many bytes that were.

    A container that has nothing for this one keeps all it has.
    """
    count, at = 0, start
    while at + 16 <= end:
        magic, _, head, size = struct.unpack_from("<IHHQ", data, at)
        if magic != _CONTAINER:
            at += 8  # what lies between them is aligned to that
            continue
        entries, place, at = [], at + head, at + head + size
        while place < at:
            kind, _, head, size = struct.unpack_from("<HHIQ", data, place)
            (wanted,) = struct.unpack_from("<I", data, place + 28)
            entries.append((kind == _MACHINE_CODE and wanted == arch, place + head, size))
            place += head + size
        if any(kept for kept, _, _ in entries):
            for kept, place, size in entries:
                if not kept:
                    data[place : place + size] = bytes(size)
                    count += size
    return count


def main() -> None:
    """Do that to a file."""
    path, arch = Path(sys.argv[1]), int(sys.argv[2])
    listed = subprocess.run(["readelf", "-SW", path], check=True, capture_output=True, text=True).stdout
    (line,) = (line for line in listed.splitlines() if " .nv_fatbin " in line)
    _, _, _, offset, size, *_ = line.partition("]")[2].split()
    data = bytearray(path.read_bytes())
    start = int(offset, 16)
    count = emptied(data, start, start + int(size, 16), arch)
    path.write_bytes(data)
    print(f"{path.name}: {count / 1e6:.0f} of {int(size, 16) / 1e6:.0f} MB emptied")


if __name__ == "__main__":
    main()
