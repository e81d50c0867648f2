"""The tables of the signals desk: signals, their archive and what happened to each, with what the database refuses."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Written out, not imported: a step that was released stays as it was when `signal_schema` moves on.
_ENDED = "a signal that ended never changes its status again"
_KEPT = "a signal leaves the table only by way of the archive"
_AUDIT = "what happened to signals is append-only: it is never changed and never removed"

TRIGGERS = {
    "sqlite": (
        "CREATE TRIGGER signals_ended BEFORE UPDATE OF status ON trading_signals "
        "WHEN OLD.status <> 'ACTIVE' AND NEW.status <> OLD.status "
        f"BEGIN SELECT RAISE(ABORT, '{_ENDED}'); END",
        "CREATE TRIGGER signals_kept BEFORE DELETE ON trading_signals "
        "WHEN NOT EXISTS (SELECT 1 FROM signals_archive WHERE id = OLD.id AND key = OLD.key) "
        f"BEGIN SELECT RAISE(ABORT, '{_KEPT}'); END",
        "CREATE TRIGGER signal_events_no_update BEFORE UPDATE ON signal_events "
        f"BEGIN SELECT RAISE(ABORT, '{_AUDIT}'); END",
        "CREATE TRIGGER signal_events_no_delete BEFORE DELETE ON signal_events "
        f"BEGIN SELECT RAISE(ABORT, '{_AUDIT}'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION signals_refuse() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN "
        "IF TG_TABLE_NAME = 'signal_events' THEN "
        f"RAISE EXCEPTION '{_AUDIT}'; "
        "ELSIF TG_OP = 'UPDATE' THEN "
        f"RAISE EXCEPTION '{_ENDED}'; "
        "ELSIF NOT EXISTS (SELECT 1 FROM signals_archive WHERE id = OLD.id AND key = OLD.key) THEN "
        f"RAISE EXCEPTION '{_KEPT}'; "
        "END IF; RETURN OLD; END $body$",
        "CREATE TRIGGER signals_ended BEFORE UPDATE OF status ON trading_signals FOR EACH ROW "
        "WHEN (OLD.status <> 'ACTIVE' AND NEW.status <> OLD.status) EXECUTE FUNCTION signals_refuse()",
        "CREATE TRIGGER signals_kept BEFORE DELETE ON trading_signals FOR EACH ROW EXECUTE FUNCTION signals_refuse()",
        "CREATE TRIGGER signal_events_no_update BEFORE UPDATE OR DELETE ON signal_events "
        "FOR EACH ROW EXECUTE FUNCTION signals_refuse()",
        "CREATE TRIGGER signal_events_no_truncate BEFORE TRUNCATE ON signal_events "
        "FOR EACH STATEMENT EXECUTE FUNCTION signals_refuse()",
    ),
}


def upgrade() -> None:
    """Make the tables of the signals desk."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table("trading_signals", *_columns(big), *_constraints("trading_signals"), sqlite_autoincrement=True)
    op.create_index("idx_signals_symbol_time", "trading_signals", ["symbol", sa.text("created_at DESC")])
    _partial("idx_signals_active", ["expires_at"], "NOT executed")
    _partial("signals_standing", ["symbol", "expires_at"], "status = 'ACTIVE'")
    op.create_index("signals_superseded", "trading_signals", ["symbol", "superseded_at"])
    op.create_index("signals_time", "trading_signals", ["created_at", "id"])
    op.create_table("signals_archive", *_columns(big), *_constraints("signals_archive"))
    op.create_index("signals_archive_symbol_time", "signals_archive", ["symbol", sa.text("created_at DESC")])
    op.create_index("signals_archive_time", "signals_archive", ["created_at", "id"])
    _events(big)
    for statement in TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """Remove the signals, their archive and their audit; everything else stays as it is."""
    for table in ("signal_events", "trading_signals", "signals_archive"):  # each takes its triggers along
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION signals_refuse()")


