"""The tables of the signals desk: signals, their archive, and what happened to each.

The request's columns stand first. Its DECIMALs round, and its `executed` is one bit of five: they are kept for whoever
reads the table, and nothing here ever compares them. Beside them stand the exact values (`*_exact`) and our `status`.
A DECIMAL is a `Decimal` and a moment aware and UTC on reading, on SQLite too, which knows neither type.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import JSON, Boolean, CheckConstraint, Column, Float, Index, String, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

from openbell.core.time import utc
from openbell.store.gate_schema import big, metadata


class Rounded(sa.TypeDecorator[Decimal]):
    """``DECIMAL(precision, scale)``: rounded half to even where it is written, a `Decimal` where it is read."""

    impl = sa.DECIMAL
    cache_ok = True

    def __init__(self, precision: int, scale: int) -> None:
        super().__init__(precision, scale)
        self.precision, self.scale = precision, scale
        self.unit = Decimal(1).scaleb(-scale)

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """SQLite has no decimals; fifteen digits of a double hold the ten of these."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.DECIMAL(self.precision, self.scale, asdecimal=False))
        return dialect.type_descriptor(sa.DECIMAL(self.precision, self.scale))

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Decimal | None:
        """As it is written."""
        return None if value is None else Decimal(str(value)).quantize(self.unit)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Decimal | None:
        """As it is read."""
        return None if value is None else Decimal(str(value)).quantize(self.unit)


