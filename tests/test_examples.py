"""The example runs what was built, in a process that has nothing of this project; cluster.yaml suits Ray."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import ray.autoscaler
import yaml  # type: ignore[import-untyped]
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.toolbox import Toolbox
from workers.messages import RecordChoice

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "run_library.py"

# An entry of None makes an import fail.
WITHOUT_US = (
    "import runpy, sys;"
    "sys.modules.update(orchestrator=None, workers=None);"
    "sys.argv = sys.argv[1:];"
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


@dataclass(frozen=True)
class Built:
    """A model, its library both ways, an input for it and the reference's outputs."""

    folder: Path
    inputs: dict[str, npt.NDArray[Any]]
    expected: list[npt.NDArray[Any]]

    def arguments(self) -> list[str]:
        return [f"--input={name}={self.folder / name}.npy" for name in self.inputs]


def write_model(path: Path) -> None:
    """Write a model with two inputs, one of them with a dot in its name, and two outputs."""
    drawn = np.random.default_rng(7).normal(0.0, 0.5, (8, 4)).astype("float32")
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["input.1", "w"], ["product"]),
            helper.make_node("Add", ["product", "shift"], ["sum"]),
            helper.make_node("Relu", ["sum"], ["positive"]),
            helper.make_node("Sigmoid", ["sum"], ["share"]),
        ],
        "tiny",
        [
            helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [2, 8]),
            helper.make_tensor_value_info("shift", TensorProto.FLOAT, [2, 4]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 4]) for name in ("positive", "share")],
        [numpy_helper.from_array(drawn, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("library")
    path = folder / "tiny.onnx"
    write_model(path)
    with Toolbox("metaschedule") as tools:
        model = tools.prepare(str(path), {})
        target = tools.resolve_target("auto").target
        inside = tools.compile(model, target, RecordChoice("untuned")).result()
        beside = tools.compile(model, target, RecordChoice("untuned"), params_beside=True).result()
    assert inside.params is None
    assert beside.params is not None
    (folder / "inside.so").write_bytes(inside.library)
    (folder / "beside.so").write_bytes(beside.library)
    (folder / "params.npz").write_bytes(beside.params)
    generator = np.random.default_rng(3)
    inputs = {
        "input.1": generator.normal(size=(2, 8)).astype("float32"),
        "shift": generator.normal(size=(2, 4)).astype("float32"),
    }
    for name, value in inputs.items():
        np.save(folder / f"{name}.npy", value)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return Built(folder, inputs, list(session.run(None, inputs)))


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_US, str(EXAMPLE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("weights", ["inside", "beside"])
def test_a_built_library_runs_without_this_project_and_agrees_with_onnxruntime(
    built: Built, weights: str, tmp_path: Path
) -> None:
    params = [f"--params={built.folder / 'params.npz'}"] if weights == "beside" else []
    saved = tmp_path / "outputs.npz"
    done = run(built.folder / f"{weights}.so", *params, *built.arguments(), "--threads", "1", "--save", saved)
    assert done.returncode == 0, done.stderr
    assert "output 0: shape [2, 4], float32" in done.stdout
    with np.load(saved) as outputs:
        found = [outputs[f"arr_{number}"] for number in range(len(outputs.files))]
    assert len(found) == len(built.expected)
    for got, want in zip(found, built.expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_random_values_stand_in_for_an_input(built: Built) -> None:
    done = run(built.folder / "inside.so", "--random", "shift:2,4:float32", "--random", "input.1:2,8:float32")
    assert done.returncode == 0, done.stderr
    assert "output 1: shape [2, 4], float32" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inside.so"], "the library takes input_1, shift; given were none"),
        (["beside.so", "--random", "input.1:2,8:float32", "--random", "shift:2,4:float32"], "--params"),
        (["inside.so", "--random", "input.1:2,9:float32", "--random", "shift:2,4:float32"], "(9 vs. 8)"),
        (["absent.so"], "there is no library"),
        (["inside.so", "--random", "shift"], "is not of the form"),
        (["inside.so", "--input", "shift=absent.npy"], "absent.npy"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(built: Built, arguments: list[str], said: str) -> None:
    done = run(built.folder / arguments[0], *arguments[1:])
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def cluster_file(cloud: bool) -> dict[str, Any]:
    """Read cluster.yaml; with its commented end in place of what that stands for, where `cloud` says so."""
    text = (ROOT / "cluster.yaml").read_text()
    written: dict[str, Any] = yaml.safe_load(text)
    if cloud:
        start = text.index("# provider:\n#   type: aws")
        block = yaml.safe_load(re.sub("(?m)^# ?", "", text[start:]))
        assert {"provider", "auth", "available_node_types"} <= set(block)
        written = {**written, **block}
    return written


@pytest.mark.parametrize("cloud", [False, True], ids=["on-premises", "aws"])
def test_the_cluster_file_is_one_that_ray_up_takes(cloud: bool) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    written = cluster_file(cloud)
    schema = Path(ray.autoscaler.__file__).parent / "ray-schema.json"
    jsonschema.validate(written, json.loads(schema.read_text()))
    prepared = prepare_config(written)
    validate_config(prepared)
    workers = sum(kind.get("min_workers", 0) for kind in prepared["available_node_types"].values())
    assert prepared["max_workers"] == workers == 2


def test_no_node_of_the_cluster_starts_without_the_token(tmp_path: Path) -> None:
    written = cluster_file(cloud=False)
    for command in written["setup_commands"]:
        if "environment" in command or "bashrc" in command:
            # Twice, as when `ray up` is run again.
            for _ in range(2):
                subprocess.run(
                    ["bash", "-c", command], check=True, env={"HOME": str(tmp_path), "PATH": os.defpath}
                )
    assert (tmp_path / ".bashrc").read_text().count("tunefleet-environment") == 1
    told = subprocess.run(
        ["bash", "-c", ". ~/.bashrc; echo $RAY_AUTH_MODE; echo $PATH"],
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": str(tmp_path), "PATH": os.defpath},
    ).stdout.splitlines()
    assert told[0] == "token"
    assert told[1].startswith(f"{tmp_path}/tunefleet-venv/bin:")
    starts = [
        command
        for role in ("head", "worker")
        for command in written[f"{role}_start_ray_commands"]
        if "ray start" in command
    ]
    assert len(starts) == 2
    assert all(command.startswith(". ~/.tunefleet-environment;") for command in starts)


def test_the_head_starts_a_coordinator_and_the_service_with_options_that_they_have() -> None:
    submitted = [
        line for line in cluster_file(cloud=False)["head_start_ray_commands"] if "ray job submit" in line
    ]
    lines = [re.search(r"-- bash -c 'until tunefleet (.+); do sleep \d+; done'$", line) for line in submitted]
    commands = [found[1].split() for found in lines if found is not None]
    assert [words[0] for words in commands] == ["coordinator", "serve"]
    for name, *words in commands:
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout
        for option in (word for word in words if word.startswith("-")):
            assert re.search(rf"(?<!\S){option}\b", shown), f"{name} {option}"


def test_the_constraints_name_versions_and_no_place() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", pin) for pin in pins)
    assert "apache-tvm-ffi==0.1.14.post1" in pins


def test_the_workflow_s_commands_have_the_options_that_it_gives_them() -> None:
    workflow = yaml.safe_load((ROOT / "examples" / "github-actions.yml").read_text())
    scripts = [step["run"] for step in workflow["jobs"]["gate"]["steps"] if "run" in step]
    lines = [line.strip() for script in scripts for line in script.splitlines()]
    commands = [line.split(">")[0].split() for line in lines if line.startswith("tunefleet ")]
    assert [words[1] for words in commands] == ["tune", "bench", "build"]
    for _, name, *words in commands:
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout
        for option in (word for word in words if word.startswith("-")):
            assert re.search(rf"(?<!\S){option}\b", shown), f"{name} {option}"
