"""What commands say of records that compute something else."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import EngineTimeoutError
from orchestrator.storage import Storage
from tests.kit.cli_builders import CPU, Cli, tuned, workload
from tests.kit.documented import assert_documented
from tests.kit.stand_ins import CannedToolbox
from workers.messages import Array, Baton, CompiledModel, Endpoint, ModelRun, PreparedModel, TrialState
from workers.models import OutputDifference

FAULT = workload(1).hash


class Faulty(CannedToolbox):
    """Its libraries are wrong where the best record of one workload is in them."""

    late = False

    def run(
        self,
        compiled: CompiledModel,
        inputs: Mapping[str, Array],
        target: str,
        repeats: int = 0,
        number: int = 1,
        endpoint: Endpoint | None = None,
        settle_s: float = 0.0,
        least_s: float = 0.0,
        baton: Baton | None = None,
    ) -> ModelRun:
        if self.late and not compiled.tuned:
            raise EngineTimeoutError("killed")
        found = super().run(compiled, inputs, target, repeats, number, endpoint, settle_s, least_s)
        return ModelRun((np.full((1, 4), float(FAULT in compiled.tuned)),), found.times)

    def judge(
        self,
        model: PreparedModel,
        inputs: Mapping[str, Array],
        outputs: Sequence[Array],
        reference: Sequence[Array],
    ) -> OutputDifference:
        off = float(np.max(outputs[0]))
        return OutputDifference(off, off, 0, "y", not off, f"is off by {off:g}" if off else "")


@pytest.fixture
def faulty(cli: Cli) -> Iterator[type[Faulty]]:
    cli.launch(toolbox=Faulty)
    yield Faulty
    Faulty.late = False


@pytest.fixture
def only(store: Storage) -> int:
    """The only successful trial of the workload at fault."""
    tuned(store)
    best, *others = store.trials.best(FAULT, CPU.device_class, 100)
    for other in others:
        store.trials.mark_wrong(
            *(FAULT, CPU.device_class, other.candidate, "so that one is left"),
            versions=other.versions,
            device="cpu:0",
            host="host-a",
        )
    return best.id


def test_a_comparison_names_the_record_and_is_one_without_it(
    cli: Cli, store: Storage, model: Path, faulty: type[Faulty], only: int
) -> None:
    answer = cli("bench", str(model), "--json")
    assert answer.code == 0, answer.err
    assert_documented(answer.document)
    report = answer.document["report"]
    assert (report["outputs_agree"], report["tasks_tuned"]) == (True, 2)
    (wrong,) = report["wrong_records"]
    assert (wrong["trial_id"], wrong["reason"]) == (only, "output 'y' is off by 1")
    trial = store.trials.get(only)
    assert trial.state is TrialState.WRONG_OUTPUT
    assert "squeezenet is wrong, output 'y' is off by 1; it had been timed at" in trial.message
    # It was compared here, whoever had timed it.
    timed, compared = store.measurements.of_trial(only)
    assert (timed.host, compared.host) == ("host-a", socket.gethostname())
    assert compared.device == CPU.device_class
    shown = cli("show", "1")
    assert f"record {only} of fused_conv2d_add_relu1" in shown.out
    assert cli("show", "1", "--json").document["verifications"][0]["wrong_records"] == [wrong]


def test_a_build_names_the_record_and_is_one_without_it(
    cli: Cli, model: Path, faulty: type[Faulty], only: int
) -> None:
    answer = cli("build", str(model), "-o", "model.so")
    assert answer.code == 0, answer.err
    assert f"record {only} of fused_conv2d_add_relu1" in answer.err
    assert "its trial is wrong_output now, and the library was built again without it" in answer.err
    assert "2 of 3 tasks" in answer.out


def test_where_there_is_no_time_to_find_the_record_one_is_told_how(
    cli: Cli, store: Storage, model: Path, faulty: type[Faulty], only: int
) -> None:
    faulty.late = True
    answer = cli("bench", str(model))
    assert answer.code == 1
    assert "there was no time to find the record at fault, for which `tunefleet bench` looks" in answer.err
    assert store.trials.get(only).state is TrialState.OK
