"""Answers about everything that is stored: the best, histories, shares, failures, devices, statistics."""

from __future__ import annotations

from typing import Any

from orchestrator.remote.rows.checks import check_of
from orchestrator.remote.rows.values import maybe_time, time_of
from orchestrator.storage import (
    BestRow,
    ClassStatistics,
    DeviceCheckRow,
    DeviceClassFailures,
    DeviceRow,
    FailureRow,
    ImprovementRow,
    ModelShares,
    StoreStatistics,
    TaskShareRow,
)
from workers.messages import TrialState

__all__ = ["best_of", "devices_of", "failures_of", "improvements_of", "shares_of", "statistics_of"]

Document = dict[str, Any]


def best_of(document: Document) -> list[BestRow]:
    """Read what :func:`.stored_best_document` writes."""
    return [
        BestRow(
            name=one["name"],
            workload_hash=one["workload_hash"],
            engine=one["engine"],
            flops=one["flops"],
            device_class=one["device_class"],
            trials=one["trials"],
            failures=one["failures"],
            best_s=one["best_s"],
            trial_id=one["trial_id"],
            campaign_id=one["campaign_id"],
            recorded_at=time_of(one["recorded_at"]),
            stale=one["stale"],
        )
        for one in document["best"]
    ]


def improvements_of(document: Document) -> list[ImprovementRow]:
    """Read what :func:`.history_document` writes."""
    return [
        ImprovementRow(
            trial_id=one["trial_id"],
            workload_hash=one["workload_hash"],
            name=one["task"],
            weight=one["weight"],
            cost_s=one["cost_s"],
            before_s=one["before_s"],
            campaign_id=one["campaign_id"],
            recorded_at=time_of(one["recorded_at"]),
            trials=one["trials"],
            expected_s=one["expected_s"],
            tasks_timed=one["tasks_timed"],
        )
        for one in document["improvements"]
    ]


def shares_of(document: Document) -> ModelShares:
    """Read what :func:`.slowest_document` writes."""
    tasks = tuple(
        TaskShareRow(
            name=one["name"],
            workload_hash=one["workload_hash"],
            weight=one["weight"],
            flops=one["flops"],
            trials=one["trials"],
            best_s=one["best_s"],
            trial_id=one["trial_id"],
            recorded_at=maybe_time(one["recorded_at"]),
            expected_s=one["expected_s"],
            share=one["share"],
            cumulative=one["cumulative"],
            stale=one["stale"],
        )
        for one in document["tasks"]
    )
    return ModelShares(
        document["tasks_total"],
        document["tasks_timed"],
        document["expected_s"],
        tasks,
        document["tasks_stale"],
    )


def failures_of(document: Document) -> list[DeviceClassFailures]:
    """Read what :func:`.failures_document` writes."""
    return [
        DeviceClassFailures(
            one["device_class"],
            one["trials"],
            one["trials_failed"],
            tuple(
                FailureRow(
                    state=TrialState(row["state"]),
                    trials=row["trials"],
                    share=row["share"],
                    workloads=row["workloads"],
                    message=row["message"],
                    message_trials=row["message_trials"],
                    last_at=time_of(row["last_at"]),
                )
                for row in one["failures"]
            ),
        )
        for one in document["device_classes"]
    ]


def devices_of(document: Document) -> tuple[list[DeviceRow], list[DeviceCheckRow]]:
    """Read what :func:`.devices_document` writes: devices, and the last check of each that had one."""
    rows = [
        DeviceRow(
            id=number,
            key=one["key"],
            host=one["host"],
            device_class=one["device_class"],
            versions=one["versions"],
            last_seen_at=time_of(one["last_seen_at"]),
            state=one["state"],
            message=one["last_error"],
            trials_per_hour=one["trials_per_hour"],
            model=one["model"],
        )
        for number, one in enumerate(document["devices"])
    ]
    checks = [
        check_of(one["check"], one["key"], one["host"], one["device_class"])
        for one in document["devices"]
        if one["check"] is not None
    ]
    return rows, checks


def statistics_of(document: Document) -> tuple[StoreStatistics, dict[str, dict[str, str] | None]]:
    """Read what :func:`.statistics_document` writes: the numbers, and the toolchains by keys of their own."""
    toolchains = {str(number): one["toolchain"] for number, one in enumerate(document["device_classes"])}
    classes = tuple(
        ClassStatistics(
            device_class=one["device_class"],
            engine=one["engine"],
            device=one["device"],
            workloads=one["workloads"],
            trials=one["trials"],
            failures=one["trials_failed"],
            first_at=time_of(one["first_at"]),
            last_at=time_of(one["last_at"]),
            stale=one["trials_stale"],
            toolchain=str(number),
        )
        for number, one in enumerate(document["device_classes"])
    )
    found = StoreStatistics(
        classes,
        document["workloads"],
        document["models"],
        document["campaigns"],
        document["verifications"],
        document["size_bytes"],
    )
    return found, toolchains
