"""The tables of the gate: predictions with their outcomes, API keys, A/B tests and the arm of each trade."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of the gate."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    _predictions(big, sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql"))
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("predict_per_minute", sa.Integer),
        sa.Column("batch_per_minute", sa.Integer),
        sa.Column("created_at_us", big, nullable=False),
        sa.Column("revoked_at_us", big),
        sa.Column("last_used_at_us", big),
    )
    _experiments(big)


def _predictions(big: sa.types.TypeEngine[Any], json: sa.types.TypeEngine[Any]) -> None:
    op.create_table(
        "predictions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("at_us", big, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("trade_id", sa.Text),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("inputs_hash", sa.Text, nullable=False),
        sa.Column("inputs", json),
        sa.Column("features_hash", sa.Text),
        sa.Column("features", json),
        sa.Column("model_key", sa.Text),
        sa.Column("model_version", sa.Text),
        sa.Column("model_level", sa.Text),
        sa.Column("experiment", sa.Text),
        sa.Column("experiment_version", sa.Integer),
        sa.Column("arm", sa.Text),
        sa.Column("probability", sa.Float(53)),
        sa.Column("price_probability", sa.Float(53)),
        sa.Column("threshold", sa.Float(53)),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("risk_usd", sa.Float(53)),
        sa.Column("reward_usd", sa.Float(53)),
        sa.Column("expected_value_usd", sa.Float(53)),
        sa.Column("quantity", big, nullable=False),
        sa.Column("latency_ms", sa.Float(53)),
        sa.Column("data_source", sa.Text),
        sa.Column("data_age_seconds", sa.Float(53)),
        sa.Column("key_id", sa.Text),
        sa.Column("win", sa.Boolean),
        sa.Column("profit_usd", sa.Float(53)),
        sa.Column("outcome_known_at_us", big),
    )
    op.create_index("predictions_at", "predictions", ["at_us", "id"])
    op.create_index("predictions_pair", "predictions", ["symbol", "strategy", "at_us"])
    op.create_index("predictions_trade", "predictions", ["trade_id"])
    op.create_index("predictions_experiment", "predictions", ["experiment", "experiment_version"])


def _experiments(big: sa.types.TypeEngine[Any]) -> None:
    op.create_table(
        "experiments",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("salt", sa.Text, nullable=False),
        sa.Column("share", sa.Float(53), nullable=False),
        sa.Column("control_model", sa.Text, nullable=False),
        sa.Column("control_version", sa.Text, nullable=False),
        sa.Column("test_model", sa.Text, nullable=False),
        sa.Column("test_version", sa.Text, nullable=False),
        sa.Column("created_at_us", big, nullable=False),
        sa.Column("stopped_at_us", big),
        sa.Column("why_stopped", sa.Text),
        sa.PrimaryKeyConstraint("name", "version", name="experiments_pkey"),
    )
    op.create_table(
        "assignments",
        sa.Column("experiment", sa.Text, nullable=False),
        sa.Column("trade_id", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.Column("at_us", big, nullable=False),
        sa.PrimaryKeyConstraint("experiment", "trade_id", name="assignments_pkey"),
    )