class Moment(sa.TypeDecorator[dt.datetime]):
    """``TIMESTAMPTZ``; on SQLite UTC as text of one length, which sorts in time."""

    impl = sa.TIMESTAMP(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> dt.datetime | None:
        """As it is written."""
        if value is None:
            return None
        return utc(value).replace(tzinfo=None) if dialect.name == "sqlite" else utc(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> dt.datetime | None:
        """As it is read."""
        if value is None:
            return None
        found: dt.datetime = value
        return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)


_json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def _requested() -> list[Column[Any]]:
    """The columns of the request, by its names and types."""
    return [
        Column("id", big, primary_key=True),
        Column("symbol", String(10), nullable=False),
        Column("signal_type", String(10), nullable=False),
        Column("confidence", Rounded(3, 2), nullable=False),
        Column("target_price", Rounded(10, 4)),
        Column("stop_loss", Rounded(10, 4)),
        Column("position_size", Rounded(10, 4)),
        Column("reasoning", Text, nullable=False),
        Column("model_version", String(50), nullable=False),
        Column("features", _json, nullable=False),
        Column("created_at", Moment, nullable=False, server_default=sa.text("CURRENT_TIMESTAMP")),
        Column("expires_at", Moment, nullable=False),
        Column("executed", Boolean, nullable=False, server_default=sa.false()),
        Column("performance", Rounded(5, 2)),
    ]


def _ours() -> list[Column[Any]]:
    """What a signal is beside that, exactly; what became of it; and its outcome, null until it is known."""
    return [
        Column("key", String(64), nullable=False),
        Column("status", String(10), nullable=False, server_default="ACTIVE"),
        Column("confidence_exact", Float(53), nullable=False),
        *(Column(f"{name}_exact", Float(53)) for name in ("target_price", "stop_loss", "position_size")),
        *(Column(name, Float(53), nullable=False) for name in ("p_sell", "p_hold", "p_buy", "price")),
        Column("sigma", Float(53)),
        Column("horizon_seconds", Float(53)),
        Column("regime", Text),
        Column("missing", _json, nullable=False),
        Column("made_of", _json, nullable=False),
        Column("acted_at", Moment),
        Column("acted_by", Text),
        Column("acted_word", Text),
        Column("why", Text),
        Column("superseded_at", Moment),
        Column("outcome", String(10)),
        Column("entry_price", Float(53)),
        Column("exit_price", Float(53)),
        Column("exit_at", Moment),
        Column("exit_reason", String(10)),
        Column("return_fraction", Float(53)),
        Column("max_favourable", Float(53)),
        Column("max_adverse", Float(53)),
        Column("seconds_to_target", Float(53)),
        Column("hit", Boolean),
        Column("outcome_known_at", Moment),
    ]


#: What the database itself refuses, by the name of the constraint.
RULES = {
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


def _constraints(table: str) -> list[Any]:
    checks = [CheckConstraint(rule, name=f"{table}_{name}") for name, rule in RULES.items()]
    once = UniqueConstraint("symbol", "model_version", "created_at", name=f"{table}_once")
    return [*checks, once, UniqueConstraint("key", name=f"{table}_key")]


#: Signals that live, and those that ended not long ago. `acted_at` is when it left ACTIVE; of one that expired, when it
#: did. `superseded_at` is the moment of the younger one of the two signals it was decided between.
trading_signals = Table(
    "trading_signals",
    metadata,
    *_requested(),
    *_ours(),
    *_constraints("trading_signals"),
    Index(
        "idx_signals_active",
        "expires_at",
        sqlite_where=sa.text("NOT executed"),
        postgresql_where=sa.text("NOT executed"),
    ),
    Index(
        "signals_standing",
        "symbol",
        "expires_at",
        sqlite_where=sa.text("status = 'ACTIVE'"),
        postgresql_where=sa.text("status = 'ACTIVE'"),
    ),
    Index("signals_superseded", "symbol", "superseded_at"),
    Index("signals_time", "created_at", "id"),
    sqlite_autoincrement=True,  # an id that went to the archive is never given again
)

#: Signals that ended, of the same columns, for good.
signals_archive = Table(
    "signals_archive",
    metadata,
    *_requested(),
    *_ours(),
    *_constraints("signals_archive"),
    Index("signals_archive_time", "created_at", "id"),
)

Index("idx_signals_symbol_time", trading_signals.c.symbol, trading_signals.c.created_at.desc())
Index("signals_archive_symbol_time", signals_archive.c.symbol, signals_archive.c.created_at.desc())

#: Every step of every signal's life, with the other signal where two met and both sides' exact confidence. Append-only.
signal_events = Table(
    "signal_events",
    metadata,
    Column("id", big, primary_key=True),
    Column("signal_id", big, nullable=False),
    Column("at", Moment, nullable=False),
    Column("what", String(10), nullable=False),
    Column("from_status", String(10)),
    Column("to_status", String(10), nullable=False),
    Column("acted_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("other_id", big),
    Column("confidence", Float(53), nullable=False),
    Column("other_confidence", Float(53)),
    Index("signal_events_of", "signal_id", "id"),
    Index("signal_events_time", "at"),
)

_ENDED = "a signal that ended never changes its status again"
_KEPT = "a signal leaves the table only by way of the archive"
_AUDIT = "what happened to signals is append-only: it is never changed and never removed"

SQLITE = (
    "CREATE TRIGGER signals_ended BEFORE UPDATE OF status ON trading_signals "
    "WHEN OLD.status <> 'ACTIVE' AND NEW.status <> OLD.status "
    f"BEGIN SELECT RAISE(ABORT, '{_ENDED}'); END",
    "CREATE TRIGGER signals_kept BEFORE DELETE ON trading_signals "
    "WHEN NOT EXISTS (SELECT 1 FROM signals_archive WHERE id = OLD.id AND key = OLD.key) "
    f"BEGIN SELECT RAISE(ABORT, '{_KEPT}'); END",
    f"CREATE TRIGGER signal_events_no_update BEFORE UPDATE ON signal_events BEGIN SELECT RAISE(ABORT, '{_AUDIT}'); END",
    f"CREATE TRIGGER signal_events_no_delete BEFORE DELETE ON signal_events BEGIN SELECT RAISE(ABORT, '{_AUDIT}'); END",
)

POSTGRESQL = (
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
)
