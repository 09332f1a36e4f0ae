"""A workload's canonical form and hash.

The Relax importer names the buffers of a kernel after the values of the model (``lv280``), and some of its
blocks after those (``lv280_red``). So one computation gets another text in every model, and a trace, which
finds blocks by name, would not apply to its twin. The canonical form renames all that to the position of the
argument; its printed text is hashed, since TVM's structural hash differs between platforms (TVM #14188).
"""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

import tvm
from tvm.ir import IRModule
from tvm.tirx import PrimFunc

__all__ = ["canonical_module", "load_module", "save_module", "workload_hash"]


def canonical_module(func: PrimFunc) -> IRModule:
    """Return a module that holds `func` alone, as ``main``, without any name that came from the model."""
    names = {str(param.name): f"arg{index}" for index, param in enumerate(func.params)}
    # The pattern kind is what fusion concluded; a kernel is the same with and without it.
    func = func.without_attr("op_pattern") if "op_pattern" in func.attrs else func
    func = func.with_attr("global_symbol", "main").with_attr("tirx.noalias", True)
    return _renamed(IRModule({"main": func}), names)


def workload_hash(module: IRModule) -> str:
    """Return the hash of a canonical module: 32 hexadecimal digits."""
    lines = module.script(show_meta=True).splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def save_module(module: IRModule) -> bytes:
    """Serialize a module; :func:`load_module` reads it."""
    return str(tvm.ir.save_json(module)).encode()


@functools.lru_cache(maxsize=256)
def load_module(data: bytes) -> IRModule:
    """Read what :func:`save_module` wrote."""
    return tvm.ir.load_json(data.decode())


def _renamed(module: IRModule, names: dict[str, str]) -> IRModule:
    """Rename variables and blocks whose names are, or begin with, one of `names`."""
    graph = json.loads(str(tvm.ir.save_json(module)))
    nodes: list[dict[str, Any]] = graph["nodes"]
    added: dict[str, int] = {}

    def rename(index: int) -> int:
        old = nodes[index]["data"]
        base = max(
            (name for name in names if old == name or old.startswith(name + "_")), key=len, default=None
        )
        if base is None:
            return index
        new = names[base] + old[len(base) :]
        if new not in added:
            nodes.append({"type": "ffi.String", "data": new})
            added[new] = len(nodes) - 1
        return added[new]

    # Names that stand inline, as short strings do in some nodes, are not indices; TVM 0.27 writes indices.
    for node in list(nodes):
        field = {"ir.Var": "name", "s_tir.SBlock": "name_hint"}.get(node["type"])
        if field is not None:
            node["data"][field] = rename(node["data"][field])
    return tvm.ir.load_json(json.dumps(graph))
