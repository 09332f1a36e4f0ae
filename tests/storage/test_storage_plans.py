"""The queries that must stay fast at a million trials use their index."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from orchestrator.storage import Storage
from tests.kit.storage_builders import CPU, GPU, campaign, ok, stock, task, workload

BEST = "ix_trials_best"
UNIQUE = "uq_trials_workload_id_device_class_id_candidate"
NAMED = "ix_workloads_engine_name_id"
Call = Callable[[Storage], object]


def statements_of(storage: Storage, call: Callable[[], object]) -> list[tuple[str, Any]]:
    """Note the statements of a call, with their parameters."""
    seen: list[tuple[str, Any]] = []
    engine = storage.database.engine
    assert engine is not None

    def note(_c: object, _cur: object, statement: str, parameters: Any, _ctx: object, _many: bool) -> None:
        if statement.startswith(("SELECT", "WITH")):
            seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        call()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return seen


def explained(storage: Storage, how: str, call: Callable[[], object]) -> list[Any]:
    """Ask the database how it answers the statements of a call."""
    statements = statements_of(storage, call)
    assert statements
    assert storage.database.engine is not None
    with storage.database.engine.connect() as connection:
        return [
            row
            for statement, parameters in statements
            for row in connection.exec_driver_sql(f"{how} {statement}", parameters)
        ]


def plan_of(storage: Storage, call: Callable[[], object]) -> list[str]:
    """Return the steps of SQLite's plan."""
    return [str(row[3]) for row in explained(storage, "EXPLAIN QUERY PLAN", call)]


def fill(storage: Storage) -> None:
    stock(storage, 0, 1)
    campaign_id = campaign(storage)
    storage.tasks.put(campaign_id, [task(0), task(1), task(0, on=GPU)])
    storage.trials.record([ok(n, 1.0 + n, of=n % 2, campaign=campaign_id) for n in range(40)])


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Storage]:
    """A store in SQLite, whose plans don't depend on how much there is."""
    with Storage.open(str(tmp_path / "records.db")) as storage:
        fill(storage)
        yield storage


HOT: dict[str, tuple[Call, str]] = {
    "best": (lambda s: s.trials.best(workload().hash, CPU.device_class), BEST),
    "all-classes": (lambda s: s.trials.best(workload().hash), BEST),
    "history": (lambda s: s.seeds.fastest(workload().hash, CPU.device_class, limit=4), BEST),
    "counts": (
        lambda s: s.trials.counts([(workload().hash, CPU.device_class)]),
        "trials USING COVERING INDEX",
    ),
    "standings": (lambda s: s.tasks.standings([(workload().hash, CPU.device_class)]), BEST),
    "model": (lambda s: s.trials.best_for_model(1, CPU.device_class, "0.27.0"), BEST),
    "progress": (lambda s: s.tasks.of_campaign(1), BEST),
    "known": (
        lambda s: s.trials.known_candidates(workload().hash, CPU.device_class),
        "trials USING COVERING INDEX",
    ),
    "campaign": (lambda s: s.trials.of_campaign(1, limit=10), "ix_trials_campaign_id_id"),
    "related": (lambda s: s.seeds.latest_related(workload().hash, CPU.device_class), NAMED),
    "fastest-related": (lambda s: s.seeds.fastest_related(workload().hash, CPU.device_class, 2), NAMED),
    "improvements": (
        lambda s: s.answers.history(workload().hash, CPU.device_class),
        "trials USING COVERING INDEX",
    ),
    "model-improvements": (
        lambda s: s.answers.model_history(1, CPU.device_class, "0.27.0"),
        "trials USING COVERING INDEX",
    ),
    "slowest": (lambda s: s.answers.slowest(1, CPU.device_class, "0.27.0"), BEST),
    "failures": (lambda s: s.answers.failures(workload_hash=workload().hash), BEST),
    "campaign-failures": (lambda s: s.answers.failures(campaign_id=1), "ix_trials_campaign_id_id"),
    "compare": (lambda s: s.answers.compare(1, 2), BEST),
    "workload-devices": (
        lambda s: s.workloads.device_classes(workload().hash),
        "trials USING COVERING INDEX",
    ),
    "rechecks": (
        lambda s: s.seeds.to_recheck(CPU.device_class, [workload().hash], 3),
        "ix_measurements_drifted",
    ),
    "model-devices": (lambda s: s.extractions.device_classes(1), BEST),
}


