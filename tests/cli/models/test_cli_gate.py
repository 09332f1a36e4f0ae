"""A gate for releases: what each command says, and how it ends."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from orchestrator.storage import Storage
from tests.kit.cli_builders import CPU, Cli, tuned
from tests.kit.documented import assert_documented
from tests.kit.stand_ins import CannedToolbox
from workers.messages import Array, Baton, CompiledModel, Endpoint, ModelRun


class Speeds(CannedToolbox):
    """Its libraries take what their bytes are said to, and a tuned one the seconds it is compiled at."""

    now_s = 0.01

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
        one_s = self.now_s if compiled.tuned else 0.012
        return ModelRun((np.zeros((1, 4)),), (one_s,) * max(1, repeats))


@pytest.fixture
def speeds(cli: Cli) -> Iterator[type[Speeds]]:
    cli.launch(toolbox=Speeds)
    yield Speeds
    Speeds.now_s = 0.01


def test_the_first_comparison_has_nothing_to_be_held_against(
    cli: Cli, store: Storage, model: Path, speeds: type[Speeds]
) -> None:
    tuned(store)
    # What a campaign of the builders stores has no turns.
    answer = cli("bench", str(model), "--fail-if-slower", "3%")
    assert answer.code == 3
    assert "no comparison of squeezenet is stored" in answer.err
    assert cli("bench", str(model), "--fail-if-slower", "3%").code == 0


def test_a_slower_model_fails_and_keeps_failing_until_it_is_accepted(
    cli: Cli, store: Storage, model: Path, speeds: type[Speeds]
) -> None:
    tuned(store)
    assert cli("bench", str(model)).code == 0
    # Other records: another library.
    tuned(store, budget=48)
    speeds.now_s = 0.0107
    for _ in range(2):
        answer = cli("bench", str(model), "--fail-if-slower", "3%")
        assert answer.code == 1
        assert (
            "squeezenet takes +7.0% longer than before (+7.0% to +7.0%), and +3.0% is allowed" in answer.err
        )
        assert "slower" in answer.out
    assert cli("bench", str(model), "--fail-if-slower", "10%").code == 0
    assert cli("bench", str(model)).code == 0
    tuned(store, budget=64)
    document = cli("bench", str(model), "--fail-if-slower", "3%", "--json").document
    assert_documented(document)
    assert document["gate"]["verdict"] == "level"
    assert document["gate"]["by"] == "reference_ratio"


def test_a_campaign_can_be_the_measure(cli: Cli, store: Storage, model: Path, speeds: type[Speeds]) -> None:
    first = tuned(store, turns_s=(0.01,) * 5)
    tuned(store, budget=48)
    speeds.now_s = 0.0107
    assert cli("bench", str(model)).code == 0
    tuned(store, budget=64)
    assert cli("bench", str(model), "--fail-if-slower", "3%").code == 0
    answer = cli("bench", str(model), "--fail-if-slower", "3%", "--against", str(first))
    assert answer.code == 1
    assert f"held against the comparison of campaign {first} of " in answer.out
    assert cli("bench", str(model), "--fail-if-slower", "3%", "--against", "99").code == 3


def test_what_a_gate_can_not_mean_is_refused(cli: Cli, model: Path, speeds: type[Speeds]) -> None:
    for words, said in (
        (["--fail-if-slower", "lots"], "--fail-if-slower 'lots' is no part of a whole"),
        (["--fail-if-slower", "3%", "--rounds", "2"], "takes 3 turns or more"),
        (["--against", "1"], "--against is for --fail-if-slower"),
    ):
        answer = cli("bench", str(model), *words)
        assert answer.code == 2
        assert said in answer.err


def campaigns(store: Storage, *tuned_s: float, agree: bool = True) -> None:
    """Campaigns that go on, one after the other, each of which left the model at a latency."""
    for number, seconds in enumerate(tuned_s):
        tuned(store, budget=32 + 16 * number, agree=agree, turns_s=(seconds,) * 5)


def test_a_model_that_a_campaign_left_slower_fails_the_comparison(cli: Cli, store: Storage) -> None:
    campaigns(store, 0.01, 0.0107)
    answer = cli("compare", "1", "2", "--fail-if-slower", "3%")
    assert answer.code == 1, answer.err
    assert "slower by more than the +3.0% that is allowed: squeezenet" in answer.err
    assert cli("compare", "1", "2", "--fail-if-slower", "8%").code == 0
    assert cli("compare", "2", "1", "--fail-if-slower", "3%").code == 0
    document = cli("compare", "1", "2", "--fail-if-slower", "3%", "--json").document
    assert_documented(document)
    (found,) = document["gate"]["models"]
    assert (found["model"], found["verdict"]) == ("squeezenet", "slower")


def test_where_the_turns_are_too_far_apart_to_tell_one_is_told_so(cli: Cli, store: Storage) -> None:
    tuned(store, turns_s=(0.010, 0.011, 0.012, 0.013, 0.014))
    tuned(store, budget=48, turns_s=(0.010, 0.012, 0.013, 0.014, 0.015))
    answer = cli("compare", "1", "2", "--fail-if-slower", "3%")
    assert answer.code == 0
    assert "squeezenet may be up to +50.0% slower: +3.0% can't be told" in answer.err


def test_wrong_outputs_fail_the_comparison(cli: Cli, store: Storage) -> None:
    campaigns(store, 0.01, 0.009, agree=False)
    answer = cli("compare", "1", "2", "--fail-if-slower", "3%")
    assert answer.code == 1
    assert "the outputs of squeezenet are not onnxruntime's" in answer.err


def test_campaigns_without_turns_are_no_answer(cli: Cli, store: Storage) -> None:
    tuned(store)
    tuned(store, budget=48)
    answer = cli("compare", "1", "2", "--fail-if-slower", "3%")
    assert answer.code == 3
    assert "nothing says whether one is slower" in answer.err


def test_a_library_is_replaced_by_a_faster_one_alone(
    cli: Cli, store: Storage, model: Path, tmp_path: Path, speeds: type[Speeds]
) -> None:
    tuned(store)
    library = tmp_path / "model.so"
    answer = cli("build", str(model), "-o", "model.so", "--only-if-faster")
    assert answer.code == 0, answer.err
    assert "there was no library to be faster than" in answer.err
    first = library.read_bytes()
    # What is there takes 12 ms, whatever it was built from.
    speeds.now_s = 0.012
    answer = cli("build", str(model), "-o", "model.so", "--only-if-faster", "--json")
    assert answer.code == 1
    assert "model.so was left as it is" in answer.err
    assert (answer.document["written"], answer.document["gate"]["verdict"]) == (False, "level")
    assert_documented(answer.document)
    assert library.read_bytes() == first
    speeds.now_s = 0.006
    tuned(store, budget=48)
    answer = cli("build", str(model), "-o", "model.so", "--only-if-faster")
    assert answer.code == 0, answer.err
    assert "-50.0%" in answer.out
    assert library.read_bytes() != first


def test_a_library_is_timed_only_where_it_runs(
    cli: Cli, model: Path, speeds: type[Speeds], tmp_path: Path
) -> None:
    (tmp_path / "model.so").write_bytes(b"no library")
    for words, said in (
        (["--device", "rpi", "--target", "llvm -num-cores=4"], "--only-if-faster times on this machine"),
        ([], "says nothing of itself"),
    ):
        answer = cli("build", str(model), "-o", "model.so", "--only-if-faster", *words)
        assert answer.code == 2
        assert said in answer.err


def test_a_library_names_the_measurements_it_was_built_from(
    cli: Cli, store: Storage, model: Path, tmp_path: Path, speeds: type[Speeds]
) -> None:
    tuned(store)
    assert cli("build", str(model), "-o", "model.so").code == 0
    with zipfile.ZipFile(tmp_path / "model.so") as archive:
        label = json.loads(archive.read("tunefleet.json"))
    assert label["version"] == 4
    best = store.trials.best(label["measurements"][0]["workload"], CPU.device_class)[0]
    measured = label["measurements"][0]
    assert len(label["measurements"]) == 3
    assert measured["trial"] == best.id
    assert measured["candidate"] == best.candidate
    assert measured["times_s"] == list(best.times)
    assert (measured["host"], measured["device"]) == ("host-a", "cpu:0")
    answer = cli("run", "model.so")
    assert answer.code == 0, answer.err
    assert f"{measured['measured_at'][:10]} on host-a" in answer.out
    assert cli("run", "model.so", "--json").document["measurements"][0] == measured
