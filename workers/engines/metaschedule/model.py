"""Whole models: from ONNX to tasks, and from the best candidates to a library."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax, te
from tvm.ir import GenericConst, IRModule
from tvm.relax.backend.cpu_generic import pipeline as cpu_generic
from tvm.relax.backend.gpu_generic import pipeline as gpu_generic
from tvm.s_tir import SBlockRealize, dlight
from tvm.support.cc import create_shared, cross_compiler
from tvm.target import Target
from tvm.tirx import PrimFunc

from workers.enginekit.archives import archived, too_large_for_a_library
from workers.enginekit.linkers import linker_for, linking
from workers.enginekit.refusals import last_words, refused_at
from workers.engines.metaschedule import bfloats, frontend, quantizing
from workers.engines.metaschedule.axes import with_plain_axes
from workers.engines.metaschedule.batch_norms import with_batch_norms_folded
from workers.engines.metaschedule.codegen import built_library
from workers.engines.metaschedule.database import RecordDatabase
from workers.engines.metaschedule.folding import with_constants_folded
from workers.engines.metaschedule.functions import with_polynomials
from workers.engines.metaschedule.fusing import set_apart
from workers.engines.metaschedule.integers import with_integer_products
from workers.engines.metaschedule.layouts import Choice, chosen_layout, with_layout
from workers.engines.metaschedule.matmuls import matmul_legalizer
from workers.engines.metaschedule.nans import with_nans_kept
from workers.engines.metaschedule.packing import with_weights_packed
from workers.engines.metaschedule.parallel_loops import with_own_threads
from workers.engines.metaschedule.repetition import without_repetition
from workers.engines.metaschedule.running import run_model
from workers.engines.metaschedule.scales import with_scales_as_arguments
from workers.engines.metaschedule.starter.begin import begun_record
from workers.engines.metaschedule.statements import statements
from workers.engines.metaschedule.sums import with_wide_sums
from workers.engines.metaschedule.targets import cores_of, parse_target
from workers.engines.metaschedule.toolchain import engine_version
from workers.engines.metaschedule.traits import NAME
from workers.engines.metaschedule.workload import canonical_module, plain_hash, save_module, workload_hash
from workers.errors import ModelError, TunefleetError
from workers.messages import (
    Array,
    Baton,
    CompiledModel,
    Endpoint,
    Extraction,
    ModelRun,
    PreparedModel,
    Record,
    RecordChoice,
    TaskSpec,
    Workload,
)
from workers.process.host import stage

__all__ = [
    "MetaScheduleModel",
    "compile_model",
    "extract_tasks",
    "fused",
    "imported",
    "in_nchw",
    "kernels_of",
    "stock_kernels",
]


def extract_tasks(model: PreparedModel, target: Target, engine: str, version: str) -> Extraction:
    """Return the tasks of a model; see :meth:`workers.enginekit.roles.Model.extract`."""
    choice = _laid_out(model, target)
    lowered = _as_kernels(with_polynomials(choice.laid.module, target), target)
    module = _with_free_layouts(lowered, target)
    weights = _call_counts(module)
    # The pass names the kernels it touches anew, and so all of them end in a digit that says nothing.
    given = {name for name, _ in kernels_of(lowered)}
    tasks: dict[str, TaskSpec] = {}
    stage("naming the workloads")
    for name, func in kernels_of(module):
        canonical = canonical_module(func)
        key = workload_hash(canonical)
        weight = weights.get(name, 0)
        if key in tasks:
            known = tasks[key]
            tasks[key] = TaskSpec(known.name, known.weight + weight, known.workload)
        elif weight:
            flops = float(tvm.s_tir.analysis.estimate_tir_flops(canonical))
            readable = name if name in given or name[:-1] not in given else name[:-1]
            workload = Workload(key, engine, _kind(readable), flops, save_module(canonical))
            tasks[key] = TaskSpec(readable, weight, workload)
    return Extraction(
        tuple(tasks.values()),
        version,
        choice.laid.layout,
        choice.reason,
        choice.alternative,
        choice.estimate_s,
        choice.alternative_s,
    )


def stock_kernels(model: PreparedModel, target: Target) -> list[tuple[IRModule, tuple[str, ...]]]:
    """Return the kernels of a model as TVM's own passes look them up, each with the hashes of its tasks.

    First as they are tuned here, then as stock lowers them by default: there they don't say which of their
    arguments are constants, so that one may be several tasks.
    """
    normalized = tvm.get_global_func("tvm.s_tir.meta_schedule.normalize_mod")
    lowered = _as_kernels(imported(model, target), target)
    kernels: list[tuple[IRModule, tuple[str, ...]]] = []
    tasks: dict[str, list[str]] = {}
    for _, func in kernels_of(_with_free_layouts(lowered, target)):
        canonical = canonical_module(func)
        key = workload_hash(canonical)
        tasks.setdefault(plain_hash(canonical), []).append(key)
        kernels.append((normalized(func), (key,)))
    for _, func in kernels_of(lowered):
        kernels.append((normalized(func), tuple(tasks.get(workload_hash(canonical_module(func)), ()))))
    return kernels


def compile_model(
    model: PreparedModel, target: Target, choice: RecordChoice, *, params_beside: bool
) -> CompiledModel:
    """Compile a model with the records chosen; see :meth:`workers.enginekit.roles.Model.compile`."""
    linked = _linked_for(target)  # without a linker nothing is worth compiling
    module = fused(model, target)
    records = choice.records
    stage("scheduling what has no record")
    lent = _begun(module, target, records, choice.unlent) if choice.lend else {}
    try:
        return _compiled(model, module, target, records, lent, linked, params_beside)
    except Exception:  # of whatever it is that LLVM or a pass makes of a schedule
        if not lent:
            raise
        # Nobody has built what is lent, and a library without it is slow, but it is one.
        return _compiled(model, module, target, records, {}, linked, params_beside)


def _compiled(
    model: PreparedModel,
    module: IRModule,
    target: Target,
    records: Mapping[str, Record],
    lent: dict[str, Record],
    linked: tuple[str, dict[str, Any]],
    params_beside: bool,
) -> CompiledModel:
    linker, options = linked
    stage("applying the records")
    known = {**lent, **records}
    database = RecordDatabase(lambda key, _: [known[key]] if key in known else [], target, "")
    with target, database:
        module = relax.transform.MetaScheduleApplyDatabase()(module)
    tuned = tuple(sorted(key for key in database.asked if key in records))
    untuned = tuple(sorted(key for key in database.asked if key not in records))
    stage("compiling the model")
    module = _packed(module, target)
    params = None
    if params_beside:
        module, params = _with_weights_as_arguments(module)
    with linking(linker):
        library = built_library(module, target, _lowering(target), **options)
    archive, file = (None, "") if params is None else archived(params, model)
    schedules = {key: record.candidate.hash for key, record in sorted(lent.items())}
    return CompiledModel(library, archive, tuned, untuned, file, schedules)


def _begun(
    module: IRModule, target: Target, records: Mapping[str, Record], without: Collection[str]
) -> dict[str, Record]:
    """Return schedules for a model's kernels without a record but some, by the hash of their workload."""
    if target.kind.name != "llvm":
        return {}  # a GPU's kernels without a record get DLight's schedules
    found: dict[str, Record] = {}
    for name, func in kernels_of(module):
        canonical = canonical_module(func)
        key = workload_hash(canonical)
        if key in records or key in found or key in without:
            continue
        flops = float(tvm.s_tir.analysis.estimate_tir_flops(canonical))
        begun = begun_record(canonical, _kind(name), flops, target)
        if begun is not None:
            found[key] = begun
    return found


