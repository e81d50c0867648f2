"""One database by URL, SQLite or PostgreSQL: opened, brought to the newest schema, and one writer at a time."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url

from openbell.core.errors import BadInput, IntegrityBroken, OpenbellError, StorageFailed
from openbell.store import schema
from openbell.store.urls import DATABASES, redacted
from openbell.store.urls import scheme as scheme_of

BUSY_SECONDS = 60.0
#: Connections to PostgreSQL that are kept; as many again may be open for a moment.
POOLED = 8
CONNECT_SECONDS = 5
#: Pages beside SQLite's file from which `Database.tidy` has them used again, and at which a commit does it.
TIDY_PAGES, MOST_PAGES = 1_000, 10_000
#: How often a writer asks for SQLite's lock while another has it.
_TURN_SECONDS = 0.001
#: Held by every writer of a PostgreSQL database until its transaction ends ("openbell" in ASCII).
LOCK = int.from_bytes(b"openbell", "big")
_PASSWORD = re.compile(r"(password\s*=\s*)\S+", re.IGNORECASE)


@dataclass(frozen=True)
class Database:
    """An opened database. `url` shows no password."""

    engine: Engine = field(repr=False)
    url: str

    @classmethod
    def open(cls, url: str, *, wait_seconds: float = BUSY_SECONDS) -> Database:
        """Open ``sqlite:////file`` or ``postgresql://…`` and bring its schema to the newest revision.

        `wait_seconds` is the longest wait for another writer's lock on SQLite, and for a free connection to
        PostgreSQL, before `StorageFailed`. A connection that died is found and replaced before it is used.
        """
        parsed = _parsed(url)
        if parsed.get_backend_name() == "sqlite":
            _make_folder(parsed)
        database = cls(_engine(parsed, wait_seconds), redacted(parsed.render_as_string(hide_password=True)))
        try:
            database.upgrade()
        except BaseException:
            database.close()
            raise
        return database

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent picture: what others commit meanwhile is not seen."""
        with self._told("reading"), self.engine.connect() as connection:
            if self.dialect == "postgresql":  # SQLite's transactions always are
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writer of Openbell overlaps; everything in it is kept, or nothing."""
        with self._told("writing"), self.engine.connect() as connection:
            connection.execution_options(openbell_writes=True)
            with connection.begin():
                if self.dialect == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
                yield connection

    @contextlib.contextmanager
    def adding(self) -> Iterator[Connection]:
        """A transaction for rows that depend on no other writer's: on PostgreSQL writers overlap, and their commits.

        Rows that others may add too are told apart by their keys (`upserts.insert_new`); SQLite has one writer anyway.
        """
        with self._told("writing"), self.engine.connect() as connection:
            connection.execution_options(openbell_writes=True)
            with connection.begin():
                yield connection

    def upgrade(self) -> None:
        """Make or migrate the schema where it is not the newest; otherwise one look is all it costs."""
        with self.reading() as connection:
            if _revision(connection) == schema.REVISION:
                return
        with self.writing() as connection:
            found = _revision(connection)  # again, now that no other process can be migrating
            if found is None:
                _create(connection)
            elif found != schema.REVISION:
                _migrate(connection, found)

    def tidy(self) -> None:
        """Bring what was written into the database file, where SQLite keeps it beside the file for a while.

        Otherwise whoever commits does it, every thousand pages, and its callers wait. Almost all is moved while others
        write; only the last of it holds them up, so that the file beside it is used again and does not grow for ever.
        """
        if self.dialect != "sqlite":
            return
        with self._told("tidying"), self.engine.connect() as connection:
            raw: Any = connection.connection.dbapi_connection  # not in a transaction, as SQLAlchemy would begin one
            try:
                _, pages, _ = raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if pages >= TIDY_PAGES:
                    raw.execute("PRAGMA wal_checkpoint(RESTART)")
            except sqlite3.Error as failure:
                raise sa.exc.DBAPIError("", None, failure) from failure

    @contextlib.contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Turn the database's errors into the house's sentence, without the parameters and the password."""
        try:
            yield
        except sa.exc.DBAPIError as failure:
            said = _PASSWORD.sub(r"\1***", redacted((str(failure.orig).strip() or "no reason given").splitlines()[0]))
            if "malformed" in said or "not a database" in said:
                raise IntegrityBroken(
                    f"The database {self.url} is damaged ({said}). Restore it from a backup."
                ) from None
            cure = "Free some space and run it again" if "full" in said else "Mend it and run it again"
            raise StorageFailed(
                f"The database {self.url} failed while {doing}: {said}. {cure}; nothing was half-written."
            ) from None
        except sa.exc.TimeoutError:
            raise StorageFailed(
                f"The database {self.url} failed while {doing}: all its connections are busy. "
                "Ask again later, or give it fewer callers at once; nothing was half-written."
            ) from None


