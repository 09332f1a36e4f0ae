"""The walks of the tutorial, from a framework's model to outputs: their commands, run as they stand there."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from orchestrator.builds import read_label
from tests.kit.own_boards import free_port
from workers.enginekit import cuda

ROOT = Path(__file__).parents[1]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
# resnet18 is prepared, built and run: minutes on two cores.
LIMIT_S = 1800


def section(heading: str) -> str:
    """Return what stands under a heading of the tutorial."""
    return re.split(rf"^##+ {re.escape(heading)}$", TUTORIAL, flags=re.MULTILINE)[1].split("\n##")[0]


def files(heading: str) -> dict[str, str]:
    """Return the Python files under a heading, whose first line has their name."""
    blocks = re.findall(r"^```python\n# (\S+)\n(.*?)^```", section(heading), re.DOTALL | re.MULTILINE)
    return dict(blocks)


def commands(heading: str) -> list[str]:
    """Return the command lines under a heading of the tutorial, those that install left out."""
    blocks = re.findall(r"^```console\n(.*?)^```", section(heading), re.DOTALL | re.MULTILINE)
    lines = [
        line.removeprefix("$ ")
        for block in blocks
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("$ ")
    ]
    return [line for line in lines if " install " not in line]


class Walker:
    """Runs command lines in a folder and a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "examples").symlink_to(ROOT / "examples")
        programs = Path(sys.executable).parent
        self.environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "TUNEFLEET_DB": str(folder / "walk.db"),
            "TUNEFLEET_CONVERTED": str(folder / "converted"),
        }

    def __call__(self, lines: list[str]) -> str:
        # Not into pipes: what a tracker and a server started would keep these open when they have ended.
        said = self.folder / "said"
        with said.open("w") as words:
            shell = subprocess.Popen(
                ["bash", "-c", "\n".join(["set -euo pipefail", *lines])],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                start_new_session=True,
            )
            try:
                code = shell.wait(LIMIT_S)
            finally:
                # What stays behind, with all that it started.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()
        assert code == 0, said.read_text()
        return said.read_text()


@pytest.fixture(scope="module")
def walker(converter_python: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Walker:
    converter_python("torch")
    return Walker(tmp_path_factory.mktemp("walk"))


@pytest.fixture(scope="module")
def on_this_machine(walker: Walker) -> str:
    return walker(commands("On this machine"))


def test_resnet18_goes_from_a_function_to_outputs_on_this_machine(
    walker: Walker, on_this_machine: str
) -> None:
    assert re.search(r"output 0: shape \[1, 1000\], float32", on_this_machine)
    label = read_label(walker.folder / "resnet18.so")
    assert label.origin is not None
    assert label.origin.source == "torchvision.models:resnet18"
    assert label.tasks_tuned > 0
    # In a process with TVM's runtime and numpy alone, on inputs that onnxruntime gets too.
    x = np.random.default_rng(3).standard_normal((1, 3, 224, 224)).astype("float32")
    np.save(walker.folder / "x.npy", x)
    alone = "import runpy, sys; sys.modules.update(orchestrator=None, workers=None, torch=None, onnx=None)"
    command = f"{alone}; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    line = [sys.executable, "-c", command, "examples/run_library.py", "resnet18.so", "--input=x=x.npy"]
    done = subprocess.run([*line, "--save", "out.npz"], cwd=walker.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    session = onnxruntime.InferenceSession(
        walker.folder / "resnet18.onnx", providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"x": x})
    with np.load(walker.folder / "out.npz") as outputs:
        np.testing.assert_allclose(outputs["arr_0"], expected, atol=1e-3 * float(np.abs(expected).max()))


@pytest.mark.usefixtures("on_this_machine")
def test_the_same_goes_to_a_remote_device_through_the_tracker(walker: Walker) -> None:
    ports: dict[str, str] = {}
    for first in (9490, 9500):
        # TVM takes a range, of which the second number is the end.
        free = free_port()
        ports |= {str(first): str(free), str(first + 1): str(free + 1)}
    asked = commands("On a remote device")
    lines = [re.sub("|".join(ports), lambda found: ports[found[0]], line) for line in asked]
    said = walker(lines)
    assert "agree with onnxruntime" in said
    assert "resnet18 on " in said
    assert "@board" in said


@pytest.mark.usefixtures("on_this_machine")
@pytest.mark.skipif(
    cuda.nvcc() is None, reason="no nvcc here; pip install -c constraints.txt '.[cuda]' brings one"
)
def test_the_same_is_built_for_a_gpu(walker: Walker) -> None:
    build, _ = commands("On a GPU")
    walker([build])
    assert read_label(walker.folder / "resnet18-cuda.so").target.startswith(("cuda", '{"'))


@pytest.mark.gpu
# Also of the converters' suite, which runs where there is none.
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no GPU here: nvidia-smi is not there")
@pytest.mark.usefixtures("on_this_machine")
def test_the_same_runs_on_a_gpu(walker: Walker) -> None:
    assert "agree with onnxruntime" in walker(commands("On a GPU"))


def test_resnet50_goes_from_keras_with_its_preprocessing_to_outputs(
    converter_python: Callable[[str], str], tmp_path: Path
) -> None:
    keras = converter_python("keras")
    heading = "ResNet50, from Keras, with its preprocessing"
    walker = Walker(tmp_path)
    for name, text in files(heading).items():
        (tmp_path / name).write_text(text)
    assert "compared" in walker(commands(heading))
    own = """
import keras, numpy as np, zoo
keras.utils.set_random_seed(0)
pixels, model = np.load("pixels.npy"), zoo.resnet50()
prepared = keras.applications.resnet50.preprocess_input(pixels.copy())
np.savez("own.npz", *[np.asarray(model(given, training=False)) for given in (prepared, pixels)])
"""
    done = subprocess.run([keras, "-c", own], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "own.npz") as told, np.load(tmp_path / "outputs.npz") as outputs:
        expected, unprepared, found = told["arr_0"], told["arr_1"], outputs["arr_0"]
    most = float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, atol=1e-3 * most)
    # The preprocessing counts, though the weights are random.
    assert float(np.abs(unprepared - expected).max()) > 1e-2 * most
