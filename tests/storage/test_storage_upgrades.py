"""Databases of older releases: one of every revision is kept, and still opens, with all that was in it."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event

from orchestrator.errors import SchemaError
from orchestrator.storage import (
    CampaignState,
    CheckState,
    Experience,
    MeasurementKey,
    MeasurementKind,
    NewDeviceCheck,
    NewTrial,
    Storage,
    TaskState,
    TokenScope,
    _schema,
    safe_url,
    toolchain_text,
)
from workers.messages import Candidate, Measurement, Origin, TrialState

STORED = Path(__file__).parent / "databases"
CPU, GPU = "cpu-a-2", "gpu-b"
CONV, DENSE = "c0" * 32, "de" * 32


def restore(revision: str, url: str) -> None:
    """Put a stored database where the URL leads."""
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).write_bytes(
            gzip.decompress((STORED / f"{revision}.db.gz").read_bytes())
        )
        return
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        # Straight to the driver: the dump's colons and percent signs are no parameters.
        driver.execute((STORED / f"{revision}.sql").read_text())
    engine.dispose()


def about(expected: float | tuple[float, ...]) -> Any:
    """Equal but for rounding; any type, so that it stands where a plain number does."""
    return pytest.approx(expected)


# The first, those whose step to the next rewrites rows, and the latest: the rest takes a minute more.
_TELLING = {"0001", "0004", "0009", *_schema.REVISIONS[-2:]}
_OLDER = [r if r in _TELLING else pytest.param(r, marks=pytest.mark.slow) for r in _schema.REVISIONS]


@pytest.fixture(params=_OLDER)
def older(request: pytest.FixtureRequest, url: str) -> str:
    """URL of a database as a release with that revision left it."""
    restore(request.param, url)
    return url


def test_there_is_a_stored_database_of_every_revision() -> None:
    found = {path.name for path in STORED.iterdir() if path.suffix in (".gz", ".sql")}
    assert found == {f"{r}.{kind}" for r in _schema.REVISIONS for kind in ("db.gz", "sql")}


@pytest.mark.parametrize("revision", _OLDER[:-1])
def test_an_older_database_is_refused_until_it_is_upgraded(url: str, revision: str) -> None:
    restore(revision, url)
    for refuse in (Storage.open, Storage.check):
        with pytest.raises(SchemaError, match=f"schema {revision}, this release needs") as refused:
            refuse(url)
        assert f"run `tunefleet db upgrade --db {safe_url(url)}`" in str(refused.value).replace("'", "")
    assert Storage.upgrade(url) == (revision, _schema.HEAD)
    assert Storage.check(url) == _schema.HEAD
    assert Storage.upgrade(url) == (_schema.HEAD, _schema.HEAD)


def test_campaigns_are_as_they_were(older: str) -> None:
    Storage.upgrade(older)
    with Storage.open(older, create=False) as storage:
        begun, weekly, nightly = storage.campaigns.newest()
        assert (nightly.name, nightly.state, nightly.message, nightly.seed, nightly.active_s) == (
            "nightly",
            CampaignState.DONE,
            "measured 15 trials",
            2**40,
            12.5,
        )
        assert nightly.created_at <= nightly.started_at <= nightly.finished_at  # type: ignore[operator]
        assert nightly.spec == {"trials": 24, "models": [{"path": "/models/squeezenet.onnx"}]}
        assert (weekly.state, weekly.message, weekly.started_at) == (
            CampaignState.PAUSED,
            "paused on request",
            None,
        )
        (file,) = storage.campaigns.models(nightly.id)
        assert (file.model_name, file.shapes) == ("squeezenet", {"input": (1, 3, 224, 224)})
        conv, dense = storage.tasks.of_campaign(nightly.id)
        assert (conv.state, conv.weight, conv.budget, conv.stored, conv.measured, conv.best_s) == (
            TaskState.PLATEAUED,
            3,
            16,
            8,
            8,
            about(0.004),
        )
        assert (dense.state, dense.stored_failures) == (TaskState.EXHAUSTED, 6)
        # The one whose coordinator died is taken up where it stood.
        assert (begun.name, begun.state, begun.held) == ("campaign-3", CampaignState.EXTRACTING, False)
        taken = storage.leases.claim_next("me", 60.0)
        assert taken is not None
        assert taken.id == begun.id


def test_trials_are_as_they_were_and_more_are_recorded(older: str) -> None:
    Storage.upgrade(older)
    with Storage.open(older, create=False) as storage:
        rows = storage.trials.of_campaign(storage.campaigns.get("nightly").id)
        assert [row.state for row in rows[8:]] == list(TrialState)
        assert [(row.message, row.cost_s) for row in rows[9:11]] == [
            ("it failed: 1\n  at line 1", None),
            ("it failed: 2\n  at line 1", None),
        ]
        (best,) = storage.trials.best(CONV, CPU)
        assert (best.candidate, best.token, best.host, best.device, best.versions["tvm"], best.build_s) == (
            f"{7:064x}",
            "token-7",
            "host-a",
            "cpu:0",
            "0.27.0",
            0.25,
        )
        # What was measured last is not stale for being of an older release.
        assert not any(row.stale for row in storage.trials.best(CONV, CPU, 8))
        assert best.times == about((0.002, 0.004, 0.006))
        assert best.trace == '[[["SampleCategorical", [], [7, 64], []]], [[0, 7]]]'
        assert [row.campaign_id for row in storage.trials.best(CONV, GPU)] == [None]
        assert len(storage.seeds.fastest(CONV, CPU)) == 8
        assert storage.trials.counts([(CONV, CPU), (CONV, GPU), (DENSE, CPU)]) == {
            (CONV, CPU): 8,
            (CONV, GPU): 1,
            (DENSE, CPU): 7,
        }


def _add(url: str, *statements: str) -> None:
    """Change a database of an older release, as that could have."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


