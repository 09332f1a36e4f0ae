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
from tvm_ffi.serialization import from_json_graph_str

__all__ = [
    "FREE_LAYOUTS",
    "canonical_module",
    "canonical_names",
    "load_module",
    "only_function",
    "plain_hash",
    "renamed",
    "save_module",
    "workload_hash",
]

#: The attribute by which a kernel says which of its arguments are constants, whose layout is free.
FREE_LAYOUTS = "layout_free_buffers"
# TVM writes its version at the end of what it saves.
_VERSION_WITHIN = 100


def canonical_names(func: PrimFunc) -> dict[str, str]:
    """Return what the canonical form calls each argument of `func`, by the name it has."""
    return {str(param.name): f"arg{index}" for index, param in enumerate(func.params)}


def renamed(name: str, names: dict[str, str]) -> str:
    """Return a name with the argument's name it is, or begins with, changed as `names` says."""
    fitting = (old for old in names if name == old or name.startswith(old + "_"))
    base = max(fitting, key=len, default=None)
    return name if base is None else names[base] + name[len(base) :]


def only_function(module: IRModule) -> PrimFunc:
    """Return the one kernel of a module.

    Raises
    ------
    ValueError
        It holds anything else.
    """
    functions = list(module.functions.values())
    if len(functions) != 1 or not isinstance(functions[0], PrimFunc):
        raise ValueError(f"a workload is one kernel, and this module holds {len(functions)} functions")
    return functions[0]


def canonical_module(func: PrimFunc) -> IRModule:
    """Return a module that holds `func` alone, as ``main``, without any name that came from the model."""
    names = canonical_names(func)
    # The pattern kind is what fusion concluded; a kernel is the same with and without it.
    func = func.without_attr("op_pattern") if "op_pattern" in func.attrs else func
    func = func.with_attr("global_symbol", "main").with_attr("tirx.noalias", True)
    return _renamed(IRModule({"main": func}), names)


def workload_hash(module: IRModule) -> str:
    """Return the hash of a canonical module: 32 hexadecimal digits."""
    lines = module.script(show_meta=True).splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def plain_hash(module: IRModule) -> str:
    """Return the hash of a canonical module as it were if nothing were known about its constants.

    What TVM lowers and tunes by default says nothing about them.
    """
    func = module["main"]
    if FREE_LAYOUTS not in func.attrs:
        return workload_hash(module)
    return workload_hash(IRModule({"main": func.without_attr(FREE_LAYOUTS)}))


def save_module(module: IRModule) -> bytes:
    """Serialize a module; :func:`load_module` reads it."""
    return str(tvm.ir.save_json(module)).encode()


@functools.lru_cache(maxsize=256)
def load_module(data: bytes) -> IRModule:
    """Read what :func:`save_module` wrote."""
    text = data.decode()
    if f'"tvm_version":"{tvm.__version__}"' in text[-_VERSION_WITHIN:]:
        return from_json_graph_str(text)
    return tvm.ir.load_json(text)


def _renamed(module: IRModule, names: dict[str, str]) -> IRModule:
    """Rename variables and blocks whose names are, or begin with, one of `names`."""
    graph = json.loads(str(tvm.ir.save_json(module)))
    nodes: list[dict[str, Any]] = graph["nodes"]
    added: dict[str, int] = {}

    def rename(index: int) -> int:
        old = nodes[index]["data"]
        new = renamed(old, names)
        if new == old:
            return index
        if new not in added:
            nodes.append({"type": "ffi.String", "data": new})
            added[new] = len(nodes) - 1
        return added[new]

    # Names that stand inline, as short strings do in some nodes, are not indices; TVM 0.27 writes indices.
    for node in list(nodes):
        field = {"ir.Var": "name", "s_tir.SBlock": "name_hint"}.get(node["type"])
        if field is not None:
            node["data"][field] = rename(node["data"][field])
    # Not TVM's load_json: it would look, in Python, for what an older TVM may have written.
    return from_json_graph_str(json.dumps(graph))
