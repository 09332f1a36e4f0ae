"""Run by ``test_workers_tiles``: computes with a library for a CPU with tiles, on one that stands in for it.

    python tiles_computed.py EMULATOR LIBRARY INPUTS.npz OUTPUTS.npz

It prints how many multiplications of tiles there were.
"""

from __future__ import annotations

import ctypes
import sys

import numpy as np
import tvm
from tvm import relax

emulator, library, given, made = sys.argv[1:]
stand_in = ctypes.CDLL(emulator)
stand_in.tiles_multiplied.restype = ctypes.c_ulong
machine = relax.VirtualMachine(tvm.runtime.load_module(library), tvm.cpu())
result = machine["main"](*(tvm.runtime.tensor(value) for value in np.load(given).values()))
outputs = [one.numpy() for one in (result if isinstance(result, tvm.ir.Array) else [result])]
np.savez(made, *outputs)
print(stand_in.tiles_multiplied())