@pytest.mark.parametrize(("call", "index"), HOT.values(), ids=HOT)
def test_a_hot_query_uses_its_index_and_scans_nothing(filled: Storage, call: Call, index: str) -> None:
    plan = plan_of(filled, lambda: call(filled))
    assert any(index in step for step in plan), plan
    # A subquery's few rows may be walked through; a table may not.
    tables = ("trials", "workloads", "model_tasks")
    assert not [step for step in plan if step.startswith("SCAN") and step.split()[1] in tables], plan


def test_the_best_is_read_off_the_index_without_sorting(filled: Storage) -> None:
    plan = plan_of(filled, lambda: filled.trials.best(workload().hash, CPU.device_class))
    assert not [step for step in plan if "TEMP B-TREE" in step], plan


def test_a_models_best_is_one_statement(filled: Storage) -> None:
    assert (
        len(statements_of(filled, lambda: filled.trials.best_for_model(1, CPU.device_class, "0.27.0"))) == 1
    )
    # What its kernels take inside their models is another.
    assert len(statements_of(filled, lambda: filled.tasks.of_campaign(1))) == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.answers.best(),
        lambda s: s.answers.failures(),
        lambda s: s.answers.failures(device_class=CPU.device_class),
    ],
    ids=["stored-best", "failures", "failures-of-a-class"],
)
def test_a_question_to_all_workloads_looks_each_of_them_up(
    filled: Storage, call: Callable[[Storage], object]
) -> None:
    plan = plan_of(filled, lambda: call(filled))
    assert [step for step in plan if step.startswith("SEARCH trials") and BEST in step], plan
    assert not [step for step in plan if step.startswith("SCAN trials")], plan


# -- PostgreSQL

# Enough for the planner to find that an index pays: a thousand workloads, forty trials each, at full length.
_MANY = """
INSERT INTO workloads (hash, engine, name, flops, module, created_at)
SELECT 'hash' || n, 'metaschedule', 'conv' || n % 50, 1e6, :deflated, now() FROM generate_series(11, 1000) n;
INSERT INTO trials (workload_id, device_class_id, candidate, trace, state, cost_s, toolchain, created_at)
SELECT w.id, 1 + n % 2, 'other' || n, :deflated, 'ok', 1.0 / n, d.toolchain, now()
FROM workloads w, generate_series(1, 40) n JOIN device_classes d ON d.id = 1 + n % 2;
INSERT INTO measurements (trial_id, toolchain_id, kind, counts, state, times, message, device, host, build_s,
                          run_s, token, measured_at)
SELECT t.id, 1, 'full', true, 'ok', '[1.0]', '', '', '', 0, 0, '', now() FROM trials t
WHERE t.candidate LIKE 'other%'
"""


@pytest.fixture(scope="module")
def crowded(postgres: Any) -> Iterator[Storage]:
    """A store on PostgreSQL with 40,000 trials, which its statistics know of."""
    from benchmarks.postgres_server import new_database

    with (
        new_database(postgres) as url,
        Storage.open(url.render_as_string(hide_password=False)) as storage,
    ):
        fill(storage)
        for statement in _MANY.split(";"):
            deflated = {"deflated": zlib.compress(os.urandom(600).hex().encode(), 0)}
            storage.database.write(lambda c, s=statement, d=deflated: c.execute(text(s), d))  # type: ignore[misc]
        assert storage.database.engine is not None
        with storage.database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))
        yield storage


def nodes(plan: Any) -> Iterator[dict[str, Any]]:
    """Walk through PostgreSQL's plan."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


@pytest.mark.parametrize("name", HOT)
def test_a_hot_query_uses_its_index_on_postgresql_too(crowded: Storage, name: str) -> None:
    call, index = HOT[name]
    answers = explained(crowded, "EXPLAIN (FORMAT JSON)", lambda: call(crowded))
    found = [node for row in answers for node in nodes(row[0][0]["Plan"])]
    used = {node["Index Name"] for node in found if "Index Name" in node}
    # Where all trials of a pair are wanted, not the first of them, either index that begins with it will do.
    either = index == BEST and name not in ("best", "history", "model", "progress")
    wanted = {BEST, UNIQUE} if either or "COVERING" in index else {index}
    assert used & wanted, used
    scanned = {node["Relation Name"] for node in found if node["Node Type"].endswith("Seq Scan")}
    assert not scanned & {"trials", "workloads"}, found
