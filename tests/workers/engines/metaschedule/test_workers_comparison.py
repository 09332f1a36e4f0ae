"""Candidates whose output is compared with the kernel without a schedule before they are timed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from workers.actors import BuildActor, MeasureActor
from workers.clients import EngineClient
from workers.enginekit.comparison import difference
from workers.engines.metaschedule.traits import TRAITS
from workers.errors import UsageError
from workers.messages import (
    Candidate,
    DeviceInfo,
    EvaluatorConfig,
    Measurement,
    Station,
    Traits,
    TrialState,
    Workload,
)

EVALUATOR = EvaluatorConfig(min_repeat_ms=5, timeout_s=20.0)
#: Computes a product in a buffer of bytes, which is copied to where it belongs.
IN_BYTES = [
    ["GetSBlock", [], ["arg2", "main"], ["b0"]],
    ["CacheWrite", ["b0", []], [0, "global"], ["b1"]],
    ["UnsafeSetDType", ["b0"], [0, "int8"], []],
]


def measured(
    builder: BuildActor, measurer: MeasureActor, workload: Workload, device: DeviceInfo, candidate: Candidate
) -> Measurement:
    result, artifact = builder.build(workload, device.target, candidate, 60, checked=True)
    assert artifact is not None, result.message
    assert artifact.check
    return measurer.measure(artifact, Station(device.device_class, device), EVALUATOR)


def test_a_candidate_that_computes_something_else_is_a_wrong_output_and_is_not_timed(
    engine: EngineClient, builder: BuildActor, measurer: MeasureActor, device: DeviceInfo
) -> None:
    workload, right = engine.known_kernel(device.target)
    assert measured(builder, measurer, workload, device, right).state is TrialState.OK
    found = measured(builder, measurer, workload, device, Candidate("false", json.dumps([IN_BYTES, []])))
    assert (found.state, found.times) == (TrialState.WRONG_OUTPUT, ())
    assert "than the kernel without a schedule: argument 2 is off by" in found.message
    # Nobody asked: it is timed like any other.
    _, artifact = builder.build(workload, device.target, Candidate("false", json.dumps([IN_BYTES, []])), 60)
    assert artifact is not None
    assert artifact.check == b""
    timed = measurer.measure(artifact, Station(device.device_class, device), EVALUATOR)
    assert timed.state is TrialState.OK


@pytest.mark.slow
def test_candidates_that_take_their_weights_in_another_layout_are_compared_as_well(
    builder: BuildActor,
    measurer: MeasureActor,
    convolution: Workload,
    device: DeviceInfo,
    candidates: tuple[Candidate, ...],
) -> None:
    rewritten = 0
    for candidate in candidates:
        _, artifact = builder.build(convolution, device.target, candidate, 60, checked=True)
        assert artifact is not None
        timed, compared = json.loads(artifact.args), json.loads(artifact.check_args)
        rewritten += [shape for _, _, shape in timed] != [shape for _, shape in compared]
        found = measured(builder, measurer, convolution, device, candidate)
        assert found.state is TrialState.OK, found.message
        assert found.times
    assert rewritten


def test_an_engine_that_can_not_compare_refuses_by_its_name() -> None:
    TRAITS.check_comparison("cpu")
    with pytest.raises(UsageError, match=r"the metaschedule engine can't compare .* for cuda: without"):
        TRAITS.check_comparison("cuda")
    with pytest.raises(UsageError, match=r"the toy engine can't compare .*; leave --verify-candidates out"):
        Traits("toy").check_comparison("cpu")


def test_results_differ_by_more_than_rounding_or_not_at_all() -> None:
    want = np.array([1.0, -4.0, 0.5], "float32")
    assert difference(want + np.float32(1e-3), want, "float32") == ""
    assert difference(want + np.float32(1e-2), want, "float32") == "is off by 0.01, and 0.004 is allowed"
    assert "shape" in difference(want[:2], want, "float32")
    assert difference(np.array([np.nan, 1.0]), np.array([2.0, 1.0]), "float32") == "has NaN in other places"
    assert difference(np.array([np.nan, 1.0]), np.array([np.nan, 1.0]), "float32") == ""
    assert difference(np.array([np.inf]), np.array([-np.inf]), "float32") == "is infinite in other places"
    assert difference(np.array([np.inf]), np.array([1.0]), "float32").startswith("is off by inf")
    assert difference(np.array([7], "int32"), np.array([8], "int32"), "int32").startswith("is off by 1")
    assert difference(np.array([7], "int8"), np.array([8], "int8"), "int8") == ""
    assert difference(np.array([], "float32"), np.array([], "float32"), "float32") == ""
