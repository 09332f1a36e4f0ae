"""Choosing the configurations of a model's convolutions together: AutoTVM's graph tuner.

The best configuration of each convolution by itself may want its data in another layout than its neighbour
gives it, and the transforms in between may cost more than it gained. The graph tuner weighs both, from the
trials of all configurations and the time of each transform, which is a workload like others and is measured
like them.
"""

from __future__ import annotations

import contextlib
import copy
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from tvm import relay
from tvm.autotvm.graph_tuner import DPTuner, PBQPTuner
from tvm.autotvm.graph_tuner._base import INVALID_LAYOUT_TIME
from tvm.autotvm.task import args_to_workload

from workers.engines.autotvm.classic import autotvm, tvm
from workers.engines.autotvm.model import import_model
from workers.engines.autotvm.tasks import (
    candidate_of,
    config_of,
    fallback_of,
    make_task,
    result_of,
    workload_of,
)
from workers.messages import Candidate, PreparedModel, Record, RecordChoice, Workload
from workers.process.host import stage

__all__ = ["plans", "transforms"]

#: Layouts of one convolution that are weighed, those of the fastest records first. The work grows with its
#: square for each pair of neighbours, and so does the number of transforms to measure.
_LAYOUTS = 4
_TEMPLATE = "layout_transform"


def transforms(
    model: PreparedModel,
    target: tvm.target.Target,
    workloads: tuple[Workload, ...],
    history: dict[str, tuple[Record, ...]],
    engine: str,
) -> tuple[tuple[Workload, Candidate], ...]:
    """Return the layout transforms whose time has to be known before :func:`plans` can weigh them."""
    with _tuner(DPTuner, model, target, workloads, history) as tuner:
        return () if tuner is None else tuple(_needed(tuner, target, engine).values())


def plans(
    model: PreparedModel,
    target: tvm.target.Target,
    workloads: tuple[Workload, ...],
    history: dict[str, tuple[Record, ...]],
    measured: dict[str, tuple[Record, ...]],
) -> tuple[RecordChoice, ...]:
    """Return the graph tuner's plan where there is one, each workload's best, and TVM's own fallback."""
    best = _best(history)
    found = [RecordChoice("untuned")]
    if best:
        found.insert(0, RecordChoice("each task's best", best))
        sequence = _together(model, target, workloads, history, measured)
        if sequence:
            found.insert(0, RecordChoice("layouts chosen together", best, sequence))
    return tuple(found)


def _together(
    model: PreparedModel,
    target: tvm.target.Target,
    workloads: tuple[Workload, ...],
    history: dict[str, tuple[Record, ...]],
    measured: dict[str, tuple[Record, ...]],
) -> tuple[tuple[Workload, Record], ...]:
    """Return what the better of both tuners chose.

    The dynamic program is exact for chains, and far off where branches meet often: for a text classifier with
    34 such places its choice added up to 1.91 ms, the fallback to 1.22 and the approximate tuner's to 0.94.
    """
    found: list[tuple[float, tuple[tuple[Workload, Record], ...]]] = []
    for kind in (DPTuner, PBQPTuner):
        with _tuner(kind, model, target, workloads, history) as tuner:
            if tuner is None:
                return ()
            stage("weighing layouts against each other")
            for key, (workload, _) in _needed(tuner, target, "").items():
                times = [record.times for record in measured.get(workload.hash, ()) if record.times]
                # One that failed, or that nobody measured, is never taken.
                cost = min(map(_mean, times), default=INVALID_LAYOUT_TIME)
                result = autotvm.MeasureResult((cost,), 0, cost, 0.0)
                tuner._layout_transform_perf_records[key] = (None, result)
            tuner._iterate_layout_transform(tuner._create_matrix_callback)
            # It works in place on the one that it has.
            between = copy.deepcopy(tuner._layout_transform_interlayer_cost)
            try:
                tuner.run()
            except Exception:  # the dynamic program gives up where it has too many states
                continue
            sequence = tuple((inputs.workload, inputs.record) for inputs, _ in tuner.get_optimal_records())
            found.append((_expected(tuner, between), sequence))
    return min(found, key=lambda item: item[0], default=(0.0, ()))[1]


