"""Inputs drawn until a framework takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from workers.converters.contract import NEEDS_SHAPES, RAISED, ConversionError, Tensor
from workers.converters.drawing import draw_and_run


def test_an_open_batch_is_drawn_in_two_sizes_and_fixed_sizes_are_kept() -> None:
    draws = draw_and_run([Tensor("x", "float32", (-1, 3)), Tensor("s", "int64", (2,))], dict, 0)
    assert [given["x"].shape for given, _ in draws] == [(2, 3), (3, 3)]
    assert [given["s"].shape for given, _ in draws] == [(2,), (2,)]
    assert not np.array_equal(draws[0][0]["s"], draws[1][0]["s"])
    again = draw_and_run([Tensor("x", "float32", (-1, 3)), Tensor("s", "int64", (2,))], dict, 0)
    assert all(np.array_equal(one[0]["x"], other[0]["x"]) for one, other in zip(draws, again, strict=True))


def test_indices_are_narrowed_to_a_short_table() -> None:
    table = np.arange(12.0)

    def run(given: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": table[given["ids"]]}

    draws = draw_and_run([Tensor("ids", "int32", (50,))], run, 0)
    assert max(given["ids"].max() for given, _ in draws) == 9


def test_pixels_and_quantized_values_have_their_whole_range() -> None:
    (given, _), _ = draw_and_run([Tensor("p", "uint8", (900,)), Tensor("q", "int8", (900,))], dict, 0)
    assert (given["p"].min(), given["p"].max()) == (0, 255)
    assert (given["q"].min(), given["q"].max()) == (-128, 127)


def test_values_are_positive_where_others_have_no_finite_answer() -> None:
    def run(given: Mapping[str, Any]) -> dict[str, Any]:
        with np.errstate(invalid="ignore"):
            return {"y": np.log(given["x"])}

    draws = draw_and_run([Tensor("x", "float32", (20,))], run, 0)
    assert all(np.isfinite(made["y"]).all() for _, made in draws)


def test_a_model_that_prepares_pixels_gets_pixels() -> None:
    seen: list[float] = []

    def run(given: Mapping[str, Any]) -> dict[str, Any]:
        seen.append(float(given["x"].max()))
        return {"y": np.round(given["x"].mean(axis=1) / 255.0, 2) + 1.0}

    draws = draw_and_run([Tensor("x", "float32", (-1, 20))], run, 0)
    assert all(given["x"].min() >= 0.0 and 200.0 < given["x"].max() < 255.0 for given, _ in draws)
    # Only where normal values showed nothing.
    assert max(seen[:2]) < 10.0
    draws = draw_and_run([Tensor("x", "float32", (-1, 20))], dict, 0)
    assert all(given["x"].min() < 0.0 for given, _ in draws)


def test_outputs_that_never_change_are_those_of_the_first_draw() -> None:
    def run(given: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": np.full_like(given["x"], np.inf if given["x"].max() > 9.0 else 1.0)}

    draws = draw_and_run([Tensor("x", "float32", (-1, 20))], run, 0)
    assert all(given["x"].min() < 0.0 and np.isfinite(made["y"]).all() for given, made in draws)


def test_indices_alone_are_drawn_once_however_little_they_show() -> None:
    calls: list[int] = []

    def run(given: Mapping[str, Any]) -> dict[str, Any]:
        calls.append(len(given["ids"]))
        return {"y": np.zeros(len(given["ids"]))}

    draw_and_run([Tensor("ids", "int64", (-1,))], run, 0)
    assert calls == [2, 3]


def test_open_sizes_grow_until_the_model_runs() -> None:
    def run(given: Mapping[str, Any]) -> dict[str, Any]:
        if given["image"].shape[1] < 64:
            raise ValueError("too small to be halved five times")
        return {"y": given["image"]}

    draws = draw_and_run([Tensor("image", "float32", ("batch", "h", "w", 3))], run, 0)
    assert draws[0][0]["image"].shape == (2, 64, 64, 3)


def test_a_model_that_runs_with_none_of_them_asks_for_shapes_with_a_flag_to_copy() -> None:
    def run(given: Mapping[str, Any]) -> dict[str, Any]:
        raise ValueError("must be 227")

    with pytest.raises(ConversionError) as caught:
        draw_and_run([Tensor("image", "float32", (-1, -1, -1, 3)), Tensor("k", "float32", (1,))], run, 0)
    assert caught.value.code == NEEDS_SHAPES
    assert "ValueError: must be 227" in caught.value.message
    assert caught.value.hint.endswith("--input-shape image:1,64,64,3")
    with pytest.raises(ConversionError) as caught:
        draw_and_run([Tensor("k", "float32", (1,))], run, 0)
    assert caught.value.code == RAISED