def _linked_for(target: Target) -> tuple[str, dict[str, Any]]:
    triple = str(target.attrs.get("mtriple", ""))
    linker, cross = linker_for(triple)
    if target.kind.name != "llvm":
        return linker, {"fcompile": cross_compiler(linker)} if cross else {}
    link = cross_compiler(linker) if cross else create_shared
    return linker, {"fcompile": with_own_threads(link, linker, cores_of(target), triple)}


def imported(model: PreparedModel, target: Target) -> IRModule:
    """Return a model as TVM imports it, in the layout it asks for, its exponentials as polynomials."""
    return with_polynomials(_laid_out(model, target).laid.module, target)


def in_nchw(model: PreparedModel, target: Target) -> IRModule:
    """Return a model as it is before a layout is chosen for it."""
    return with_nans_kept(with_wide_sums(_imported(model)), target)


def _laid_out(model: PreparedModel, target: Target) -> Choice:
    module = bfloats.with_bfloat_products(with_integer_products(in_nchw(model, target), target), target)
    stage("laying out the model")
    if model.layout == "auto":
        return chosen_layout(module, target)
    return Choice(with_layout(module, model.layout, target), "")


def _imported(model: PreparedModel) -> IRModule:
    stage("importing the model into TVM")
    graph = onnx.load_from_string(model.onnx)
    try:
        module = frontend.imported(graph)
    except Exception as error:  # the frontend raises what it likes
        raise ModelError(
            f"TVM's ONNX frontend refused {model.name} at {refused_at(error, graph)}: "
            f"{type(error).__name__}: {last_words(error)}"
        ) from error
    return with_batch_norms_folded(with_plain_axes(module))


