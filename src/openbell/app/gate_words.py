"""The gate's answer for a program and for a reader."""

from __future__ import annotations

from typing import Any

import polars as pl

from openbell.app.outputs import finite
from openbell.core.assessment import Assessment


def as_json(said: Assessment) -> dict[str, Any]:
    """Every field of `said`, with None where it is not known or has no bound."""
    return finite(
        {
            "timestamp": said.at.isoformat(),
            "trade_id": said.trade_id,
            "symbol": said.symbol,
            "strategy": said.strategy,
            "verdict": said.answer.value,
            "quantity": said.quantity,
            "risk": said.risk_usd,
            "reward": said.reward_usd,
            "risk_reward_ratio": said.ratio,
            "breakevens": list(said.breakevens),
            "fair_probability": said.fair_probability,
            "price_probability": said.price_probability,
            "win_probability": said.win_probability,
            "threshold": said.threshold,
            "expected_value": said.expected_value_usd,
            "model_level": said.model_level,
            "level_weights": dict(said.level_weights),
            "effective_n": said.effective_n,
            "model_version": said.model_version,
            "proven": said.proven,
            "arm": said.arm,
            "n_features": said.n_features,
            "null_features": list(said.null_features),
            "features_hash": said.features_hash,
            "data_source": said.data_source,
            "data_age_seconds": said.data_age_seconds,
            "why": list(said.why),
        }
    )


def table_of(said: Assessment) -> pl.DataFrame:
    """What it is and what its odds are, a line each."""
    lines = [
        ("most it can lose", _usd(said.risk_usd)),
        ("most it can make", _usd(said.reward_usd)),
        ("reward over risk", "" if said.ratio is None else f"{said.ratio:.4f}"),
        ("breakevens", ", ".join(f"{each:,.2f}" for each in said.breakevens) or "none"),
        ("odds at which it is fair", _share(said.fair_probability)),
        ("odds its price implies", _share(said.price_probability)),
        ("odds of the model", _share(said.win_probability)),
        ("threshold", _share(said.threshold)),
        ("level that speaks", said.model_level or "none"),
        ("effective trades behind it", "none" if said.effective_n is None else f"{said.effective_n:,.0f}"),
        ("expected after costs", "not known" if said.expected_value_usd is None else _usd(said.expected_value_usd)),
        ("market data", _source(said)),
    ]
    return pl.DataFrame(lines, schema=["what", "is"], orient="row")


def _usd(value: float | None) -> str:
    return "no bound" if value is None else f"{value:,.2f} USD"


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"


def _source(said: Assessment) -> str:
    if said.data_source is None:
        return "none"
    return f"{said.data_source}, {said.data_age_seconds or 0:,.0f} s old"
