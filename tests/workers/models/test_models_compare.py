"""When outputs count as the reference's."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from tests.kit.hard_models import Hard
from workers.messages import Array
from workers.models import OutputDifference, compare, output_steps, tolerance


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


def stepped(off: dict[int, float], size: int = 2000) -> OutputDifference:
    """Hold values in steps of 0.25 against others, some elements of which are so many steps off."""
    want = np.full(size, 8.0, np.float32)
    got = want.copy()
    for place, steps in off.items():
        got[place] += 0.25 * steps
    return compare([got], [want], steps=[0.25])


def test_an_output_in_steps_may_be_one_off_and_two_for_one_element_in_a_thousand() -> None:
    found = stepped({**dict.fromkeys(range(500), 1.0), 600: -2.0, 700: 2.0})
    assert found.ok
    assert "up to 2 quantization steps of 0.25, 2 of 2000 elements by more than one" in found.remark
    assert not stepped({1: 2.0, 2: 2.0, 3: -2.0}).ok
    assert not stepped({1: 3.0}).ok
    assert not stepped({1: 2.0}, size=500).ok
    assert "one step is allowed, and two for one element in 1000" in stepped({1: 3.0}).reason


def test_nothing_is_remarked_of_an_output_in_steps_that_is_equal() -> None:
    assert stepped({}) == compare([f32(8)], [f32(8)])


def test_whole_numbers_of_16_bits_have_steps_where_they_are_quantized() -> None:
    got, want = np.array([2001, 7], np.int16), np.array([2000, 7], np.int16)
    assert not compare([got], [want]).ok
    assert compare([got], [want], steps=[1.0]).ok


_IN_STEPS = "q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z)"
_SCALES = "<float s = {0.5}, uint8 z = {3}, float t = {0.25}, float[1] c = {-4}>"


@pytest.mark.parametrize(
    ("body", "step"),
    [
        (f"{{ {_IN_STEPS} y = Identity (d) }}", 0.5),
        (f"{{ {_IN_STEPS} a = Transpose (d) b = Relu (a) y = Transpose (b) }}", 0.5),
        (f"{{ {_IN_STEPS} y = Mul (d, c) }}", 2.0),
        (
            f"{{ {_IN_STEPS} p = QuantizeLinear (x, t, z) e = DequantizeLinear (p, t, z) y = Add (e, d) }}",
            0.5,
        ),
        (f"{{ {_IN_STEPS} y = Sigmoid (d) }}", 0.0),
        (f"{{ {_IN_STEPS} y = MatMul (d, d) }}", 0.0),
        ("{ y = Relu (x) }", 0.0),
    ],
)
def test_the_step_of_an_output_is_that_of_what_was_rounded(body: str, step: float) -> None:
    model = Hard(f"(float[2,2] x) => (float[2,2] y) {_SCALES} {body}", opset=17).model()
    assert output_steps(model) == (step,)


def test_zeros_where_zeros_were_expected_agree_and_anything_else_does_not() -> None:
    assert one(f32(0, 0), f32(0, 0)).ok
    found = one(f32(0, 1e-6), f32(0, 0))
    assert (found.ok, found.max_rel) == (False, math.inf)


def test_empty_outputs_agree() -> None:
    assert one(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)).ok


def test_a_missing_output_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 outputs"):
        compare([f32(1)], [f32(1), f32(2)])