def _partial(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "trading_signals", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _constraints(table: str) -> list[Any]:
    rules = {
        "symbol": "length(symbol) BETWEEN 1 AND 10",
        "model": "length(model_version) BETWEEN 1 AND 50",
        "type": "signal_type IN ('SELL', 'HOLD', 'BUY')",
        "confidence": "confidence BETWEEN 0 AND 1 AND confidence_exact BETWEEN 0 AND 1",
        "life": "expires_at > created_at",
        "status": "status IN ('ACTIVE', 'EXECUTED', 'EXPIRED', 'SUPERSEDED', 'CANCELLED')",
        "executed": "executed = (status = 'EXECUTED')",
        "size": "position_size_exact >= 0",
        "outcome": "outcome IN ('SELL', 'HOLD', 'BUY')",
    }
    checks = [sa.CheckConstraint(rule, name=f"{table}_{name}") for name, rule in rules.items()]
    once = sa.UniqueConstraint("symbol", "model_version", "created_at", name=f"{table}_once")
    return [*checks, once, sa.UniqueConstraint("key", name=f"{table}_key")]


def _columns(big: sa.types.TypeEngine[Any]) -> list[Any]:
    json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    moment, double = sa.TIMESTAMP(timezone=True), sa.Float(53)
    return [
        sa.Column("id", big, primary_key=True),
        sa.Column("symbol", sa.String(10), nullable=False),
        sa.Column("signal_type", sa.String(10), nullable=False),
        sa.Column("confidence", sa.DECIMAL(3, 2), nullable=False),
        sa.Column("target_price", sa.DECIMAL(10, 4)),
        sa.Column("stop_loss", sa.DECIMAL(10, 4)),
        sa.Column("position_size", sa.DECIMAL(10, 4)),
        sa.Column("reasoning", sa.Text, nullable=False),
        sa.Column("model_version", sa.String(50), nullable=False),
        sa.Column("features", json, nullable=False),
        sa.Column("created_at", moment, nullable=False, server_default=sa.text("CURRENT_TIMESTAMP")),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("executed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("performance", sa.DECIMAL(5, 2)),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("status", sa.String(10), nullable=False, server_default="ACTIVE"),
        sa.Column("confidence_exact", double, nullable=False),
        sa.Column("target_price_exact", double),
        sa.Column("stop_loss_exact", double),
        sa.Column("position_size_exact", double),
        sa.Column("p_sell", double, nullable=False),
        sa.Column("p_hold", double, nullable=False),
        sa.Column("p_buy", double, nullable=False),
        sa.Column("price", double, nullable=False),
        sa.Column("sigma", double),
        sa.Column("horizon_seconds", double),
        sa.Column("regime", sa.Text),
        sa.Column("missing", json, nullable=False),
        sa.Column("made_of", json, nullable=False),
        sa.Column("acted_at", moment),
        sa.Column("acted_by", sa.Text),
        sa.Column("acted_word", sa.Text),
        sa.Column("why", sa.Text),
        sa.Column("superseded_at", moment),
        sa.Column("outcome", sa.String(10)),
        sa.Column("entry_price", double),
        sa.Column("exit_price", double),
        sa.Column("exit_at", moment),
        sa.Column("exit_reason", sa.String(10)),
        sa.Column("return_fraction", double),
        sa.Column("max_favourable", double),
        sa.Column("max_adverse", double),
        sa.Column("seconds_to_target", double),
        sa.Column("hit", sa.Boolean),
        sa.Column("outcome_known_at", moment),
    ]


def _events(big: sa.types.TypeEngine[Any]) -> None:
    op.create_table(
        "signal_events",
        sa.Column("id", big, primary_key=True),
        sa.Column("signal_id", big, nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("what", sa.String(10), nullable=False),
        sa.Column("from_status", sa.String(10)),
        sa.Column("to_status", sa.String(10), nullable=False),
        sa.Column("acted_by", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("other_id", big),
        sa.Column("confidence", sa.Float(53), nullable=False),
        sa.Column("other_confidence", sa.Float(53)),
    )
    op.create_index("signal_events_of", "signal_events", ["signal_id", "id"])
    op.create_index("signal_events_time", "signal_events", ["at"])
