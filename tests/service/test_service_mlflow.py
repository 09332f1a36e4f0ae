"""Campaigns as runs of a real MLflow, which keeps them in a database of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.service.mlflow_runs import CampaignRuns, mlflow_client
from orchestrator.storage import CampaignRequest, CampaignState, Storage
from tests.kit.cli_builders import OWNER, begin, measure, put_campaign, tuned, verify

pytestmark = pytest.mark.slow


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of MLflow's, and a folder for what it keeps beside it."""
    pytest.importorskip("mlflow", reason="pip install 'tunefleet[mlflow]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_a_campaign_is_a_run_from_its_start_to_its_end(store: Storage, uri: str) -> None:
    tuned(store, name="of before")
    client = mlflow_client(uri)
    runs = CampaignRuns(store, client)
    runs.look()
    campaign = put_campaign(store, name="it's <nightly>", trials=96)
    runs.look()
    assert client.get_experiment_by_name("tunefleet") is None
    begin(store, campaign)
    for of in range(3):
        measure(store, campaign, of=of, trials=range(40, 48))
    runs.look()
    experiment = client.get_experiment_by_name("tunefleet")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("it's <nightly>", "RUNNING")
    assert run.data.params["trials"] == "96"
    assert run.data.params["models"] == "squeezenet"
    assert (run.data.metrics["trials"], run.data.metrics["trials_failed"]) == (24.0, 3.0)
    estimates = client.get_metric_history(run.info.run_id, "estimated_ms")
    assert estimates
    # Another service on the same store goes on with the same run.
    runs = CampaignRuns(store, client)
    measure(store, campaign, of=0, trials=range(48, 52))
    runs.look()
    verify(store, campaign)
    store.campaigns.transition(campaign, CampaignState.DONE, message="done", owner=OWNER)
    runs.look()
    runs.look()
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["trials"] == 28.0
    assert (run.data.metrics["tuned_ms"], run.data.metrics["onnxruntime_ms"]) == (10.1, 7.5)
    history = client.get_metric_history(run.info.run_id, "estimated_ms")
    points = [(one.timestamp, one.value) for one in history]
    assert len(set(points)) == len(points) >= len(estimates)
    kept = Path(client.download_artifacts(run.info.run_id, "campaign.json"))
    assert json.loads(kept.read_text())["campaign"]["id"] == campaign


def test_a_campaign_that_is_resumed_is_the_same_run_which_goes_on(store: Storage, uri: str) -> None:
    client = mlflow_client(uri)
    runs = CampaignRuns(store, client)
    runs.look()
    campaign = put_campaign(store)

    def status() -> str:
        runs.look()
        experiment = client.get_experiment_by_name("tunefleet")
        assert experiment is not None
        (run,) = client.search_runs([experiment.experiment_id])
        return str(run.info.status)

    for anew in (False, True):
        begin(store, campaign)
        store.campaigns.transition(campaign, CampaignState.FAILED, message="no TVM", owner=OWNER)
        assert status() == "FAILED"
        if anew:
            # To the next service it had ended before.
            runs = CampaignRuns(store, client)
            assert status() == "FAILED"
        store.campaigns.request(campaign, CampaignRequest.RESUME)
        assert status() == "RUNNING"
    begin(store, campaign)
    store.campaigns.transition(campaign, CampaignState.DONE, message="done", owner=OWNER)
    assert status() == "FINISHED"


def test_an_address_that_is_none_is_refused(uri: str) -> None:
    del uri
    with pytest.raises(UsageError, match="no address that MLflow knows"):
        mlflow_client("nonsense://here")
