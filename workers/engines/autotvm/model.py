"""Whole models: from ONNX to tasks, and from a plan to a library."""

from __future__ import annotations

import io
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from tvm import relay
from tvm.autotvm.task import ApplyGraphBest
from tvm.autotvm.task.space import FallbackConfigEntity
from tvm.contrib.cc import cross_compiler
from tvm.relay.backend.executor_factory import GraphExecutorFactoryModule

from workers.enginekit.linkers import linker_for, linking
from workers.enginekit.refusals import last_words, refused_at
from workers.enginekit.weights import fill
from workers.engines.autotvm.classic import autotvm, tvm
from workers.engines.autotvm.running import run_model
from workers.engines.autotvm.targets import parse_target
from workers.engines.autotvm.tasks import config_of, tvm_workload, workload_hash, workload_of
from workers.engines.autotvm.toolchain import engine_version
from workers.engines.autotvm.traits import NAME
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
)
from workers.process.host import stage

__all__ = ["AutoTVMModel", "compile_model", "extract_tasks", "import_model"]

_MISREAD = {"ConvInteger"}

# Operators AutoTVM has templates for, as Relay names them.
_TUNABLE = ("nn.conv", "nn.dense", "nn.batch_matmul", "nn.contrib_dense", "nn.deformable")


def import_model(model: PreparedModel) -> tuple[tvm.IRModule, dict[str, Any]]:
    """Return a model in Relay, and its weights.

    Raises
    ------
    ModelError
        Where the frontend refuses it, with the reason.
    """
    stage("importing the model into TVM")
    graph = onnx.load_from_string(model.onnx)
    for node in graph.graph.node:
        if node.op_type in _MISREAD:
            raise ModelError(
                f"classic TVM makes floats of {node.op_type}'s sums (node {node.name!r} of {model.name}); "
                "quantize the model statically, or tune it with the engine metaschedule"
            )
    fill(graph.graph.initializer)
    shapes = {spec.name: spec.shape for spec in model.inputs}
    try:
        module, params = relay.frontend.from_onnx(graph, shapes, freeze_params=True)
        module = relay.transform.DynamicToStatic()(module)
    except Exception as error:  # the frontend raises what it likes
        raise ModelError(
            f"classic TVM's ONNX frontend refused {model.name} at {refused_at(error, graph)}: "
            f"{type(error).__name__}: {last_words(error)}"
        ) from error
    return relay.transform.InferType()(module), params


def extract_tasks(model: PreparedModel, target: tvm.target.Target, engine: str, version: str) -> Extraction:
    """Return the tasks of a model; see :meth:`workers.enginekit.roles.Model.extract`."""
    module, params = import_model(model)
    stage("extracting the tasks")
    tasks = autotvm.task.extract_from_program(module["main"], target=target, params=params)
    stage("counting the calls")
    calls = _calls(module, target, params)
    specs: dict[str, TaskSpec] = {}
    for task in tasks:
        workload = workload_of(task, engine)
        weight = max(1, calls.get(_signature(task.args), 0))
        specs.setdefault(workload.hash, TaskSpec(_readable(task), weight, workload))
    return Extraction(tuple(specs.values()), version)


def compile_model(
    model: PreparedModel, target: tvm.target.Target, plan: RecordChoice, *, params_beside: bool
) -> CompiledModel:
    """Compile a model after a plan; see :meth:`workers.enginekit.roles.Model.compile`."""
    linker, cross = linker_for(str(target.attrs.get("mtriple", "")))  # without it nothing is worth compiling
    module, params = import_model(model)
    stage("compiling the model")
    chosen = _ChosenTogether(plan) if plan.sequence else _Chosen(plan)
    with chosen, tvm.transform.PassContext(opt_level=3):
        built = relay.build(module, target=target, params=params)
    stage("linking the model")
    archive = None
    if params_beside:
        buffer = io.BytesIO()
        np.savez(buffer, **{name: value.numpy() for name, value in built.get_params().items()})
        archive = buffer.getvalue()
        built = GraphExecutorFactoryModule(
            built.ir_mod,
            built.target,
            built.executor,
            built.get_graph_json(),
            built.lib,
            "default",
            {},
            built.function_metadata,
        )
    with linking(linker), tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        path = pathlib.Path(folder) / "model.so"
        built.export_library(str(path), **({"fcompile": cross_compiler(linker)} if cross else {}))
        library = path.read_bytes()
    return CompiledModel(library, archive, tuple(chosen.used), tuple(chosen.missed))