def json_text(value: Any) -> str:
    """Plain JSON values as `core.hashing.canonical_json` writes them, faster; what is not finite is a `ValueError`."""
    return _PLAIN.encode(value)


#: Made once: `json.dumps` with settings of its own makes one at every call.
_PLAIN = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _parsed(url: str) -> URL:
    scheme_of(url.replace("+psycopg://", "://", 1), DATABASES, "journal")
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise BadInput(
            f"`{redacted(url)}` cannot be read as the URL of a database. "
            f"Write {' or '.join(f'`{example}`' for example in DATABASES.values())}."
        ) from None
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.database in (None, "", ":memory:") or "mode=memory" in str(parsed.database):
        raise BadInput(f"`{url}` would be forgotten with the process. Name a file: `{DATABASES['sqlite']}`.")
    return parsed


def _make_folder(url: URL) -> None:
    folder = Path(str(url.database)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise StorageFailed(
            f"The folder {folder} of the database cannot be made: {failure.strerror}. Choose one that may be written."
        ) from failure


def _engine(url: URL, wait_seconds: float) -> Engine:
    if url.get_backend_name() == "postgresql":
        try:
            return sa.create_engine(
                url,
                hide_parameters=True,
                json_serializer=json_text,
                pool_pre_ping=True,
                pool_size=POOLED,
                max_overflow=POOLED,
                pool_timeout=wait_seconds,
                connect_args={} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS},
            )
        except ModuleNotFoundError:
            raise BadInput(
                "PostgreSQL needs the driver psycopg, which is not installed. "
                "Install it: `pip install openbell[postgres]`."
            ) from None
    engine = sa.create_engine(
        url, hide_parameters=True, json_serializer=json_text, connect_args={"timeout": wait_seconds}
    )

    @event.listens_for(engine, "connect")
    def connected(raw: Any, _: Any) -> None:
        raw.isolation_level = None  # the driver must not begin transactions of its own: see `begun`
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute(f"PRAGMA wal_autocheckpoint = {MOST_PAGES}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # A writer takes the lock before it reads the head; two that both read first could not both go on.
        if connection.get_execution_options().get("openbell_writes", False):
            _begin_writing(connection, wait_seconds)
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _begin_writing(connection: Connection, wait_seconds: float) -> None:
    """Take SQLite's lock, asking often: its own waiting sleeps longer each time, up to a tenth of a second."""
    raw: Any = connection.connection.dbapi_connection
    raw.execute("PRAGMA busy_timeout = 0")
    try:
        if not _took_turn(raw, time.monotonic() + wait_seconds):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # fails once more, as SQLAlchemy tells it
    finally:
        raw.execute(f"PRAGMA busy_timeout = {int(wait_seconds * 1000)}")


def _took_turn(raw: sqlite3.Connection, until: float) -> bool:
    while True:
        try:
            raw.execute("BEGIN IMMEDIATE")
            return True
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                return False
        time.sleep(_TURN_SECONDS)


def _revision(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table(schema.revision.name):
        return None
    return connection.execute(sa.select(schema.revision.c.version_num)).scalar()


def _create(connection: Connection) -> None:
    """A fresh database, in one step and without importing Alembic."""
    schema.metadata.create_all(connection, checkfirst=False)
    schema.bookkeeping.create_all(connection, checkfirst=False)
    for statement in schema.TRIGGERS[connection.dialect.name]:
        connection.exec_driver_sql(statement)
    connection.execute(schema.head.insert().values(id=1, records=0, hash=schema.GENESIS))
    connection.execute(schema.revision.insert().values(version_num=schema.REVISION))


def _migrate(connection: Connection, found: str) -> None:
    from openbell.store.migrations.run import upgrade  # Alembic costs 0.3 s, paid only where it is needed

    try:
        upgrade(connection)
    except OpenbellError:
        raise
    except sa.exc.SQLAlchemyError:
        raise
    except Exception as failure:
        raise StorageFailed(
            f"The database is at revision `{found}` and could not be brought to `{schema.REVISION}`: {failure}. "
            "A newer Openbell may have written it; use that one, or restore a backup."
        ) from failure
