"""The tables of the gate: predictions and their outcomes, API keys, A/B tests.

They stand in the same `MetaData` and the same line of migrations as the journal's: one `Database` class, one revision
to compare at every opening, and all of it may lie in one PostgreSQL database. The price is some empty tables where the
journal and the predictions are two files of SQLite, as they are by default.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

big = BigInteger().with_variant(Integer(), "sqlite")
_json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

#: One row for each answer the gate gave. `id` makes a retried request one row; the outcome is null until it is known.
predictions = Table(
    "predictions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at_us", big, nullable=False),
    Column("day", Date, nullable=False),
    Column("trade_id", Text),
    Column("symbol", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("inputs_hash", Text, nullable=False),
    Column("inputs", _json),
    Column("features_hash", Text),
    Column("features", _json),
    Column("model_key", Text),
    Column("model_version", Text),
    Column("model_level", Text),
    Column("experiment", Text),
    Column("experiment_version", Integer),
    Column("arm", Text),
    Column("probability", Float(53)),
    Column("price_probability", Float(53)),
    Column("threshold", Float(53)),
    Column("answer", Text, nullable=False),
    Column("risk_usd", Float(53)),
    Column("reward_usd", Float(53)),
    Column("expected_value_usd", Float(53)),
    Column("quantity", big, nullable=False),
    Column("latency_ms", Float(53)),
    Column("data_source", Text),
    Column("data_age_seconds", Float(53)),
    Column("key_id", Text),
    Column("win", Boolean),
    Column("profit_usd", Float(53)),
    Column("outcome_known_at_us", big),
    Index("predictions_at", "at_us", "id"),
    Index("predictions_pair", "symbol", "strategy", "at_us"),
    Index("predictions_trade", "trade_id"),
    Index("predictions_experiment", "experiment", "experiment_version"),
)

#: `hash` is the SHA-256 of the secret part; the secret itself is nowhere. `scopes` are words with blanks between.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("predict_per_minute", Integer),
    Column("batch_per_minute", Integer),
    Column("created_at_us", big, nullable=False),
    Column("revoked_at_us", big),
    Column("last_used_at_us", big),
)

#: One row for each version of an A/B test; a changed definition is a new version.
experiments = Table(
    "experiments",
    metadata,
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("salt", Text, nullable=False),
    Column("share", Float(53), nullable=False),
    Column("control_model", Text, nullable=False),
    Column("control_version", Text, nullable=False),
    Column("test_model", Text, nullable=False),
    Column("test_version", Text, nullable=False),
    Column("created_at_us", big, nullable=False),
    Column("stopped_at_us", big),
    Column("why_stopped", Text),
    PrimaryKeyConstraint("name", "version", name="experiments_pkey"),
)

#: The arm that answered a trade first, for ever.
assignments = Table(
    "assignments",
    metadata,
    Column("experiment", Text, nullable=False),
    Column("trade_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("arm", Text, nullable=False),
    Column("at_us", big, nullable=False),
    PrimaryKeyConstraint("experiment", "trade_id", name="assignments_pkey"),
)
