"""The journal, its head, and the triggers that refuse to rewrite either."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out, not imported: a step that was released stays as it was when `schema` moves on.
_GENESIS = "0" * 64
_NEVER = "the journal is append-only: a record is never changed and never removed"
_CHAIN = "a record of the journal must follow the last one"
_HEAD = "the head of the journal only moves forward"

# BEFORE INSERT also stops what no DELETE trigger sees on SQLite: INSERT OR REPLACE.
_SQLITE = (
    f"CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, '{_NEVER}'); END",
    f"CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, '{_NEVER}'); END",
    "CREATE TRIGGER journal_chain BEFORE INSERT ON journal WHEN "
    "NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM journal) OR NEW.previous IS NOT "
    f"coalesce((SELECT hash FROM journal WHERE seq = NEW.seq - 1), '{_GENESIS}') "
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


_POSTGRESQL = (
    _function("journal_refuse", f"RAISE EXCEPTION '{_NEVER}';"),
    "CREATE TRIGGER journal_no_update BEFORE UPDATE OR DELETE ON journal "
    "FOR EACH ROW EXECUTE FUNCTION journal_refuse()",
    "CREATE TRIGGER journal_no_truncate BEFORE TRUNCATE ON journal "
    "FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse()",
    _function(
        "journal_follow",
        "IF NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM journal) OR NEW.previous <> "
        f"coalesce((SELECT hash FROM journal WHERE seq = NEW.seq - 1), '{_GENESIS}') "
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

TRIGGERS = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}


def upgrade() -> None:
    """Make the journal and its head."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "journal",
        sa.Column("seq", big, primary_key=True, autoincrement=False),
        sa.Column("at_us", big, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, unique=True),
        sa.Column("desk", sa.Text),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.create_index("journal_kind", "journal", ["kind", "seq"])
    op.create_index("journal_desk", "journal", ["desk", "seq"])
    head = op.create_table(
        "journal_head",
        sa.Column("id", sa.SmallInteger, sa.CheckConstraint("id = 1", name="journal_head_single"), primary_key=True),
        sa.Column("records", big, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    for statement in TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)
    op.bulk_insert(head, [{"id": 1, "records": 0, "hash": _GENESIS}])