def fused(model: PreparedModel, target: Target) -> IRModule:
    """Run the passes before tuning. Extraction and compilation must see the same kernels (TVM #19385)."""
    return _with_free_layouts(_as_kernels(imported(model, target), target), target)


def _as_kernels(module: IRModule, target: Target) -> IRModule:
    stage("lowering the model to kernels")
    first = [
        relax.backend.DispatchSampling(),
        relax.backend.DispatchSortScan(),
        relax.transform.DecomposeOpsForInference(),
        relax.transform.CanonicalizeBindings(),
    ]
    # What GPUs are given is known to DLight by its form.
    own = dict(bfloats.LEGALIZED)
    if target.kind.name == "llvm":
        own |= quantizing.LEGALIZED | {"relax.matmul": matmul_legalizer(target)}
    lowered = [relax.transform.LegalizeOps(own), relax.transform.AnnotateTIROpPattern()]
    fused = [relax.transform.FoldConstant(), relax.transform.FuseOps(), relax.transform.FuseTIR()]
    with target, tvm.transform.PassContext(opt_level=3):
        module = with_constants_folded(tvm.transform.Sequential(first)(module))
        module = with_scales_as_arguments(module)
        module = without_repetition(set_apart(tvm.transform.Sequential(lowered)(module)))
        return tvm.transform.Sequential(fused)(module)


def _with_free_layouts(module: IRModule, target: Target) -> IRModule:
    """Let a candidate have constants, as the weights are, in whatever layout it likes (see _packed)."""
    if target.kind.name != "llvm":
        # MetaSchedule's RewriteLayout is a postprocessor for llvm alone: the mark would only divide tasks.
        return module
    with target, tvm.transform.PassContext(opt_level=3):
        return relax.transform.AttachAttrLayoutFreeBuffers()(module)


def _packed(module: IRModule, target: Target) -> IRModule:
    """Put the weights into the layouts the tuned kernels want.

    A kernel that wants its weights in another layout rewrites them in a first block of its own; that block
    becomes a kernel of its own and, its input being constant, is run here and now.
    """
    # The pass fails on kernels without a block inside, as sorts, scans and scatters are (TVM 0.27:
    # "There should be a compute block"). They rewrite nothing, so it is shown something else meanwhile.
    kept = {var: func for var, func in module.functions.items() if _opaque(func)}
    shown = IRModule(dict(module.functions), attrs=module.attrs)
    for var in kept:
        shown.update_func(var, _stand_in())
    with target, tvm.transform.PassContext(opt_level=3):
        split = relax.transform.SplitLayoutRewritePreproc()(shown)
        for var, func in kept.items():
            split.update_func(split.get_global_var(var.name_hint), func)
        # What was computed was a tuple for each kernel, to be made and taken apart in each run.
        passes = [
            relax.transform.FoldConstant(),
            relax.transform.CanonicalizeBindings(),
            relax.transform.DeadCodeElimination(),
        ]
        return tvm.transform.Sequential(passes)(with_weights_packed(split))


def _opaque(func: Any) -> bool:
    """Say whether a kernel is one block alone, the root."""
    return (
        isinstance(func, PrimFunc)
        and sum(isinstance(one, SBlockRealize) for one in statements(func.body)) < 2
    )


def _stand_in() -> PrimFunc:
    x = te.placeholder((1,), name="x")
    return te.create_prim_func([x, te.compute((1,), lambda i: x[i], name="y")])


