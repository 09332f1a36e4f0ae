"""The queries that must stay fast at a million trials use their index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event
from storage_builders import CPU, GPU, campaign, ok, stock, task, workload

from orchestrator.storage import Storage

BEST = "ix_trials_workload_id_device_class_id_cost_s_id_campaign_id"


def plan_of(storage: Storage, call: Callable[[], object]) -> list[str]:
    """Ask SQLite how it answers the statements of a call."""
    seen: list[tuple[str, Any]] = []
    engine = storage._engine
    assert engine is not None

    def note(_c: object, _cur: object, statement: str, parameters: Any, _ctx: object, _many: bool) -> None:
        seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        call()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        return [
            str(row[3])
            for statement, parameters in seen
            if statement.startswith(("SELECT", "WITH"))
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]


@pytest.fixture
def filled(storage: Storage) -> Storage:
    if storage.path is None:
        pytest.skip("plans are SQLite's here")
    stock(storage, 0, 1)
    campaign_id = campaign(storage)
    storage.set_tasks(campaign_id, [task(0), task(1), task(0, on=GPU)])
    storage.record_trials([ok(n, 1.0 + n, of=n % 2, campaign=campaign_id) for n in range(40)])
    return storage


@pytest.mark.parametrize(
    ("call", "index"),
    [
        (lambda s: s.best(workload().hash, CPU.device_class), BEST),
        (lambda s: s.history(workload().hash, CPU.device_class), BEST),
        (lambda s: s.trial_counts([(workload().hash, CPU.device_class)]), "trials USING COVERING INDEX"),
        (lambda s: s.best_for_model(1, CPU.device_class, "0.27.0"), BEST),
        (lambda s: s.campaign_tasks(1), BEST),
        (lambda s: s.best(workload().hash), BEST),
        (lambda s: s.known_candidates(workload().hash, CPU.device_class), "trials USING COVERING INDEX"),
        (lambda s: s.trials(1, limit=10), "ix_trials_campaign_id_id"),
        (lambda s: s.improvements(workload().hash, CPU.device_class), "trials USING COVERING INDEX"),
        (lambda s: s.model_improvements(1, CPU.device_class, "0.27.0"), "trials USING COVERING INDEX"),
        (lambda s: s.slowest_tasks(1, CPU.device_class, "0.27.0"), BEST),
        (lambda s: s.failures(workload_hash=workload().hash), BEST),
        (lambda s: s.failures(campaign_id=1), "ix_trials_campaign_id_id"),
        (lambda s: s.compare_tasks(1, 2), BEST),
        (lambda s: s.workload_devices(workload().hash), BEST),
        (lambda s: s.model_devices(1), BEST),
    ],
    ids=[
        *("best", "history", "counts", "model", "progress", "all-classes", "known", "campaign"),
        *("improvements", "model-improvements", "slowest", "failures", "campaign-failures", "compare"),
        *("workload-devices", "model-devices"),
    ],
)
def test_a_hot_query_uses_its_index_and_scans_nothing(
    filled: Storage, call: Callable[[Storage], object], index: str
) -> None:
    plan = plan_of(filled, lambda: call(filled))
    assert any(index in step for step in plan), plan
    # A subquery's few rows may be walked through; a table may not.
    tables = ("trials", "workloads", "model_tasks")
    assert not [step for step in plan if step.startswith("SCAN") and step.split()[1] in tables], plan


def test_the_best_is_read_off_the_index_without_sorting(filled: Storage) -> None:
    plan = plan_of(filled, lambda: filled.best(workload().hash, CPU.device_class))
    assert not [step for step in plan if "TEMP B-TREE" in step], plan


def test_a_models_best_is_one_statement(filled: Storage) -> None:
    engine = filled._engine
    assert engine is not None
    statements: list[str] = []

    def note(_c: object, _cur: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    filled.best_for_model(1, CPU.device_class, "0.27.0")
    filled.campaign_tasks(1)
    assert len(statements) == 2


@pytest.mark.parametrize(
    "call",
    [lambda s: s.stored_best(), lambda s: s.failures(), lambda s: s.failures(device_class=CPU.device_class)],
    ids=["stored-best", "failures", "failures-of-a-class"],
)
def test_a_question_to_all_workloads_looks_each_of_them_up(
    filled: Storage, call: Callable[[Storage], object]
) -> None:
    plan = plan_of(filled, lambda: call(filled))
    assert [step for step in plan if step.startswith("SEARCH trials") and BEST in step], plan
    assert not [step for step in plan if step.startswith("SCAN trials")], plan
