"""Real models, from their packages to TVM."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.model_zoo import ZOO, cache_folder, fetch
from workers.models import prepare

# In a process of its own: TVM may crash, and this one shall not import it.
COMPILE = """
import json, sys
from pathlib import Path
import onnx, tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx
from workers.messages import TensorSpec
from workers.models import compare, random_inputs, run_reference

path, inputs = sys.argv[1:]
data = Path(path).read_bytes()
module = from_onnx(onnx.load_from_string(data), keep_params_in_input=False)
module = relax.transform.LegalizeOps()(module)
library = tvm.compile(module, target="llvm")
drawn = random_inputs([TensorSpec(n, tuple(s), d) for n, s, d in json.loads(inputs)], seed=1)
result = relax.VirtualMachine(library, tvm.cpu())["main"](*[tvm.runtime.tensor(v) for v in drawn.values()])
outputs = [result] if isinstance(result, tvm.runtime.Tensor) else list(result)
found = compare([output.numpy() for output in outputs], run_reference(data, drawn, threads=1))
print(json.dumps([found.ok, found.max_rel, found.reason]))
"""


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNEFLEET_MODELS", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("TUNEFLEET_MODELS")
    assert cache_folder().is_absolute()


def test_a_fetched_light_model_is_kept(tmp_path: Path) -> None:
    path = fetch("light_squeezenet", tmp_path)
    written = path.stat().st_mtime_ns
    assert fetch("light_squeezenet", tmp_path).stat().st_mtime_ns == written
    assert [file.name for file in tmp_path.iterdir()] == ["light_squeezenet.onnx"]


def test_every_model_names_its_package_and_license() -> None:
    assert all(model.license in ("Apache-2.0", "MIT") for model in ZOO.values())
    assert all(model.package == "onnx" or "==" in model.package for model in ZOO.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_a_real_model_is_prepared_imported_compiled_and_right(name: str, tmp_path: Path) -> None:
    prepared = prepare(fetch(name), ZOO[name].shapes)
    path = tmp_path / "prepared.onnx"
    path.write_bytes(prepared.onnx)
    inputs = json.dumps([[spec.name, spec.shape, spec.dtype] for spec in prepared.inputs])
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, str(path), inputs],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ok, _, reason = json.loads(done.stdout.splitlines()[-1])
    assert ok, reason
