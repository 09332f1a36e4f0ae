"""What `import orchestrator` offers: these names, and nothing loaded that was not asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator
import workers.errors
from workers import environments

NAMES = [
    "BenchReport",
    "BuildReport",
    "CampaignPlan",
    "CampaignSpec",
    "FleetOptions",
    "ModelRequest",
    "Outcome",
    "RunReport",
    "Storage",
    "Toolbox",
    "TunefleetError",
    "bench_model",
    "build_model",
    "coordinate",
    "follow",
    "make_plan",
    "run_library",
    "submit",
]


def test_the_public_names_are_these() -> None:
    assert sorted(orchestrator.__all__) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    assert getattr(orchestrator, name).__doc__


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        orchestrator.no_such_name  # noqa: B018


def loaded(statement: str) -> set[str]:
    """Return the modules that a statement loads in a fresh interpreter."""
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_it_loads_neither_a_tuner_nor_a_cluster_nor_a_database() -> None:
    assert not loaded("import orchestrator") & {"tvm", "ray", "sqlalchemy", "onnx", "numpy", "pydantic"}


def test_no_public_name_loads_tvm_or_ray() -> None:
    everything = "import orchestrator; [getattr(orchestrator, n) for n in orchestrator.__all__]"
    assert not loaded(everything) & {"tvm", "ray", "onnxruntime", "xgboost"}


def test_the_errors_are_the_workers_own_and_drawn_where_they_are_defined() -> None:
    import orchestrator.errors

    assert orchestrator.errors.__all__ == workers.errors.__all__
    tree = workers.errors.__doc__ or ""
    for name in workers.errors.__all__:
        error = getattr(workers.errors, name)
        (line,) = (line for line in tree.splitlines() if line.strip(" │├└─").startswith(f"{name} "))
        # The number beside it is its exit code.
        digits = [word for word in line.split() if word.isdigit()]
        if digits:
            assert error.exit_code == int(digits[0])


def test_the_orchestrator_names_no_engine_but_the_default() -> None:
    others = [name for name in environments.names() if name != "metaschedule"]
    assert others
    for path in Path(orchestrator.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8").lower()
        assert not [name for name in others if name in text], path
