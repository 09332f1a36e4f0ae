"""When outputs count as the reference's."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from tests.kit.hard_models import Hard
from workers.messages import Array
from workers.models import OutputDifference, compare, tolerance


def one(got: npt.ArrayLike, want: npt.ArrayLike, rtol: float | None = None) -> OutputDifference:
    return compare([np.asarray(got)], [np.asarray(want)], rtol=rtol)


def f32(*values: float) -> Array:
    return np.array(values, np.float32)


def test_equal_outputs_differ_by_nothing() -> None:
    found = one(f32(1, 2), f32(1, 2))
    assert (found.ok, found.max_abs, found.max_rel, found.reason) == (True, 0.0, 0.0, "")


def test_the_relative_difference_is_of_the_largest_reference_value() -> None:
    found = one(f32(0.0, 10.0), f32(0.5, 10.0))
    assert found.max_abs == 0.5
    assert found.max_rel == pytest.approx(0.05)
    assert not found.ok


@pytest.mark.parametrize(("error", "ok"), [(0.9e-3, True), (1.2e-3, False)])
def test_the_tolerance_is_a_thousandth(error: float, ok: bool) -> None:
    assert one(f32(1.0 + error), f32(1.0)).ok is ok


def test_another_tolerance_can_be_asked_for() -> None:
    assert not one(f32(1.0001), f32(1.0), rtol=1e-5).ok
    assert one(f32(1.1), f32(1.0), rtol=0.2).ok


def test_float16_may_differ_by_more() -> None:
    got, want = np.array([1.01], np.float16), np.array([1.0], np.float16)
    assert one(got, want).ok
    assert not one(got.astype(np.float32), want.astype(np.float32)).ok


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("(float[4] x) => (float[4] y) { y = Relu (x) }", 1e-3),
        ("(float[4] x) => (float[4] y) { h = Cast <to = 10> (x) r = Relu (h) y = Cast <to = 1> (r) }", 2e-2),
        ("(float16[4] x) => (float[4] y) { y = Cast <to = 1> (x) }", 2e-2),
        (
            "(float[2] x) => (float[2] y) <float16[2] w = {1, 2}> { h = Cast <to = 1> (w) y = Mul (x, h) }",
            2e-2,
        ),
    ],
)
def test_the_tolerance_goes_by_the_types_computed_in(text: str, allowed: float) -> None:
    assert tolerance(Hard(text, opset=15).model()) == allowed


def test_the_worst_output_is_named() -> None:
    found = compare([f32(1.0), f32(2.0), f32(3.0)], [f32(1.0), f32(1.0), f32(2.9)], names=["a", "b", "c"])
    assert (found.worst, found.worst_name, found.ok) == (1, "b", False)
    assert compare([f32(1.0)], [f32(2.0)]).worst_name == "#0"


def test_a_failing_output_is_worse_than_a_passing_one_with_a_larger_difference() -> None:
    found = compare([np.array([1]), f32(1.05)], [np.array([2]), f32(1.0)], rtol=0.9, names=["ids", "scores"])
    assert (found.worst_name, found.ok) == ("ids", False)
    small_step = compare(
        [np.array([3], np.uint8), np.array([1000])],
        [np.array([2], np.uint8), np.array([1001])],
        names=["q", "ids"],
    )
    assert small_step.max_rel == pytest.approx(0.5)
    assert small_step.worst_name == "ids"


def test_nans_in_the_same_places_agree() -> None:
    found = one(f32(np.nan, 1.0), f32(np.nan, 1.0))
    assert (found.ok, found.max_abs) == (True, 0.0)


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (f32(np.nan, 1), f32(1, 1)),
        (f32(1, 1), f32(np.nan, 1)),
        (f32(np.inf, 1), f32(1, 1)),
        (f32(np.inf, 1), f32(-np.inf, 1)),
        (f32(np.nan, 1), f32(np.inf, 1)),
    ],
)
def test_nan_or_infinity_in_other_places_is_infinitely_wrong(got: Array, want: Array) -> None:
    found = one(got, want)
    assert (found.ok, found.max_abs, found.max_rel) == (False, math.inf, math.inf)
    assert "NaN" in found.reason


def test_equal_infinities_agree() -> None:
    assert one(f32(np.inf, -np.inf, 1.0), f32(np.inf, -np.inf, 1.0)).ok


def test_another_shape_is_infinitely_wrong() -> None:
    found = one(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32))
    assert (found.ok, found.max_rel) == (False, math.inf)
    assert "(2, 3) instead of (3, 2)" in found.reason


def test_another_kind_of_type_is_wrong() -> None:
    assert not one(np.array([1]), f32(1)).ok


def test_integers_must_be_equal() -> None:
    assert one(np.array([2**62 + 1]), np.array([2**62 + 1])).ok
    found = one(np.array([2**62 + 1]), np.array([2**62]))
    assert (found.ok, found.max_abs) == (False, 1.0)


def test_bools_must_be_equal() -> None:
    assert one(np.array([True, False]), np.array([True, False])).ok
    assert not one(np.array([True]), np.array([False])).ok


def test_quantized_values_may_round_the_other_way() -> None:
    assert one(np.array([200], np.uint8), np.array([201], np.uint8)).ok
    assert not one(np.array([200], np.uint8), np.array([202], np.uint8)).ok


def test_zeros_where_zeros_were_expected_agree_and_anything_else_does_not() -> None:
    assert one(f32(0, 0), f32(0, 0)).ok
    found = one(f32(0, 1e-6), f32(0, 0))
    assert (found.ok, found.max_rel) == (False, math.inf)


def test_empty_outputs_agree() -> None:
    assert one(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)).ok


def test_a_missing_output_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 outputs"):
        compare([f32(1)], [f32(1), f32(2)])
