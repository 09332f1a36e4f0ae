"""Kernels are compiled in parts, and a library has all of them."""

from __future__ import annotations

from tvm import te
from tvm.ir import Call, GlobalVar, IRModule, PrimType
from tvm.tirx import Evaluate, PrimFunc, SeqStmt

from workers.engines.metaschedule.codegen import _calls_another, _divided


def doubled(size: int) -> PrimFunc:
    x = te.placeholder((size,), name="x")
    return te.create_prim_func([x, te.compute((size,), lambda i: x[i] * 2, name="y")])


def test_each_kernel_is_in_one_part() -> None:
    names = [f"k{number}" for number in range(11)]
    kernels = IRModule({GlobalVar(name): doubled(number + 1) for number, name in enumerate(names)})
    parts = _divided(kernels)
    assert len(parts) == 8
    found = [var.name_hint for part in parts for var in part.functions]
    assert sorted(found) == sorted(names)


def test_fewer_kernels_than_parts_make_no_empty_part() -> None:
    assert len(_divided(IRModule({GlobalVar("one"): doubled(4), GlobalVar("two"): doubled(5)}))) == 2


def test_kernels_that_call_one_another_stay_in_one_module() -> None:
    inner = GlobalVar("inner")
    plain = doubled(4)
    calling = PrimFunc(
        plain.params, SeqStmt([Evaluate(Call(inner, [], ret_ty=PrimType("int32"))), plain.body])
    )
    assert _calls_another(calling)
    assert not _calls_another(plain)
    assert len(_divided(IRModule({inner: plain, GlobalVar("outer"): calling}))) == 1
