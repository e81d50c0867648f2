"""The ledger of trials and of the error spent on them, with the triggers that refuse to rewrite either."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Written out, not imported: a step that was released stays as it was when `schema` moves on.
_COUNTED = "the ledger of trials is append-only: what was tried or spent is never changed and never removed"
_ONCE = "what is added to the ledger of trials must be new and follow the last one"
_LEDGER = {"trials": ("desk", "kind", "fingerprint", "data"), "alpha_spent": ("desk", "plan")}


def _function(name: str, body: str) -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN {body} END $body$"


def _sqlite(table: str, once: tuple[str, ...]) -> tuple[str, ...]:
    same = " AND ".join(f"{column} = NEW.{column}" for column in once)
    return (
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{_COUNTED}'); END",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, '{_COUNTED}'); END",
        f"CREATE TRIGGER {table}_new BEFORE INSERT ON {table} WHEN "
        f"NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM {table}) "
        f"OR EXISTS (SELECT 1 FROM {table} WHERE {same}) BEGIN SELECT RAISE(ABORT, '{_ONCE}'); END",
    )


def _postgresql(table: str) -> tuple[str, ...]:
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


TRIGGERS = {
    "sqlite": tuple(each for table, once in _LEDGER.items() for each in _sqlite(table, once)),
    "postgresql": (
        _function("ledger_refuse", f"RAISE EXCEPTION '{_COUNTED}';"),
        *(each for table in _LEDGER for each in _postgresql(table)),
    ),
}


def upgrade() -> None:
    """Make the ledger."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "trials",
        sa.Column("seq", big, primary_key=True, autoincrement=False),
        sa.Column("at_us", big, nullable=False),
        sa.Column("desk", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.UniqueConstraint("desk", "kind", "fingerprint", "data", name="trials_once"),
    )
    op.create_index("trials_fingerprint", "trials", ["fingerprint"])
    op.create_table(
        "alpha_spent",
        sa.Column("seq", big, primary_key=True, autoincrement=False),
        sa.Column("at_us", big, nullable=False),
        sa.Column("desk", sa.Text, nullable=False),
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("alpha", sa.Float(53), nullable=False),
        sa.UniqueConstraint("desk", "plan", name="alpha_spent_once"),
    )
    op.create_index("alpha_spent_year", "alpha_spent", ["desk", "year"])
    for statement in TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)