def _with_weights_as_arguments(module: IRModule) -> tuple[IRModule, dict[str, Any]]:
    """Turn the constants of ``main`` into its last arguments: ``p0``, ``p1`` and so on, in the order of their
    use.

    Later than the import does it, so that the kernels, and the layouts of the weights, are those that were
    tuned.
    """
    lift = _LiftConstants(module)
    main = module["main"]
    body = lift.visit_expr(main.body)
    inputs = len(main.params)
    attrs = {**(dict(main.attrs) if main.attrs is not None else {}), "num_input": inputs}
    lifted = relax.Function([*main.params, *lift.variables], body, main.ret_ty, main.is_pure)
    module = IRModule(dict(module.functions), attrs=module.attrs)
    module["main"] = lifted.with_attrs(attrs)
    return module, {f"p{i}": value for i, value in enumerate(lift.values)}


@relax.expr_functor.mutator
class _LiftConstants(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    def __init__(self, module: IRModule) -> None:
        super().__init__(module)
        self.variables: list[relax.Var] = []
        self.values: list[np.ndarray] = []

    def visit_generic_const_(self, op: GenericConst) -> relax.Expr:
        if not isinstance(op.value, tvm.runtime.Tensor) or not op.value.shape:
            return op  # a scalar is part of the program
        self.variables.append(relax.Var(f"p{len(self.values)}", op.ty))
        self.values.append(op.value.numpy())
        return self.variables[-1]


def _lowering(target: Target) -> Any:
    """Return the passes from kernels with their schedules to what the virtual machine's compiler takes."""
    passes: list[Any] = []
    if target.kind.name != "llvm":
        # Kernels without a record stay unbound on a GPU and don't compile (TVM #18159).
        passes.append(
            dlight.ApplyDefaultSchedule(
                dlight.gpu.Matmul(),
                dlight.gpu.GEMV(),
                dlight.gpu.Reduction(),
                dlight.gpu.GeneralReduction(),
                dlight.gpu.Fallback(),
            )
        )
    # relax.pipeline.dataflow_lower_passes() fails for llvm on 0.27: its package does not export them.
    lowering = cpu_generic if target.kind.name == "llvm" else gpu_generic
    passes += [*lowering.dataflow_lower_passes(target), *lowering.finalize_passes(target)]
    return tvm.transform.Sequential(passes)


def kernels_of(module: IRModule) -> list[tuple[str, PrimFunc]]:
    """Return a module's kernels in the order of the module, by their names."""
    functions = [
        (var.name_hint, func) for var, func in module.functions.items() if isinstance(func, PrimFunc)
    ]
    return sorted(functions)


def _kind(name: str) -> str:
    """Return what a kernel does, without the numbers that make its name unique, and sizes of blocks."""
    return re.sub(r"(?<=nchw)\d+(?=c)|\d+(?=_|$)", "", name)


def _call_counts(module: IRModule) -> dict[str, int]:
    counts: dict[str, int] = {}

    def visit(expr: Any) -> None:
        if isinstance(expr, relax.Call) and getattr(expr.op, "name", "") == "relax.call_tir":
            name = expr.args[0].name_hint
            counts[name] = counts.get(name, 0) + 1

    for func in module.functions.values():
        if isinstance(func, relax.Function):
            relax.analysis.post_order_visit(func, visit)
    return counts


class MetaScheduleModel:
    """See :class:`workers.enginekit.roles.Model`."""

    def extract(self, model: PreparedModel, target: str) -> Extraction:
        """Return the tasks of a model."""
        try:
            return extract_tasks(model, parse_target(target), NAME, engine_version())
        except TunefleetError:
            raise
        except Exception as error:  # a pass of TVM, on what its frontend took
            raise ModelError(
                f"TVM can't lower {model.name} to kernels: {type(error).__name__}: {last_words(error)}"
            ) from error

    def compile(
        self, model: PreparedModel, target: str, choice: RecordChoice, params_beside: bool = False
    ) -> CompiledModel:
        """Compile a model; weights that no library holds are beside it in any case."""
        beside = params_beside or too_large_for_a_library(model)
        return compile_model(model, parse_target(target), choice, params_beside=beside)

    def run(
        self,
        compiled: CompiledModel,
        inputs: Mapping[str, Array],
        target: str,
        repeats: int = 0,
        number: int = 1,
        endpoint: Endpoint | None = None,
        settle_s: float = 0.0,
        least_s: float = 0.0,
        baton: Baton | None = None,
    ) -> ModelRun:
        """Run a compiled model here, or on a device behind a tracker."""
        return run_model(
            compiled, inputs, parse_target(target), repeats, number, endpoint, settle_s, least_s, baton
        )
