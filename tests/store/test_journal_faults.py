"""Two writers at once, a kill at every statement, a full disk, an older and a newer schema."""

import contextlib
import datetime as dt
import json
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from openbell.core.errors import IntegrityBroken, StorageFailed
from openbell.store import schema
from openbell.store.database import Database
from openbell.store.journal import Entry, Journal
from openbell.store.migrations.run import config, upgrade

AT = dt.datetime(2020, 3, 16, 13, tzinfo=dt.UTC)

WRITER = """
import datetime as dt, sys, time
from openbell.store.journal import Entry, Journal
AT = dt.datetime(2020, 3, 16, 13, tzinfo=dt.UTC)
print("ready", flush=True)
sys.stdin.readline()
with Journal.open(sys.argv[1]) as journal:
    for number in range(int(sys.argv[3])):
        journal.append("a", {"writer": sys.argv[2], "number": number}, at=AT, key=f"shared-{number}")
        journal.append_many([Entry("b", {"writer": sys.argv[2], "number": number}, AT)] * 2)
        while sys.argv[4:] and not any(record.payload["writer"] != sys.argv[2] for record in journal.records("b")):
            time.sleep(0.005)  # until the other is at work too, so that they overlap on any machine
        time.sleep(0.002)  # leaves the other a gap: whoever holds SQLite's lock tends to take it again
"""

KILLED = """
import datetime as dt, json, os, signal, sys
import sqlalchemy as sa
from openbell.store.journal import Entry, Journal
AT = dt.datetime(2020, 3, 16, 13, tzinfo=dt.UTC)
url = sys.argv[1]
Journal.open(url).close()
for number in range(1, 50):
    pid = os.fork()
    if pid == 0:
        journal = Journal.open(url)
        left = [number]
        def step(*_):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        for moment in ("before_cursor_execute", "after_cursor_execute", "commit"):
            sa.event.listen(journal.database.engine, moment, step)
        journal.append_many([Entry("a", {"run": number}, AT), Entry("a", {"run": number}, AT)])
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    with Journal.open(url) as journal:
        print(json.dumps([status, journal.verify()]), flush=True)
    if status == 0:
        break
"""


