"""Opening: new, older, newer and foreign databases; migrations."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text

import orchestrator.storage
from orchestrator.errors import SchemaError, StorageError, UsageError
from orchestrator.storage import Storage, _schema, default_path, safe_url
from orchestrator.storage._tables import Base
from tests.kit.storage_builders import model, stock


def set_revision(url: str, revision: str) -> None:
    with Storage.open(url) as storage:
        storage.database.write(
            lambda c: c.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))
        )


def _tables(connection: Connection) -> dict[str, object]:
    """What a database is made of, by table, in no order that a migration could change."""
    found = inspect(connection)
    # What SQLAlchemy doesn't tell of SQLite: whether the number of a row that was deleted comes back.
    told = connection.dialect.name == "sqlite"
    sql: Any = dict(connection.exec_driver_sql("SELECT name, sql FROM sqlite_master").all()) if told else {}

    def all_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
        return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)

    return {
        table: {
            # A column that came later has a default, for the rows that were there.
            "columns": sorted(
                (column["name"], str(column["type"]), column["nullable"], column.get("autoincrement"))
                for column in found.get_columns(table)
            ),
            "numbers": "AUTOINCREMENT" in sql.get(table, ""),
            "primary key": found.get_pk_constraint(table),
            "indexes": all_of(found.get_indexes(table)),
            "foreign keys": all_of(found.get_foreign_keys(table)),
            "unique": all_of(found.get_unique_constraints(table)),
            "checks": all_of(found.get_check_constraints(table)),
        }
        for table in found.get_table_names()
    }


def test_tables_that_are_made_are_those_that_migrations_lead_to(url: str) -> None:
    made, migrated = create_engine(url), create_engine(url)
    with made.begin() as connection:
        _schema.make_tables(connection)
        expected = _tables(connection)
        assert _schema.revision_of(connection, url) == _schema.HEAD
        Base.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
    with migrated.begin() as connection:
        _schema.run_migrations(connection)
        assert _tables(connection) == expected
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_revisions_written_out_are_the_files_there() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(orchestrator.storage.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert tuple(s.revision for s in scripts.walk_revisions())[::-1] == _schema.REVISIONS
    assert scripts.get_current_head() == _schema.HEAD


def test_a_new_database_is_made_and_found_again(url: str) -> None:
    with Storage.open(url) as storage:
        model_id = storage.models.put(model(), "/a.onnx")
    with Storage.open(url, create=False) as storage:
        assert storage.models.get(model_id).name == "model0"
    assert Storage.check(url) == _schema.HEAD
    assert Storage.upgrade(url) == (_schema.HEAD, _schema.HEAD)


def _open(url: str, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    with Storage.open(url) as storage:
        storage.models.put(model(), "/a.onnx")


def test_a_file_that_another_process_makes_meanwhile_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, looked = tmp_path / "records.db", Path.is_file

    def looked_at_and_made(path: Path) -> bool:
        found = looked(path)
        if path == file:
            path.touch()
        return found

    monkeypatch.setattr(Path, "is_file", looked_at_and_made)
    with Storage.open(f"sqlite:///{file}") as storage:
        assert storage.campaigns.newest() == []


def test_processes_that_make_the_database_at_once_make_one(url: str) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Barrier(4)
    openers = [context.Process(target=_open, args=(url, start)) for _ in range(4)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join(60)
    assert [opener.exitcode for opener in openers] == [0, 0, 0, 0]
    assert Storage.check(url) == _schema.HEAD


def test_a_check_names_what_a_database_lacks(url: str) -> None:
    with Storage.open(url) as storage:
        for statement in ("DROP INDEX ix_trials_campaign_id_id", "ALTER TABLE devices DROP COLUMN versions"):
            storage.database.write(lambda c, s=statement: c.execute(text(s)))  # type: ignore[misc]
    with pytest.raises(StorageError, match=r"is damaged: it lacks .*; restore a copy") as refused:
        Storage.check(url)
    assert "the column devices.versions" in str(refused.value)
    assert "the index ix_trials_campaign_id_id" in str(refused.value)


def test_tables_of_others_beside_ours_are_no_damage(url: str) -> None:
    with Storage.open(url) as storage:
        storage.database.write(lambda c: c.execute(text("CREATE TABLE notes (id INTEGER)")))
    assert Storage.check(url) == _schema.HEAD


def test_a_check_finds_rows_that_belong_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    with Storage.open(str(path)) as storage:
        stock(storage)
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM targets")
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match=r"is damaged: a row of .* belongs to one of targets"):
        Storage.check(str(path))


def test_a_database_that_lost_its_revision_is_refused(url: str) -> None:
    with Storage.open(url) as storage:
        storage.database.write(lambda c: c.execute(text("DELETE FROM alembic_version")))
    for refuse in (Storage.open, Storage.check, Storage.upgrade):
        with pytest.raises(SchemaError, match=r"has 0 schema revisions, not one; restore a copy"):
            refuse(url)


def test_a_newer_schema_is_refused_and_left_alone(url: str) -> None:
    set_revision(url, "0999")
    for refuse in (Storage.open, Storage.check, Storage.upgrade):
        with pytest.raises(SchemaError, match=r"schema 0999.*upgrade tunefleet"):
            refuse(url)


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    for name, statement in (
        ("a", "CREATE TABLE recipes (id)"),
        ("b", "CREATE TABLE alembic_version (version_num)"),
    ):
        path = tmp_path / f"{name}.db"
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.close()
        before = path.read_bytes()
        for refuse in (Storage.open, Storage.check, Storage.upgrade):
            with pytest.raises(SchemaError, match="database of something else"):
                refuse(str(path))
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("step", "way_in"), [("make_tables", Storage.open), ("run_migrations", Storage.upgrade)]
)
def test_tables_are_all_there_or_none(
    url: str, monkeypatch: pytest.MonkeyPatch, step: str, way_in: Callable[[str], object]
) -> None:
    from orchestrator.storage import _database

    whole = getattr(_schema, step)

    def half(connection: Connection) -> None:
        whole(connection)
        raise KeyboardInterrupt

    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).touch()  # only an opening makes the file
    monkeypatch.setattr(_database, step, half)
    with pytest.raises(KeyboardInterrupt):
        way_in(url)
    monkeypatch.undo()
    with pytest.raises(StorageError, match="is empty"):
        Storage.open(url, create=False)
    assert Storage.upgrade(url) == ("", _schema.HEAD)
    assert Storage.check(url) == _schema.HEAD


def pragma(storage: Storage, name: str) -> object:
    return storage.database.read(lambda c: c.exec_driver_sql(f"PRAGMA {name}").scalar())


def test_sqlite_is_set_to_survive_a_power_cut(tmp_path: Path) -> None:
    with Storage.open(str(tmp_path / "a.db")) as storage:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        values = [pragma(storage, name) for name in pragmas]
        assert values == ["wal", 2, 1]


@pytest.mark.parametrize(
    ("url", "text_of_error"),
    [
        ("mysql://u:secret@h/d", "only sqlite:// and postgresql://"),
        ("sqlite://", "in-memory"),
        ("sqlite:///:memory:", "in-memory"),
        ("", "empty"),
        ("postgresql://u:secret@h:port/d", "not a database URL"),
        ("postgresql:/u:secret@h/d", "not a database URL"),
        ("host=h user=u password=secret dbname=d", "not a database URL"),
        ("dbname=d password = 'my secret'", "not a database URL"),
        ("postgresql://u:se@secret@h/d", "is written %40"),
        ("postgresql://u/v:secret@h/d", "is written %40"),
    ],
)
def test_a_url_that_cant_be_right_is_refused(url: str, text_of_error: str) -> None:
    with pytest.raises(UsageError, match=text_of_error) as refused:
        Storage.open(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@127.0.0.1:1/records",
        "postgresql://user@127.0.0.1:1/records?password=hunter2",
        "postgresql://user:hun%74er2@127.0.0.1:1/records",
        "postgresql://user@127.0.0.1:1/records?PassWord=hunter2",
        "postgresql://user@127.0.0.1:1/records?p%61ssword=hunter2&password=hunter3",
        "postgresql://user@127.0.0.1:1/records?sslpassword=hun%74er2",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    assert "***" in safe_url(url)
    assert "hun" not in safe_url(url)
    with pytest.raises(StorageError) as refused:
        Storage.open(url, patience_s=0.1)
    assert "hun" not in str(refused.value)


def test_the_default_is_a_file_in_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with Storage.open() as storage:
        assert storage.path == default_path() == tmp_path / "data" / "tunefleet" / "tunefleet.db"
        assert storage.url == f"sqlite:///{storage.path}"
        assert storage.path.is_file()


def test_a_path_with_odd_characters_is_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "100% of #1?"
    folder.mkdir()
    with Storage.open(str(folder / "my records.db")) as storage:
        stock(storage)
    assert sorted(p.name for p in folder.iterdir()) == ["my records.db"]
