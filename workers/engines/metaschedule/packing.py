"""Weights in the layouts that tuned kernels want, laid out when a model is compiled.

``FoldConstant`` does that too, and compiles a kernel at a time: for a network with 120 convolutions 16 of the
50 seconds that its library took. Here all of them are compiled at once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tvm
from tvm import relax
from tvm.ir import GenericConst, IRModule
from tvm.target import Target
from tvm.tirx import PrimFunc

from workers.enginekit.machine import usable_cores

__all__ = ["with_weights_packed"]


def with_weights_packed(module: IRModule) -> IRModule:
    """Return a model in which what kernels make of constants alone is constant."""
    read = _Constant(module)
    read.visit_expr(module["main"])
    if not read.kernels:
        return module
    pack = _Pack(module, _compiled(module, sorted(read.kernels)))
    pack.builder_.update_func(module.get_global_var("main"), pack.visit_expr(module["main"]))
    return pack.builder_.finalize()


def _constants(call: relax.Call) -> list[Any] | None:
    """Return the constants that a call of a kernel reads; None where it reads anything else."""
    if getattr(call.op, "name", "") != "relax.call_tir" or len(call.args) != 2:
        return None
    given = call.args[1]
    fields = list(given.fields) if isinstance(given, relax.Tuple) else [given]
    if not fields or not all(map(_tensor, fields)):
        return None
    return fields if all(map(_static, _outputs(call))) else None


def _tensor(given: Any) -> bool:
    return isinstance(given, GenericConst) and isinstance(given.value, tvm.runtime.Tensor)


def _outputs(call: relax.Call) -> list[Any]:
    made = call.ty_args[0]
    return list(made.fields) if isinstance(made, relax.TupleType) else [made]


def _static(made: Any) -> bool:
    return isinstance(made.shape, relax.ShapeExpr) and all(
        isinstance(size, tvm.tirx.IntImm) for size in made.shape.values
    )


@relax.expr_functor.visitor
class _Constant(relax.expr_functor.PyExprVisitor):  # type: ignore[misc]
    """Finds the kernels that are called with constants alone."""

    def __init__(self, module: IRModule) -> None:
        super().__init__()
        self._module = module
        self.kernels: set[str] = set()

    def visit_call_(self, call: relax.Call) -> None:
        if _constants(call) is not None and isinstance(self._module[call.args[0]], PrimFunc):
            self.kernels.add(call.args[0].name_hint)


@relax.expr_functor.mutator
class _Pack(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    def __init__(self, module: IRModule, kernels: dict[str, Any]) -> None:
        super().__init__(module)
        self._kernels = kernels

    def visit_call_(self, call: relax.Call) -> Any:
        """Run a kernel of constants instead of calling it."""
        given = _constants(call)
        kernel = None if given is None else self._kernels.get(call.args[0].name_hint)
        if kernel is None:
            return super().visit_call_(call)
        made = [
            tvm.runtime.empty([int(size) for size in one.shape.values], one.dtype) for one in _outputs(call)
        ]
        kernel(*(one.value for one in given or ()), *made)
        constants = [relax.const(one) for one in made]
        return relax.Tuple(constants) if isinstance(call.ty_args[0], relax.TupleType) else constants[0]


def _compiled(module: IRModule, names: list[str]) -> dict[str, Any]:
    """Compile kernels for this machine, whatever the model is compiled for."""

    def built(part: list[str]) -> dict[str, Any]:
        kernels = {name: module[name].with_attr("global_symbol", name) for name in part}
        with tvm.transform.PassContext(opt_level=3):
            library = tvm.tirx.build(IRModule(kernels), target=Target("llvm"))
        return {name: library[name] for name in part}

    cores = usable_cores()
    with ThreadPoolExecutor(cores) as threads:
        found: dict[str, Any] = {}
        for part in threads.map(built, filter(None, (names[first::cores] for first in range(cores)))):
            found |= part
    return found