def _expected(tuner: Any, between: dict[tuple[int, int], Any]) -> float:
    """Add up what a tuner's choice takes: convolutions, and the transforms `between` them."""
    chosen, nodes = tuner._optimal_record_dict, tuner._node_list
    records = [
        nodes[i]["record_candidates"][k] for i, k in chosen.items() if nodes[i]["op"] in tuner._target_ops
    ]
    transforms = [
        costs[chosen[a]][chosen[b]] for (a, b), costs in between.items() if a in chosen and b in chosen
    ]
    return float(sum(_mean(result.costs) for _, result in records) + sum(transforms))


def _mean(times: tuple[float, ...]) -> float:
    return sum(times) / len(times)


def _best(history: dict[str, tuple[Record, ...]]) -> dict[str, Record]:
    fast = {key: [r for r in records if r.times] for key, records in history.items()}
    return {key: min(records, key=lambda r: _mean(r.times)) for key, records in fast.items() if records}


def _layouts(task: Any, records: tuple[Record, ...]) -> list[Record]:
    """Return the fastest record of each layout, of a few layouts: the fastest, and always the fallback's.

    That one is what neighbours share where each takes it, however slow it is for one of them.
    """
    fastest: dict[str, Record] = {}
    for record in sorted((r for r in records if r.times), key=lambda r: _mean(r.times)):
        fastest.setdefault(_blocks(config_of(record.candidate)), record)
    fallback = fallback_of(task)
    shared = None if fallback is None else fastest.pop(_blocks(fallback), None)
    rest = list(fastest.values())
    return [*rest[: _LAYOUTS - 1], shared] if shared is not None else rest[:_LAYOUTS]


def _blocks(config: Any) -> str:
    """Return what decides about the layout of a convolution's data: its blocks of channels."""
    return " ".join(str(config[name].size[-1]) for name in ("tile_ic", "tile_oc"))


class _Input:
    """What the graph tuner reads of a MeasureInput, and what it was made of."""

    def __init__(self, task: Any, workload: Workload, record: Record) -> None:
        self.task, self.workload, self.record = task, workload, record
        self.config = config_of(record.candidate)


@contextlib.contextmanager
def _tuner(
    kind: Any,
    model: PreparedModel,
    target: tvm.target.Target,
    workloads: tuple[Workload, ...],
    history: dict[str, tuple[Record, ...]],
) -> Iterator[Any]:
    """Give a graph tuner that knows the records; None where it can't be used on this model."""
    if target.kind.name != "llvm":
        yield None  # blocked layouts are what CPUs want
        return
    module, _ = import_model(model)
    pairs = []
    for workload in workloads:
        if not workload.name.startswith(("conv2d_NCHWc", "depthwise_conv2d_NCHWc")):
            continue
        task = make_task(workload, target)
        pairs += [
            (_Input(task, workload, r), result_of(r)) for r in _layouts(task, history.get(workload.hash, ()))
        ]
    stage("finding the model's convolutions")
    shapes = {spec.name: spec.shape for spec in model.inputs}
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        try:
            tuner = kind(
                module["main"],
                shapes,
                pairs,
                [relay.op.get("nn.conv2d")],
                target,
                max_sch_num=_LAYOUTS,
                verbose=False,
                log_file=str(pathlib.Path(folder) / "graph_tuner.log"),
            )
        except (KeyError, RuntimeError, ValueError, IndexError):
            # A convolution without a record, of a template that has no layouts, or none at all.
            tuner = None
        yield tuner


def _needed(tuner: Any, target: Any, engine: str) -> dict[Any, tuple[Workload, Candidate]]:
    """Return the layout transforms between the candidates of neighbours, by AutoTVM's key of each."""
    found: dict[Any, tuple[Workload, Candidate]] = {}

    def take(_from: int, _to: int, _i: int, _j: int, args: Any) -> None:
        _, before, after = args
        key = args_to_workload(args, _TEMPLATE)
        if before != after and key not in found:
            task = autotvm.task.create(_TEMPLATE, args, target)
            # There is one way to do it.
            found[key] = workload_of(task, engine), candidate_of(task.config_space.get(0))

    tuner._iterate_layout_transform(take)
    return found