@pytest.fixture
def start(root):
    """Start a Python that finds the project; what is left is stopped."""
    with contextlib.ExitStack() as running:

        def started(script, *arguments):
            process = subprocess.Popen(
                [sys.executable, "-c", script, *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                cwd=root / "src",
            )  # fmt: skip
            running.enter_context(process)
            running.callback(process.kill)
            return process

        yield started


def test_writers_at_once_keep_one_chain_on_a_fresh_database(journal_url, start):
    """Both also find no schema at the same moment."""
    writers = [start(WRITER, journal_url, name, "40", "together") for name in ("one", "two")]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, said = writer.communicate(timeout=100)
        assert writer.returncode == 0, said
    with Journal.open(journal_url) as journal:
        assert journal.verify() == 40 + 2 * 2 * 40
        assert len(journal.records("a")) == 40
        order = [record.payload["writer"] for record in journal.records("b")]
    assert sorted(order) == ["one"] * 80 + ["two"] * 80
    assert order not in (sorted(order), sorted(order, reverse=True)), "they did not overlap: the test shows nothing"


def test_kill_at_every_statement_leaves_a_chain_that_verifies(journal_url, start):
    said, errors = start(KILLED, journal_url).communicate(timeout=100)
    runs = [json.loads(line) for line in said.splitlines()]
    assert runs, errors
    *killed, done = runs
    assert len(killed) >= 7, errors
    assert {status for status, _ in killed} == {9}
    assert {count for _, count in killed} == {0}, "nothing of a transaction that was not committed is there"
    assert done == [0, 2]


def test_a_kill_while_many_are_appended_leaves_whole_batches(journal_url, start):
    writer = start(WRITER, journal_url, "one", "100000")
    writer.stdout.readline()
    writer.stdin.write("go\n")
    writer.stdin.flush()
    with Journal.open(journal_url) as journal:
        for _ in range(2000):
            if journal.head.records > 20:
                break
            time.sleep(0.005)
        writer.kill()
        writer.wait(10)
        count = journal.verify()
        assert count > 20
        assert len(journal.records("b")) % 2 == 0
        assert journal.append("after", {}, at=AT).seq == count + 1
        assert journal.verify() == count + 1


def test_opening_a_fresh_file_needs_no_alembic(tmp_path, start):
    script = """
import sys
from openbell.store.journal import Journal
for turn in ("fresh", "again"):
    Journal.open(f"{sys.argv[1]}.db").close()
print("alembic" in sys.modules)
"""
    said, errors = start(script, f"sqlite:///{tmp_path}/journal").communicate(timeout=60)
    assert said, errors
    (imported,) = said.split()
    assert imported == "False"


def test_the_newest_migration_is_the_one_that_the_schema_names():
    assert ScriptDirectory.from_config(config()).get_current_head() == schema.REVISION


def objects(database: Database) -> list[tuple]:
    """Everything the database knows of our tables, triggers and functions, in its own words."""
    questions = {
        "sqlite": ["SELECT type, name, tbl_name, sql FROM sqlite_master"],
        "postgresql": [
            "SELECT table_name, column_name, data_type, is_nullable, column_default, ordinal_position "
            "FROM information_schema.columns WHERE table_schema = current_schema()",
            "SELECT tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid "
            "WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace",
            "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = current_schema()::regnamespace",
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()",
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE contype IN ('c', 'p', 'u') AND connamespace = current_schema()::regnamespace",
        ],
    }[database.dialect]
    with database.reading() as connection:
        found = [tuple(row) for question in questions for row in connection.exec_driver_sql(question)]
    return sorted(tuple(" ".join(str(cell).split()) for cell in row) for row in found)


def empty(database: Database) -> None:
    """Remove everything that was made, so that the migrations start from nothing."""
    with database.writing() as connection:
        if database.dialect == "postgresql":
            name = connection.exec_driver_sql("SELECT current_schema()").scalar()
            connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
        else:
            for table in (*schema.metadata.tables, "alembic_version"):
                connection.execute(sa.text(f"DROP TABLE {table}"))


def test_the_migrations_end_where_a_fresh_database_begins(journal_url):
    database = Database.open(journal_url)
    fresh = objects(database)
    empty(database)
    with database.writing() as connection:
        upgrade(connection)
    assert objects(database) == fresh
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    database.close()
    with Journal.open(journal_url) as journal:
        journal.append("a", {}, at=AT)
        assert journal.verify() == 1


def test_a_database_of_an_older_revision_is_migrated(journal_url):
    """A journal of the first revision keeps its records, and gets the ledger as a fresh database has it."""
    database = Database.open(journal_url)
    fresh = objects(database)
    empty(database)
    with database.writing() as connection:
        upgrade(connection, "0001")
    record = Journal(database).append("a", {"of": "the first revision"}, at=AT)
    assert objects(database) != fresh
    database.close()
    with Journal.open(journal_url) as journal:
        assert journal.records() == [record]
        assert journal.append("b", {}, at=AT).previous == record.hash
        assert journal.verify() == 2
        assert objects(journal.database) == fresh
        with journal.database.reading() as connection:
            assert connection.execute(sa.select(schema.revision.c.version_num)).scalar() == schema.REVISION


def test_a_database_of_a_newer_openbell_is_refused(journal_url):
    with Journal.open(journal_url) as journal, journal.database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageFailed, match=r"revision `9999`.*A newer Openbell may have written it"):
        Journal.open(journal_url)


def test_a_migration_that_fails_leaves_nothing(journal_url, monkeypatch):
    database = Database.open(journal_url)
    empty(database)
    before = objects(database)
    monkeypatch.setitem(schema.TRIGGERS, database.dialect, (*schema.TRIGGERS[database.dialect][:2], "nonsense"))
    with pytest.raises(StorageFailed, match="nothing was half-written"):
        database.upgrade()
    assert objects(database) == before
    database.close()


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "journal.db").write_bytes(b"no database at all, but long enough to have a header" * 100)
    with pytest.raises(IntegrityBroken, match="is damaged"):
        Journal.open(f"sqlite:///{tmp_path}/journal.db")


def test_a_home_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "home").write_text("a file stands where the folder should")
    with pytest.raises(StorageFailed, match="cannot be made"):
        Journal.open(f"sqlite:///{tmp_path}/home/journal.db")


def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path):
    """SQLite's own limit of pages is its disk-full error, from the same place in its code."""
    with Journal.open(f"sqlite:///{tmp_path}/journal.db") as journal:
        journal.append("a", {}, at=AT)
        with journal.database.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        journal.database.engine.dispose()

        @sa.event.listens_for(journal.database.engine, "connect")
        def small(raw, _):
            raw.execute(f"PRAGMA max_page_count = {pages + 2}")

        with pytest.raises(StorageFailed, match=r"is full. Free some space and run it again; nothing was half-written"):
            journal.append_many([Entry("a", {"text": "x" * 1000}, AT) for _ in range(100)])
        assert journal.verify() == 1


def test_a_server_that_is_away_is_told(tmp_path):
    with pytest.raises(StorageFailed, match="failed while reading"):
        Journal.open(f"postgresql://me:hunter2@/x?host={tmp_path}")


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Exception, match=r"pip install openbell\[postgres\]"):
        Database.open("postgresql://me@localhost/x")
