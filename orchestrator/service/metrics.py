"""Metrics for Prometheus."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from orchestrator.documents.devices import device_state
from orchestrator.service.access.identity import Reader
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.reading import recent_checks, recent_devices, recent_statistics
from orchestrator.storage import CampaignState

__all__ = ["router"]

router = APIRouter()
_SLOW_SECONDS = 15.0


@router.get("/metrics")
def metrics(parts: Annotated[Parts, Depends(parts_of)], _who: Reader) -> PlainTextResponse:
    """Say how the store and the fleet stand, in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Stored(parts))
    return PlainTextResponse(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Stored(Collector):
    """What is asked of the store for each scrape."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: that would ask the store."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Ask the store."""
        store = self._parts.store
        began = time.perf_counter()
        campaigns = store.campaigns.newest()
        yield _gauge(
            "tunefleet_store_read_seconds",
            "Seconds that reading the list of campaigns took.",
            time.perf_counter() - began,
        )
        states = Counter(row.state for row in campaigns)
        family = GaugeMetricFamily("tunefleet_campaigns", "Campaigns by state.", labels=["state"])
        for state in CampaignState:
            family.add_metric([state.value], states[state])
        yield family
        yield _gauge("tunefleet_leases", "Campaigns that somebody runs.", sum(row.held for row in campaigns))
        yield from self._devices()
        yield from self._trials()
        yield _gauge(
            "tunefleet_store_bytes", "Bytes of the database.", recent_statistics(self._parts).size_bytes
        )

    def _devices(self) -> Iterable[Metric]:
        rows = recent_devices(self._parts)
        states = Counter((row.device_class, device_state(row)) for row in rows)
        family = GaugeMetricFamily(
            "tunefleet_devices", "Devices by class and state.", labels=["device_class", "state"]
        )
        for (name, state), count in sorted(states.items()):
            family.add_metric([name, state], count)
        yield family
        pace = GaugeMetricFamily(
            "tunefleet_trials_per_hour",
            "Trials an hour of the devices that are watched.",
            labels=["device_class"],
        )
        sums: Counter[str] = Counter()
        for row in rows:
            watched = device_state(row) in ("free", "busy")
            sums[row.device_class] += round(row.trials_per_hour or 0) if watched else 0
        for name, per_hour in sorted(sums.items()):
            pace.add_metric([name], per_hour)
        yield pace
        drift = GaugeMetricFamily(
            "tunefleet_device_drift",
            "By which part of its time a known kernel took more than before at the last check of a device.",
            labels=["device", "host", "device_class"],
        )
        for check in recent_checks(self._parts):
            if check.drift is not None:
                drift.add_metric([check.device, check.host, check.device_class], check.drift)
        yield drift

    def _trials(self) -> Iterable[Metric]:
        store = self._parts.store
        failed = self._parts.recent.get("all-failures", store.answers.failures, seconds=_SLOW_SECONDS)
        family = GaugeMetricFamily(
            "tunefleet_trials",
            "Trials stored, by device class and how they ended.",
            labels=["device_class", "state"],
        )
        for one in failed:
            family.add_metric([one.device_class, "ok"], one.trials - one.failed)
            for row in one.classes:
                family.add_metric([one.device_class, row.state.value], row.trials)
        yield family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
