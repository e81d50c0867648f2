"""The tables of the journal and of the ledger of trials, as they are at the newest migration.

Those of the gate, of the signals and of the lab stand beside.

A fresh database is made from here in one step; an older one is brought here by `migrations`. A test compares both.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from openbell.store import gate_schema, lab_schema, signal_schema

#: The newest migration; a test compares it with the folder of migrations.
REVISION = "0005"
#: What the first record names as the hash before it.
GENESIS = "0" * 64

metadata = lab_schema.jobs.metadata  # one for all; naming it here brings the lab's tables along
bookkeeping = MetaData()

_big = gate_schema.big

journal = Table(
    "journal",
    metadata,
    Column("seq", _big, primary_key=True, autoincrement=False),
    Column("at_us", _big, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, unique=True),
    Column("desk", Text),
    Column("payload", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("journal_kind", "kind", "seq"),
    Index("journal_desk", "desk", "seq"),
)

#: One row: how many records there are and the hash of the last, so that a cut-off tail is noticed.
head = Table(
    "journal_head",
    metadata,
    Column("id", SmallInteger, CheckConstraint("id = 1", name="journal_head_single"), primary_key=True),
    Column("records", _big, nullable=False),
    Column("hash", Text, nullable=False),
)

#: Every configuration that was ever fitted, once for the desk, the kind and the data it was tried on.
trials = Table(
    "trials",
    metadata,
    Column("seq", _big, primary_key=True, autoincrement=False),
    Column("at_us", _big, nullable=False),
    Column("desk", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    UniqueConstraint("desk", "kind", "fingerprint", "data", name="trials_once"),
    Index("trials_fingerprint", "fingerprint"),
)

#: The family-wise error that each tournament spent of its year's budget.
alpha_spent = Table(
    "alpha_spent",
    metadata,
    Column("seq", _big, primary_key=True, autoincrement=False),
    Column("at_us", _big, nullable=False),
    Column("desk", Text, nullable=False),
    Column("year", Integer, nullable=False),
    Column("plan", Text, nullable=False),
    Column("alpha", Float(53), nullable=False),
    UniqueConstraint("desk", "plan", name="alpha_spent_once"),
    Index("alpha_spent_year", "desk", "year"),
)

#: Alembic's own table, as Alembic makes it.
revision = Table(
    "alembic_version",
    bookkeeping,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

_NEVER = "the journal is append-only: a record is never changed and never removed"
_CHAIN = "a record of the journal must follow the last one"
_HEAD = "the head of the journal only moves forward"
_COUNTED = "the ledger of trials is append-only: what was tried or spent is never changed and never removed"
_ONCE = "what is added to the ledger of trials must be new and follow the last one"
#: What makes a row of the ledger the same as another.
_LEDGER = {"trials": ("desk", "kind", "fingerprint", "data"), "alpha_spent": ("desk", "plan")}

# BEFORE INSERT also stops what no DELETE trigger sees on SQLite: INSERT OR REPLACE.
_SQLITE_JOURNAL = (
    f"CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, '{_NEVER}'); END",
    f"CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, '{_NEVER}'); END",
    "CREATE TRIGGER journal_chain BEFORE INSERT ON journal WHEN "
    "NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM journal) OR NEW.previous IS NOT "
    f"coalesce((SELECT hash FROM journal WHERE seq = NEW.seq - 1), '{GENESIS}') "
    "OR EXISTS (SELECT 1 FROM journal WHERE key = NEW.key) "
    f"BEGIN SELECT RAISE(ABORT, '{_CHAIN}'); END",
    "CREATE TRIGGER journal_head_forward BEFORE UPDATE ON journal_head WHEN NEW.records <= OLD.records "
    f"BEGIN SELECT RAISE(ABORT, '{_HEAD}'); END",
    f"CREATE TRIGGER journal_head_no_delete BEFORE DELETE ON journal_head BEGIN SELECT RAISE(ABORT, '{_HEAD}'); END",
    "CREATE TRIGGER journal_head_single BEFORE INSERT ON journal_head WHEN EXISTS (SELECT 1 FROM journal_head) "
    f"BEGIN SELECT RAISE(ABORT, '{_HEAD}'); END",
)


def _function(name: str, body: str) -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN {body} END $body$"


_POSTGRESQL_JOURNAL = (
    _function("journal_refuse", f"RAISE EXCEPTION '{_NEVER}';"),
    "CREATE TRIGGER journal_no_update BEFORE UPDATE OR DELETE ON journal "
    "FOR EACH ROW EXECUTE FUNCTION journal_refuse()",
    "CREATE TRIGGER journal_no_truncate BEFORE TRUNCATE ON journal "
    "FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse()",
    _function(
        "journal_follow",
        "IF NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM journal) OR NEW.previous <> "
        f"coalesce((SELECT hash FROM journal WHERE seq = NEW.seq - 1), '{GENESIS}') "
        f"THEN RAISE EXCEPTION '{_CHAIN}'; END IF; RETURN NEW;",
    ),
    "CREATE TRIGGER journal_chain BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION journal_follow()",
    _function(
        "journal_head_follow",
        f"IF TG_OP <> 'UPDATE' OR NEW.records <= OLD.records THEN RAISE EXCEPTION '{_HEAD}'; END IF; RETURN NEW;",
    ),
    "CREATE TRIGGER journal_head_forward BEFORE UPDATE OR DELETE ON journal_head "
    "FOR EACH ROW EXECUTE FUNCTION journal_head_follow()",
    "CREATE TRIGGER journal_head_no_truncate BEFORE TRUNCATE ON journal_head "
    "FOR EACH STATEMENT EXECUTE FUNCTION journal_head_follow()",
)


def _sqlite_ledger(table: str, once: tuple[str, ...]) -> tuple[str, ...]:
    same = " AND ".join(f"{column} = NEW.{column}" for column in once)
    return (
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{_COUNTED}'); END",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, '{_COUNTED}'); END",
        f"CREATE TRIGGER {table}_new BEFORE INSERT ON {table} WHEN "
        f"NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM {table}) "
        f"OR EXISTS (SELECT 1 FROM {table} WHERE {same}) BEGIN SELECT RAISE(ABORT, '{_ONCE}'); END",
    )


def _postgresql_ledger(table: str) -> tuple[str, ...]:
    return (
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION ledger_refuse()",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()",
        _function(
            f"{table}_follow",
            f"IF NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM {table}) "
            f"THEN RAISE EXCEPTION '{_ONCE}'; END IF; RETURN NEW;",
        ),
        f"CREATE TRIGGER {table}_new BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_follow()",
    )


_SQLITE = (*_SQLITE_JOURNAL, *(each for table, once in _LEDGER.items() for each in _sqlite_ledger(table, once)))
_POSTGRESQL = (
    *_POSTGRESQL_JOURNAL,
    _function("ledger_refuse", f"RAISE EXCEPTION '{_COUNTED}';"),
    *(each for table in _LEDGER for each in _postgresql_ledger(table)),
)

#: Statements that make the database itself refuse to rewrite, by dialect.
TRIGGERS = {
    "sqlite": (*_SQLITE, *signal_schema.SQLITE),
    "postgresql": (*_POSTGRESQL, *signal_schema.POSTGRESQL),
}