AGAIN = "UPDATE trials SET again = '[0.5, 0.7, 0.6]', cost_s = 0.6 WHERE token = 'token-7' AND state = 'ok'"
LOOKED = "UPDATE trials SET message = 'not timed in full' WHERE token = 'token-0' AND state = 'ok'"
_NAMED = '{"llvm": "22", "tvm": "0.27.0"}'
LATER = f"UPDATE trials SET versions = '{_NAMED}' WHERE token IN ('token-6', 'token-7')"
LOGGED = """UPDATE trials SET versions = '{"imported": "a.log", "tvm": ""}' WHERE token = 'token-5'"""


@pytest.mark.parametrize("revision", ["0005", "0008", "0009"])
def test_every_time_of_before_is_a_measurement_afterwards(url: str, revision: str) -> None:
    restore(revision, url)
    _add(url, AGAIN, LOOKED, LATER, LOGGED)
    Storage.upgrade(url)
    assert Storage.check(url) == _schema.HEAD
    with Storage.open(url, create=False) as storage:
        trials = {row.token: row for row in storage.trials.of_workload(CONV, CPU)}
        of = {token: storage.measurements.of_trial(row.id) for token, row in trials.items()}
        once, again = of["token-7"]
        assert (once.kind, once.counts, again.kind, again.counts) == ("full", False, "again", True)
        assert once.times == about((0.002, 0.004, 0.006))
        assert (again.times, again.token, again.host, again.build_s) == (
            (0.5, 0.7, 0.6),
            "token-7",
            "host-a",
            0.25,
        )
        assert (once.measured_at, again.measured_at) == (trials["token-7"].created_at,) * 2
        assert (trials["token-7"].cost_s, trials["token-7"].kind) == (0.6, MeasurementKind.AGAIN)
        kinds = {token: [one.kind.value for one in found] for token, found in of.items()}
        assert kinds == {
            **{f"token-{n}": ["full"] for n in range(8)},
            "token-0": ["short"],
            "token-5": ["imported"],
            "token-7": ["full", "again"],
        }
        # The last trial names its compiler; those before it don't, and are of an unknown one.
        stale = {token for token, row in trials.items() if row.stale}
        assert stale == {f"token-{n}" for n in range(6)}
        assert storage.trials.best(CONV, CPU)[0].token == "token-6"
        assert {toolchain_text(row.versions) for row in storage.toolchains.all()} == {
            "TVM 0.27.0",
            "TVM 0.27.0, LLVM 22",
            "unknown",
        }


def test_the_id_of_a_trial_that_was_deleted_does_not_come_back(url: str) -> None:
    restore("0009", url)
    _add(url, "DELETE FROM trials WHERE id > 10")
    Storage.upgrade(url)
    with Storage.open(url, create=False) as storage:
        (last,) = storage.trials.best(CONV, CPU)
        new = NewTrial(CONV, CPU, Candidate("new", "trace"), Measurement(TrialState.OK, (1e-9,)))
        storage.trials.record([new])
        ids = [row.id for row in storage.trials.of_workload(CONV, CPU)]
        assert (max(ids), last.id) == (17, 8)


