"""SQLite's pages beside the file: brought in, and used again."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from openbell.core.errors import StorageFailed
from openbell.store.database import MOST_PAGES, TIDY_PAGES, Database


def written(database: Database, pages: int) -> None:
    with database.adding() as connection:
        connection.execute(sa.text("CREATE TABLE IF NOT EXISTS much (x BLOB)"))
        connection.execute(sa.text("INSERT INTO much VALUES (zeroblob(:n))"), {"n": 4_096 * pages})


def size(path: Path) -> int:
    return path.stat().st_size


def test_what_was_written_is_brought_in_and_its_place_is_used_again(tmp_path) -> None:
    """Kills: a file beside the database that grows as long as the service runs."""
    file, beside = tmp_path / "p.db", tmp_path / "p.db-wal"
    with Database.open(f"sqlite:///{file}").engine.connect():  # whoever else has it open
        database = Database.open(f"sqlite:///{file}")
        written(database, TIDY_PAGES)
        before, grown = size(file), size(beside)
        assert before < 4_096 * TIDY_PAGES < grown
        database.tidy()
        assert size(file) > 4_096 * TIDY_PAGES
        for _ in range(3):
            written(database, TIDY_PAGES)
            database.tidy()
        assert size(beside) < 1.1 * grown
        database.close()


def test_a_commit_tidies_only_what_nobody_did_for_long(tmp_path) -> None:
    database = Database.open(f"sqlite:///{tmp_path}/p.db")
    with database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar() == MOST_PAGES > TIDY_PAGES
    database.close()


def test_a_postgresql_tidies_itself_and_a_failure_is_told(postgres_url, tmp_path) -> None:
    other = Database.open(postgres_url)
    other.tidy()
    other.close()
    database = Database.open(f"sqlite:///{tmp_path}/p.db")
    with database.engine.connect() as held:  # the next one from the pool is this one
        raw = held.connection.dbapi_connection
    raw.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_PRAGMA else sqlite3.SQLITE_OK)
    with pytest.raises(StorageFailed, match="failed while tidying: not authorized"):
        database.tidy()
    raw.set_authorizer(None)
    database.close()
    for name in ("p.db", "p.db-wal", "p.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "p.db").mkdir()
    with pytest.raises(StorageFailed, match="failed while tidying"):
        database.tidy()