class _Chosen(autotvm.task.DispatchContext):  # type: ignore[misc]
    """The records of a plan, where TVM asks for configurations.

    Attributes
    ----------
    used, missed : dict of str to None
        Hashes of the workloads that were asked for and had a record, and of those that had none.
    """

    def __init__(self, plan: RecordChoice) -> None:
        # By name: of the class below, the next in line is one that wants records as a log has them.
        autotvm.task.DispatchContext.__init__(self)
        self._configs = {key: _costed(record) for key, record in plan.records.items()}
        self._given: dict[Any, Any] = {}
        self.used: dict[str, None] = {}
        self.missed: dict[str, None] = {}

    def _query_inside(self, target: Any, workload: Any) -> Any:
        known = self._given.get((str(target), workload))
        if known is None:
            key = workload_hash(workload)
            known = self._configs.get(key)
            (self.missed if known is None else self.used)[key] = None
            known = known or FallbackConfigEntity()
            self._given[str(target), workload] = known
        return known

    def update(self, target: Any, workload: Any, config: Any) -> None:
        """Take the configuration of a workload in the layout it was given."""
        self._given[str(target), workload] = config


class _ChosenTogether(_Chosen, ApplyGraphBest):  # type: ignore[misc]
    """The same, with a configuration of its own for each convolution of the model, in the model's order.

    TVM knows by its base class that it is to be asked once for each of them, without saying for which.
    """

    def __init__(self, plan: RecordChoice) -> None:
        super().__init__(plan)
        self._sequence = iter(plan.sequence)

    def _query_inside(self, target: Any, workload: Any) -> Any:
        if workload is not None:
            return super()._query_inside(target, workload)
        described, record = next(self._sequence)
        config = _costed(record)
        config.workload = tvm_workload(described)
        self.used[described.hash] = None
        self.update(target, config.workload, config)
        return config


def _costed(record: Record) -> Any:
    config = config_of(record.candidate)
    # What TVM compares where several implementations of an operator have records.
    config.cost = float(np.mean(record.times))
    return config


def _readable(task: Any) -> str:
    """Name a task by its template and the shapes of its tensors."""
    shapes = [
        "x".join(map(str, arg[1])) for arg in task.args if isinstance(arg, tuple) and arg[:1] == ("TENSOR",)
    ]
    return f"{task.name} {' '.join(shapes)}"


def _signature(args: Any) -> tuple[Any, ...]:
    """Return what a task and a call of an operator have in common: shapes of data and weights, strides."""
    tensors = tuple(tuple(arg[1]) for arg in args if isinstance(arg, tuple) and arg[:1] == ("TENSOR",))
    rest = [arg for arg in args if not (isinstance(arg, tuple) and arg[:1] == ("TENSOR",))]
    strides = rest[0] if len(tensors[0]) == 4 and rest and isinstance(rest[0], tuple) else ()
    return (tensors[:2], tuple(strides))


def _calls(module: tvm.IRModule, target: tvm.target.Target, params: dict[str, Any]) -> dict[Any, int]:
    """Count the calls of tunable operators by what :func:`_signature` tells of them."""
    with tvm.transform.PassContext(opt_level=3, disabled_pass={"AlterOpLayout"}):
        optimized, _ = relay.optimize(module, target=target, params=params)
    counts: dict[Any, int] = {}

    def visit(expr: Any) -> None:
        if not isinstance(expr, relay.Call) or not str(getattr(expr.op, "name", "")).startswith(_TUNABLE):
            return
        shapes = tuple(tuple(int(n) for n in arg.checked_type.shape) for arg in expr.args[:2])
        strides = getattr(expr.attrs, "strides", None)
        key = (shapes, tuple(map(int, strides)) if strides is not None and len(shapes[0]) == 4 else ())
        counts[key] = counts.get(key, 0) + 1

    for function in optimized.functions.values():
        relay.analysis.post_order_visit(function, visit)
    return counts


class AutoTVMModel:
    """See :class:`workers.enginekit.roles.Model`."""

    def extract(self, model: PreparedModel, target: str) -> Extraction:
        """Return the tasks of a model."""
        try:
            return extract_tasks(model, parse_target(target), NAME, engine_version())
        except TunefleetError:
            raise
        except Exception as error:  # a pass of TVM, on what its frontend took
            raise ModelError(
                f"classic TVM can't lower {model.name}: {type(error).__name__}: {last_words(error)}"
            ) from error

    def compile(
        self, model: PreparedModel, target: str, choice: RecordChoice, params_beside: bool = False
    ) -> CompiledModel:
        """Compile a model."""
        return compile_model(model, parse_target(target), choice, params_beside=params_beside)

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
        parsed = parse_target(target)
        return run_model(
            compiled.library,
            compiled.params,
            inputs,
            parsed,
            repeats,
            number,
            endpoint,
            settle_s,
            least_s,
            baton,
        )