@pytest.mark.parametrize("revision", ["0005", "0009"])
def test_an_upgrade_that_is_killed_on_its_way_leaves_all_as_it_was(url: str, revision: str) -> None:
    restore(revision, url)
    _add(url, AGAIN)
    victim = multiprocessing.get_context("fork").Process(target=_upgrade_until_killed, args=(url,))
    victim.start()
    victim.join(60)
    assert victim.exitcode == -signal.SIGKILL
    with pytest.raises(SchemaError, match=f"schema {revision}, this release needs"):
        Storage.open(url)
    assert Storage.upgrade(url) == (revision, _schema.HEAD)
    with Storage.open(url, create=False) as storage:
        rows = storage.trials.of_workload(CONV, CPU)
        assert [row.cost_s for row in rows][-1] == 0.6
        assert sum(len(found) for found in storage.measurements.of_trials([r.id for r in rows]).values()) == 9


def _upgrade_until_killed(url: str) -> None:
    @event.listens_for(Engine, "after_cursor_execute")
    def _kill(_c: Any, _cur: Any, statement: str, _p: Any, _ctx: Any, _many: bool) -> None:
        if statement.lstrip().startswith("INSERT INTO measurements"):
            os.kill(os.getpid(), signal.SIGKILL)

    Storage.upgrade(url)


def test_what_this_release_stored_is_found_again(url: str) -> None:
    restore(_schema.HEAD, url)
    with Storage.open(url, create=False) as storage:
        (best,) = storage.trials.best(CONV, GPU)
        assert (best.kind, best.cost_s, best.stale) == (MeasurementKind.REVALIDATED, 0.008, False)
        found = [(one.kind.value, one.counts) for one in storage.measurements.of_trial(best.id)]
        assert found == [("full", False), ("again", False), ("revalidated", True)]
        assert best.versions["driver"] == "550.54"


@pytest.mark.parametrize("revision", ["0006", "0007"])
def test_a_model_of_before_there_were_origins_has_none(url: str, revision: str) -> None:
    restore(revision, url)
    Storage.upgrade(url)
    with Storage.open(url, create=False) as storage:
        (model,) = storage.models.of_file("ab" * 32)
        known = Origin("squeezenet.pt2", "PyTorch 2.13.0", "torch.onnx.export(dynamo=True)")
        assert model.origin == (None if revision == "0006" else known)


@pytest.mark.parametrize("revision", ["0007", "0008"])
def test_of_what_was_taken_apart_before_nothing_is_known_to_be_close(url: str, revision: str) -> None:
    restore(revision, url)
    Storage.upgrade(url)
    with Storage.open(url, create=False) as storage:
        (model,) = storage.models.of_file("ab" * 32)
        known = storage.extractions.find(model.id, "metaschedule", "llvm -num-cores 2", "0.27.0-1")
        assert known is not None
        decided = storage.layouts.decided(model.id, CPU, "0.27.0-1")
        if revision == "0007":
            assert (known.alternative, known.estimate_s, known.alternative_s, decided) == (
                "",
                None,
                None,
                None,
            )
            return
        assert (known.alternative, known.estimate_s, known.alternative_s) == ("nhwc", 0.0012, 0.0013)
        assert decided is not None
        assert (decided.campaign_id, decided.chosen, decided.other_s) == (1, "nhwc", 0.002)


@pytest.mark.parametrize("revision", ["0008", "0009"])
def test_how_campaigns_began_before_is_not_known(url: str, revision: str) -> None:
    restore(revision, url)
    Storage.upgrade(url)
    with Storage.open(url, create=False) as storage:
        (curve,) = storage.answers.curves(storage.campaigns.get("nightly").id)
        assert (curve.device_class, curve.library_s, curve.reference_s) == (
            (CPU, None, None) if revision == "0008" else (CPU, 0.4, 0.01)
        )
        # Of both tasks: 3 calls of the one, 1 of the other.
        assert curve.points[-1][1] == about(3 * 0.004 + 0.018)


@pytest.mark.parametrize("revision", ["0010", "0011"])
def test_before_there_was_a_service_nobody_had_a_token(url: str, revision: str) -> None:
    restore(revision, url)
    Storage.upgrade(url)
    with Storage.open(url, create=False) as storage:
        tokens = [(row.name, row.scope, row.campaigns_at_once, row.live) for row in storage.tokens.all()]
        weekly = storage.campaigns.get("weekly").id
        done = [(row.who, row.subject, row.detail) for row in storage.audit.newest()]
        if revision == "0010":
            assert (tokens, storage.submissions.token_of(weekly), done) == ([], None, [])
            return
        assert tokens == [("ada", TokenScope.SUBMIT, 2, True)]
        assert storage.submissions.open(1) == [weekly]
        assert done == [("ada", f"campaign {weekly}", {"why": "x"})]


