"""Campaigns as runs of MLflow: their settings, how the estimate came down, and what came of it."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.documents.details import Details, details_document, read_details
from orchestrator.documents.schema import titled
from orchestrator.documents.text import device_text
from orchestrator.errors import StorageError, UsageError
from orchestrator.service.onlookers import Onlooker
from orchestrator.storage import ENDED_STATES, CampaignRow, CampaignState, Storage

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["CampaignRuns", "mlflow_client"]

_LOOK_SECONDS = 10.0
# Campaigns that are looked at: more than this are never under way at once.
_NEWEST = 200
# As many as one request may hold.
_BATCH = 1000
_LONGEST_PARAMETER = 500
_EXPERIMENT = "tunefleet"
_STORE, _CAMPAIGN = "tunefleet.store", "tunefleet.campaign"
_STATUS = {
    CampaignState.DONE: "FINISHED",
    CampaignState.FAILED: "FAILED",
    CampaignState.CANCELLED: "KILLED",
}
_COUNTS = ("trials", "trials_failed")
_SETTINGS = ("engine", "targets", "boards", "trials", "trials_per_task", "time_s", "until", "plateau", "seed")


def mlflow_client(uri: str) -> MlflowClient:
    """Return a client of a tracking server or store.

    Raises
    ------
    UsageError
        MLflow isn't there, or knows no such address.
    """
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise UsageError("--mlflow takes mlflow-skinny: pip install 'tunefleet[mlflow]'") from None
    try:
        return MlflowClient(tracking_uri=uri)
    except MlflowException as error:
        raise UsageError(f"--mlflow is no address that MLflow knows: {str(error).splitlines()[0]}") from None


@dataclass
class _Run:
    """The run of a campaign, and what it has by now.

    Attributes
    ----------
    until : dict of str to int
        The instant of the last value of each metric, milliseconds.
    counts : dict of str to float
        The last values of those that count.
    """

    id: str
    until: dict[str, int] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)


class CampaignRuns(Onlooker):
    """A thread that looks at the store, and logs what is new of campaigns; from entering to leaving.

    What had ended before is left alone. A run is found again by its tags, so that a service that is started
    anew goes on with it.
    """

    def __init__(self, store: Storage, client: MlflowClient) -> None:
        super().__init__("tunefleet-mlflow", _LOOK_SECONDS)
        self._store = store
        self._client = client
        self._experiment: str | None = None
        self._runs: dict[int, _Run] = {}
        # Each with when it ended: one that was resumed ends once more.
        self._settled: set[tuple[int, datetime | None]] | None = None
        self._failing = False

    def look(self) -> None:
        """Log what is new since the last look."""
        rows = self._store.campaigns.newest(limit=_NEWEST)
        if self._settled is None:
            self._settled = {(row.id, row.finished_at) for row in rows if row.state in ENDED_STATES}
        for row in reversed(rows):
            if (row.id, row.finished_at) in self._settled or row.started_at is None:
                continue
            self._log(read_details(self._store, row.id))
            if row.state in ENDED_STATES:
                self._settled.add((row.id, row.finished_at))
                self._runs.pop(row.id, None)

    def try_to_look(self) -> None:
        """Look once; the first of several failures is logged."""
        try:
            self.look()
            self._failing = False
        except StorageError:
            pass  # who asks for a page is told; what was missed meanwhile is logged when it is back
        except Exception as error:
            # Whatever MLflow and what carries it may raise: the service goes on, and this tries again.
            if not self._failing:
                logging.getLogger(__name__).warning("MLflow couldn't be told of a campaign: %s", error)
            self._failing = True

    # -- one campaign

    def _log(self, details: Details) -> None:
        from mlflow.entities import Metric

        campaign = details.snapshot.campaign
        run = self._runs.get(campaign.id)
        if run is None:
            run = self._runs[campaign.id] = self._find(campaign) or self._begin(details)
        metrics = [
            Metric(name, value, at, step)
            for name, value, at, step in _values(details)
            # A count that is as it was says nothing new.
            if at > self._until(run, name) and (name not in _COUNTS or run.counts.get(name) != value)
        ]
        for start in range(0, len(metrics), _BATCH):
            part = metrics[start : start + _BATCH]
            self._client.log_batch(run.id, metrics=part)
            for one in part:
                run.until[one.key] = max(run.until.get(one.key, 0), one.timestamp)
                if one.key in _COUNTS:
                    run.counts[one.key] = one.value
        if campaign.state in ENDED_STATES:
            document = titled("show", details_document(details))
            self._client.log_text(run.id, json.dumps(document, indent=2, allow_nan=False), "campaign.json")
            end = None if campaign.finished_at is None else _milliseconds(campaign.finished_at)
            self._client.set_terminated(run.id, _STATUS[campaign.state], end)

    def _until(self, run: _Run, name: str) -> int:
        """Return when the last value of a metric was: of one that is not known, MLflow is asked."""
        if name not in run.until:
            stored = self._client.get_metric_history(run.id, name)
            run.until[name] = max((one.timestamp for one in stored), default=-1)
        return run.until[name]

    def _find(self, campaign: CampaignRow) -> _Run | None:
        tags = {_STORE: self._store.url, _CAMPAIGN: str(campaign.id)}
        asked = " and ".join(f"tags.`{name}` = '{_quoted(value)}'" for name, value in tags.items())
        found = self._client.search_runs([self._experiment_id()], asked, max_results=1)
        if not found:
            return None
        info = found[0].info
        if campaign.state not in ENDED_STATES and info.status != "RUNNING":
            self._client.update_run(info.run_id, status="RUNNING")  # it had failed, and was resumed
        return _Run(info.run_id)

    def _begin(self, details: Details) -> _Run:
        from mlflow.entities import Param

        snapshot, campaign = details.snapshot, details.snapshot.campaign
        assert campaign.started_at is not None
        tags = {
            _STORE: self._store.url,
            _CAMPAIGN: str(campaign.id),
            "mlflow.runName": campaign.name,
        }
        created = self._client.create_run(
            self._experiment_id(), start_time=_milliseconds(campaign.started_at), tags=tags
        )
        given = {name: campaign.spec.get(name) for name in _SETTINGS}
        given |= {"models": ", ".join(snapshot.model_names), "priority": campaign.priority}
        parameters = [
            Param(name, (value if isinstance(value, str) else json.dumps(value))[:_LONGEST_PARAMETER])
            for name, value in given.items()
            if value not in (None, {}, [])
        ]
        self._client.log_batch(created.info.run_id, params=parameters)
        return _Run(created.info.run_id)

    def _experiment_id(self) -> str:
        if self._experiment is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _EXPERIMENT)
            found = self._client.get_experiment_by_name(name)
            self._experiment = (
                self._client.create_experiment(name) if found is None else str(found.experiment_id)
            )
        return self._experiment


def _values(details: Details) -> Iterator[tuple[str, float, int, int]]:
    """Return the values of a campaign: name, value, instant in milliseconds, and step, which is a second."""
    snapshot, campaign = details.snapshot, details.snapshot.campaign
    assert campaign.started_at is not None
    began = _milliseconds(campaign.started_at)
    for curve in details.curves:
        name = _metric("estimated_ms", curve.device_class if len(details.curves) > 1 else "")
        for at_s, expected_s in curve.points:
            yield name, expected_s * 1e3, began + round(at_s * 1e3), round(at_s)
    now = round(time.time() * 1e3)
    if campaign.finished_at is not None:
        now = _milliseconds(campaign.finished_at)
    step = (now - began) // 1000
    for name, count in zip(_COUNTS, (snapshot.measured, snapshot.failures), strict=True):
        yield name, float(count), now, step
    if campaign.state not in ENDED_STATES:
        return
    several = len(details.verifications) > 1
    for model, row in details.verifications:
        of = f"{model.model_name} on {device_text(row.device_class)}" if several else ""
        times = {"untuned_ms": row.untuned_s, "tuned_ms": row.tuned_s, "onnxruntime_ms": row.reference_s}
        for name, seconds in times.items():
            if seconds is not None:
                yield _metric(name, of), seconds * 1e3, now, step


def _metric(name: str, of: str) -> str:
    """Name a metric by the characters that MLflow takes."""
    return f"{name}/{re.sub(r'[^A-Za-z0-9_. :-]', '_', device_text(of))}" if of else name


def _milliseconds(then: datetime) -> int:
    return round(then.timestamp() * 1e3)


def _quoted(value: str) -> Any:
    return value.replace("'", "''")
