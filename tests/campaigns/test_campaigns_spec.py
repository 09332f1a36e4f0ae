"""What a campaign is asked to do, as a person writes it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.cli.kit.parsing import parse_duration, parse_limit, parse_shape
from orchestrator.errors import UsageError
from orchestrator.models.request import ModelRequest
from workers.messages import EvaluatorConfig


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("2h", 7200),
        ("1h5s", 3605),
        ("1.5h", 5400),
        (" 10s ", 10),
        ("0.5", 0.5),
    ],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "soon", "5 minutes", "-5s", "1m1h", "1d", "s", "1e3"])
def test_what_is_no_duration_is_named_with_what_would_be(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration; write 90s, 30m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0", "0s", "0h0m0s"])
def test_no_time_at_all_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="longer than nothing"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("5ms", 0.005),
        ("800us", 0.0008),
        ("800µs", 0.0008),
        ("1.5 s", 1.5),
        ("onnxruntime", "onnxruntime"),
        ("ONNXRuntime", "onnxruntime"),
    ],
)
def test_a_latency_to_reach_is_read_as_seconds_or_as_onnxruntimes(text: str, limit: float | str) -> None:
    assert parse_limit(text) == (limit if isinstance(limit, str) else pytest.approx(limit))


@pytest.mark.parametrize("text", ["", "5", "0ms", "-5ms", "5 minutes", "tensorrt", "1e3ms"])
def test_what_is_no_latency_is_named_with_what_would_be(text: str) -> None:
    with pytest.raises(UsageError, match=r"--until .* is no latency; write 5ms, 800us or 1\.2s"):
        parse_limit(text)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"until": 0.005, "tasks": "conv"}, "--until is about whole models"),
        ({"until": "onnxruntime", "boards": {"rpi": "llvm"}}, "give a latency, such as --until 5ms"),
        ({"until": "tensorrt"}, "until"),
        ({"until": 0}, "until"),
    ],
)
def test_a_latency_that_can_not_be_waited_for_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        CampaignSpec.of({"models": [{"path": "/m.onnx"}], **values})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x:1,3,224,224", ("x", (1, 3, 224, 224))),
        ("x:7", ("x", (7,))),
        ("serving:input:0:1,2", ("serving:input:0", (1, 2))),
    ],
)
def test_an_input_shape_is_a_name_and_its_dimensions(text: str, expected: tuple[str, Any]) -> None:
    assert parse_shape(text) == expected


@pytest.mark.parametrize("text", ["x", "x:", ":1,2", "x:1,,2", "x:1,-1", "x:0", "x:a", "x:1;2", "1,2"])
def test_what_is_no_input_shape_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="NAME:1,3,224,224") as caught:
        parse_shape(text)
    assert text in str(caught.value)


def test_shapes_have_one_text_whatever_their_order() -> None:
    one = ModelRequest(path="/m.onnx", shapes={"b": (1, 2), "a": (3,)})
    other = ModelRequest(path="/m.onnx", shapes={"a": (3,), "b": (1, 2)})
    assert one.shapes_key == other.shapes_key == "a:3;b:1,2"


def test_a_spec_survives_being_stored() -> None:
    spec = CampaignSpec.of(
        {
            "models": [{"path": "/m.onnx", "shapes": {"x": [1, 3]}}],
            "targets": ["auto", "llvm -mcpu=znver4"],
            "trials": 7,
            "evaluator": {"repeat": 3},
            "tasks": "conv.*",
        }
    )
    assert CampaignSpec.of(spec.model_dump(mode="json")) == spec
    assert spec.evaluator == EvaluatorConfig(repeat=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trials", 0),
        ("trials", "many"),
        ("trials_per_task", -1),
        ("time_s", 0),
        ("plateau", 0),
        ("seed", 0),
        ("seed", 2**31),
        ("build_timeout_s", -1.0),
        ("no_such_setting", 1),
        ("models", []),
    ],
)
def test_every_setting_that_cannot_be_right_is_named(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name):
        CampaignSpec.of({"models": [{"path": "/m.onnx"}], name: value})


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--tasks 'conv\(' is not a pattern"):
        CampaignSpec.of({"models": [{"path": "/m.onnx"}], "tasks": "conv("})


def test_a_pattern_is_looked_for_anywhere_in_a_task_s_name() -> None:
    spec = CampaignSpec.of({"models": [{"path": "/m.onnx"}], "tasks": "conv2d|dense"})
    assert spec.wants("fused_conv2d_add")
    assert spec.wants("dense")
    assert not spec.wants("softmax")