@pytest.mark.parametrize("revision", ["0009", "0011", "0012"])
def test_before_devices_were_checked_nothing_is_marked_and_both_can_be_from_then_on(
    url: str, revision: str
) -> None:
    restore(revision, url)
    Storage.upgrade(url)
    assert Storage.check(url) == _schema.HEAD
    with Storage.open(url, create=False) as storage:
        nightly = storage.campaigns.get("nightly").id
        checks = storage.device_checks.of_campaign(nightly)
        drifts = {row.token: row.drift for row in storage.trials.of_workload(CONV, CPU)}
        if revision == "0012":
            assert [(row.state.value, row.drift, row.condition.governor) for row in checks] == [
                ("first", 0.0, "performance"),
                ("drifted", 0.3, "performance"),
            ]
            assert {token for token, drift in drifts.items() if drift is not None} == {"token-2"}
            return
        assert (checks, set(drifts.values())) == ([], {None})
        key = MeasurementKey(CONV, CPU, f"{7:064x}", "token-7")
        assert storage.measurements.mark([key], 0.5) == 1
        assert storage.trials.best(CONV, CPU)[0].drift == 0.5
        check = NewDeviceCheck(CPU, "cpu-key", "host-a", "known", CheckState.FIRST, reference_s=1e-3)
        storage.device_checks.put(check, campaign_id=nightly)
        assert storage.device_checks.reference(check) == 1e-3


@pytest.mark.parametrize("revision", ["0012", "0013"])
def test_what_was_learned_and_seen_before_was_not_kept(url: str, revision: str) -> None:
    restore(revision, url)
    Storage.upgrade(url)
    with Storage.open(url, create=False) as storage:
        model = storage.models.find("ab" * 32, "input=1,3,224,224")
        assert model is not None
        seen, learned = (
            storage.profiles.latest(model.id, CPU),
            storage.cost_models.experience(CPU, "features"),
        )
        if revision == "0012":
            assert (seen, learned) == (None, Experience())
            return
        assert seen is not None
        assert seen.document == {"run_s": 0.002, "tasks": []}
        assert learned == Experience((b"samples",), 8, b"model")


@pytest.mark.parametrize("revision", ["0013", "0014"])
def test_when_campaigns_searched_before_was_not_noted(url: str, revision: str) -> None:
    restore(revision, url)
    Storage.upgrade(url)
    with Storage.open(url, create=False) as storage:
        nightly = storage.campaigns.get("nightly").id
        found = [(row.host, row.took_s) for row in storage.answers.searches(nightly, last=10)]
        assert found == ([("host-a", 2.5)] if revision == "0014" else [])


@pytest.mark.parametrize("revision", ["0014", "0015"])
def test_what_kernels_took_inside_their_models_before_is_not_known(url: str, revision: str) -> None:
    restore(revision, url)
    Storage.upgrade(url)
    with Storage.open(url, create=False) as storage:
        conv, _ = storage.tasks.of_campaign(storage.campaigns.get("nightly").id)
        assert conv.inside == storage.insides.of_model(1, conv.device_class).get(conv.workload_hash)
        assert (None if conv.inside is None else conv.inside.seconds) == (
            0.0015 if revision == "0015" else None
        )


def test_models_and_verifications_are_as_they_were(older: str) -> None:
    Storage.upgrade(older)
    with Storage.open(older, create=False) as storage:
        model = storage.models.find("ab" * 32, "input=1,3,224,224")
        assert model is not None
        assert (model.name, model.path, model.changes) == (
            "squeezenet",
            "/models/squeezenet.onnx",
            ("opset raised to 17",),
        )
        assert [(t.name, t.shape, t.dtype) for t in model.inputs] == [("input", (1, 3, 224, 224), "float32")]
        known = storage.extractions.find(model.id, "metaschedule", "llvm -num-cores 2", "0.27.0-1")
        assert known is not None
        assert [(t.name, t.weight, t.workload.module) for t in known.tasks] == [
            ("conv", 3, b"conv" * 100),
            ("dense", 1, b"dense" * 100),
        ]
        rows = storage.trials.best_for_model(model.id, CPU, "0.27.0-1")
        assert [(row.trials, row.failures, row.best and row.best.cost_s) for row in rows] == [
            (8, 0, about(0.004)),
            (7, 6, about(0.018)),
        ]
        verified = storage.verifications.latest(model.id, CPU)
        assert verified is not None
        assert (verified.tuned_s, verified.max_rel, verified.details) == (0.02, 2e-6, {"runs": 5})
        assert [(row.key, row.host, row.versions) for row in storage.devices.all()] == [
            ("cuda-key", "host-a", {"tvm": "0.27.0"}),
            ("cpu-key", "host-a", {"tvm": "0.27.0"}),
        ]
