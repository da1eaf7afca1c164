"""Opening: addresses, one writer, readers beside it, schemas old, new and foreign."""

import os
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.event import listen
from sqlalchemy.schema import CreateTable

from shortlist.errors import StoreError
from shortlist.serving.store import migrations, sqlite
from shortlist.serving.store.contract import Event, Exposure, History
from shortlist.serving.store.migrations import STEPS, Step
from shortlist.serving.store.opening import open_store
from shortlist.serving.store.tables import METADATA

E = Event(id="e", user_id=1, item_id="a", timestamp=100)
VERSION_1 = (Path(__file__).parent / "version_1.sql").read_text()


def schema_version(path):
    with sqlite3.connect(path) as connection:
        version = connection.execute("SELECT max(version) FROM shortlist_schema").fetchone()[0]
    connection.close()
    return version


def run_sql(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.executescript(statement)
    connection.close()


@pytest.mark.parametrize(
    "address",
    ["", "events.db", "/var/events.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://host/x.db",
     "sqlite:///x.db?mode=ro", "postgresql://user:secret@host/db", "mysql://x"],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_no_password_repeated(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="expected an address such as") as caught:
        open_store(address)
    assert "secret" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_relative_address_and_odd_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///od d#%20é.db").close()
    assert "od d#%20é.db" in os.listdir(tmp_path)


def test_only_the_owner_reads_the_file(store, path):
    store.append([E])
    assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir() if file.suffix != ".lock"} == {0}


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(StoreError, match="there is no folder"):
        open_store(f"sqlite:///{tmp_path}/none/events.db")
    assert not list(tmp_path.iterdir())


def test_a_reader_does_not_make_a_store(path, url):
    with pytest.raises(StoreError, match="no such file"):
        open_store(url, read_only=True)
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("read_only", [True, False])
def test_another_file_is_refused_and_left_as_it_is(path, url, read_only):
    path.write_bytes(b"user_id,item_id\n" * 1000)
    with pytest.raises(StoreError, match="file is not a database"):
        open_store(url, read_only=read_only)
    assert path.read_bytes() == b"user_id,item_id\n" * 1000


def test_a_database_of_something_else_holds_no_store(path, url):
    run_sql(path, "CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match="holds no store"):
        open_store(url, read_only=True)


def test_a_second_writer_is_refused_until_the_first_is_gone(store, url):
    with pytest.raises(StoreError, match="another process has the store open for writing"):
        open_store(url)
    assert store.append([E])[0].status == "stored"
    store.close()
    second = open_store(url)
    assert second.counts().events == 1
    second.close()


def test_a_second_process_is_refused_too(store, url):
    code = f"from shortlist.serving.store.opening import open_store; open_store({url!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "another process has the store open for writing" in done.stderr


AS_NOBODY = """
import os, sys
from shortlist.serving.store.opening import open_store
open_store(f"sqlite:///{sys.argv[2]}").close()
if os.getuid() == 0:
    os.setuid(65534)
for read_only in (False, True):
    try:
        print(open_store(f"sqlite:///{sys.argv[1]}", read_only=read_only).counts().events)
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_without_the_right_to_write_the_reason_is_said(path, url, folder, tmp_path):
    store = open_store(url)
    store.append([E])
    store.close()
    path.chmod(0o444)
    folder.chmod(0o555)
    command = [sys.executable, "-c", AS_NOBODY, path, tmp_path / "other.db"]
    done = subprocess.run(command, capture_output=True, text=True)
    folder.chmod(0o755)
    assert done.stderr == ""
    for line in done.stdout.splitlines():
        assert line.startswith(f"StoreError {path} cannot be opened as a store: ")
        assert line.endswith(f"SQLite needs to write beside it, in {folder}")
    assert len(done.stdout.splitlines()) == 2


def test_readers_see_what_is_committed_and_cannot_write(store, url):
    reader = open_store(url, read_only=True)
    assert reader.history(1) == History()
    store.append([E])
    store.put_item("b", {})
    assert [one.id for one in reader.history(1).events] == ["e"]
    assert reader.id_kinds() == ("integer", "string")
    assert [one.item_id for one in reader.items_since()] == ["b"]
    assert reader.store_id == store.store_id
    for write in (
        lambda: reader.append([E]),
        lambda: reader.delete_user(1),
        lambda: reader.put_item("a", {}),
        lambda: reader.log_exposures([Exposure(request_id="r", item_ids=(), timestamp=1)]),
        reader.check,
    ):
        with pytest.raises(StoreError, match="reading only"):
            write()
    reader.close()
    assert store.counts().events == 1


def test_nobody_but_the_writer_checkpoints_or_writes(store):
    def pragma(engine, name):
        with engine.connect() as connection:
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

    store.append([E])
    reader, writer = store._database.reader, store._database.writer
    assert (pragma(reader, "query_only"), pragma(reader, "wal_autocheckpoint")) == (1, 0)
    assert pragma(writer, "synchronous") == 2
    assert (pragma(writer, "journal_mode"), pragma(writer, "secure_delete")) == ("wal", 1)
    assert writer.pool.size() == 1


def write_much(store, path, n_batches):
    """The length of the write-ahead log after each commit and what follows it."""
    sizes = []
    for batch in range(n_batches):
        store.append([Event(id=f"{batch} {n}", user_id=n, item_id="a", timestamp=n) for n in range(100)])
        store.check()  # comes after what follows the commit
        sizes.append(path.with_name("events.db-wal").stat().st_size)
    return sizes


def test_the_write_ahead_log_is_emptied_when_it_is_long(path, url, monkeypatch):
    monkeypatch.setattr(sqlite, "CHECKPOINT_BYTES", 200_000)
    store = open_store(url)
    sizes = write_much(store, path, 60)
    store.close()
    assert max(sizes) < 400_000
    emptied = sum(after < before for before, after in pairwise(sizes))
    assert 5 < emptied < 30
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_reader_in_the_way_only_puts_the_emptying_off(path, url, monkeypatch):
    monkeypatch.setattr(sqlite, "CHECKPOINT_BYTES", 200_000)
    monkeypatch.setattr(sqlite, "READERS_WAIT_MS", 1)
    store = open_store(url)
    store.append([E])
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM shortlist_events").fetchall()
    store.delete_user(1)
    assert min(write_much(store, path, 20)[10:]) > 200_000
    assert reader.execute("SELECT id FROM shortlist_events").fetchall() == [("e",)]
    reader.close()
    until = time.monotonic() + 60
    while path.with_name("events.db-wal").stat().st_size:  # nobody writes any more: it is emptied all the same
        assert time.monotonic() < until
        time.sleep(0.02)
    store.close()


KILLED = """
import os, sys
from shortlist.serving.store.contract import Event
from shortlist.serving.store.opening import open_store
from shortlist.serving.store.sql_store import SqlStore
SqlStore._tidy = lambda store: True  # it is killed before
store = open_store(sys.argv[1])
store.append([Event(id="e", user_id="somebody secret", item_id="a", timestamp=100)])
store.delete_user("somebody secret")
os._exit(9)
"""


def test_what_was_deleted_before_a_kill_is_gone_when_a_server_writes_again(path, url):
    subprocess.run([sys.executable, "-c", KILLED, url], check=False)
    log = path.with_name("events.db-wal")
    assert b"somebody secret" in log.read_bytes()
    store = open_store(url)
    store.require_id_kinds("string", "string")  # as every server does
    store.check()
    for file in path.parent.iterdir():
        assert b"somebody secret" not in file.read_bytes()
    store.close()


def test_the_tables_are_those_that_the_migrations_make(store, path):
    def described(address):
        engine = create_engine(address)
        if not path.samefile(address.removeprefix("sqlite:///")):
            METADATA.create_all(engine)
        found = inspect(engine)
        tables = {
            name: (
                {(c["name"], str(c["type"]).replace("DOUBLE", "REAL"), c["nullable"]) for c in found.get_columns(name)},
                found.get_pk_constraint(name)["constrained_columns"],
                {tuple(one["column_names"]) for one in found.get_unique_constraints(name)},
                {(one["name"], *one["column_names"]) for one in found.get_indexes(name)},
            )
            for name in found.get_table_names()
        }
        engine.dispose()
        return tables

    other = path.with_name("other.db")
    other.touch()
    assert described(f"sqlite:///{path}") == described(f"sqlite:///{other}")


def test_the_tables_compile_for_postgresql():
    for table in METADATA.sorted_tables:
        assert "BIGINT" in str(CreateTable(table).compile(dialect=postgresql.dialect())) or table.name.endswith(
            "settings"
        )


def test_all_that_is_asked_of_the_database_compiles_for_postgresql(store):
    asked, own = [], []

    def before(connection, statement, *_):
        asked.append(statement)

    def raw(connection, cursor, statement, parameters, context, executemany):
        if context.compiled is None:
            own.append(statement)

    for engine in (store._database.reader, store._database.writer):
        listen(engine, "before_execute", before)
        listen(engine, "before_cursor_execute", raw)
    store.require_id_kinds("integer", "string")
    store.append([E])
    store.append([E])
    store.put_item("a", {"title": "A"})
    store.log_exposures([Exposure(request_id="r", item_ids=("a",), timestamp=1, user_id=1)]).result()
    store.history(1)
    store.read_events()
    store.read_exposures()
    store.items_since()
    store.counts()
    store.progress()
    store.delete_user(1)
    store.deletion_times([1])
    store.deleted_since(0, [1])
    kinds = Counter(type(statement).__name__ for statement in asked)
    assert min(kinds[name] for name in ("Select", "Insert", "Update", "Delete")) > 0
    for statement in asked:
        assert "shortlist_" in str(statement.compile(dialect=postgresql.dialect()))
    assert set(own) <= {"BEGIN", "BEGIN IMMEDIATE"}  # which only SQLite's part says


def test_version_1_becomes_the_newest_with_everything_in_it(path, url):
    run_sql(path, VERSION_1)
    assert schema_version(path) == 1
    store = open_store(url)
    assert schema_version(path) == len(STEPS)
    assert [(one.id, one.item_id, one.rating, one.seq) for one in store.history(42).events] == [
        ("e1", "é", 4.5, 1),
        ("e2", "b", None, 2),
    ]
    assert store.history(7).deleted_seq == 4
    assert list(store.deletion_times([7, 42])) == [7]
    assert [(one.item_id, one.attributes) for one in store.items_since()] == [("b", {"title": "B", "genres": ["x"]})]
    assert store.append([Event(id="e1", user_id=42, item_id="é", rating=4.5, event="buy")])[0].status == "duplicate"
    assert store.counts().exposures == 1
    assert store.counts().last_seq == 4
    store.close()


def test_a_newer_schema_is_refused_and_left_as_it_is(path, url):
    open_store(url).close()
    run_sql(path, "INSERT INTO shortlist_schema VALUES (99, 'from the future', 0)")
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreError, match="schema version 99, this version of shortlist knows up to"):
            open_store(url, read_only=read_only)
    assert path.read_bytes() == before


def more_steps(monkeypatch, *steps):
    monkeypatch.setattr(migrations, "STEPS", (*STEPS, *steps))


def test_an_older_schema_is_migrated_by_a_writer_and_refused_by_a_reader(path, url, monkeypatch):
    store = open_store(url)
    store.append([E])
    store.close()
    more_steps(monkeypatch, Step("one more", ("CREATE TABLE more (x INTEGER)", "INSERT INTO more VALUES (5)")))
    with pytest.raises(StoreError, match=re.escape(f"schema version {len(STEPS)}, this version of shortlist reads")):
        open_store(url, read_only=True)
    store = open_store(url)
    assert schema_version(path) == len(STEPS) + 1
    assert store.counts().events == 1
    store.close()
    open_store(url).close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT * FROM more").fetchall() == [(5,)]
    connection.close()


def test_a_step_that_fails_leaves_nothing_behind(path, url, monkeypatch):
    open_store(url).close()
    good, bad = Step("good", ("CREATE TABLE good (x)",)), Step("bad", ("CREATE TABLE half (x)", "CREATE nonsense"))
    more_steps(monkeypatch, good, bad)
    with pytest.raises(StoreError, match="syntax error"):
        open_store(url)
    assert schema_version(path) == len(STEPS) + 1
    connection = sqlite3.connect(path)
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert "good" in tables
    assert "half" not in tables
    more_steps(monkeypatch, good, Step("mended", ("CREATE TABLE half (x)",)))
    open_store(url).close()
    assert schema_version(path) == len(STEPS) + 2
