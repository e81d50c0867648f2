"""What the service answers: plain values that become JSON, with the names of S1.21 to S1.23."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openbell.app.gate_words import as_json
from openbell.core.assessment import Assessment
from openbell.core.ticket import MarketState, Ticket
from openbell.core.trade_rows import SHEET_STRATEGIES
from openbell.quant.ticket_profile import RiskReward
from openbell.store.prediction_rows import Logged, Prediction

_SHEET = {word: name for name, word in SHEET_STRATEGIES.items()}


def breakevens(points: Sequence[float]) -> dict[str, float]:
    """``breakeven`` where there is one, ``breakeven_lower`` and ``breakeven_upper`` of the outermost where more."""
    if len(points) == 1:
        return {"breakeven": points[0]}
    return {"breakeven_lower": points[0], "breakeven_upper": points[-1]} if points else {}


def strategy_word(strategy: str) -> str:
    """A ticket's strategy as the sheets call it."""
    return _SHEET.get(strategy, strategy.title())


def risk_answer(ticket: Ticket, found: RiskReward) -> dict[str, Any]:
    """The answer of ``/calculate_risk_reward``; `risk` and `reward` are positive USD of the whole order."""
    return {
        "symbol": ticket.underlying,
        "strategy": strategy_word(ticket.strategy),
        "risk": found.risk_usd,
        "reward": found.reward_usd,
        "risk_unlimited": found.risk_unlimited,
        "reward_unlimited": found.reward_unlimited,
        "risk_reward_ratio": found.ratio,
        "breakevens": breakevens(found.breakevens),
        "breakeven_points": list(found.breakevens),
        "quantity": ticket.quantity,
        "flags": list(ticket.flags),
    }


def prediction_answer(
    said: Assessment, ticket: Ticket, found: RiskReward, *, prediction_id: str, from_cache: bool, why: Sequence[str]
) -> dict[str, Any]:
    """The answer of ``/predict``: `why` are sentences of the service, before the gate's own."""
    told = as_json(said)
    return told | {
        "prediction_id": prediction_id,
        "strategy": strategy_word(ticket.strategy),
        "prediction": outcome_word(said),
        "requested_quantity": ticket.quantity,
        "risk_unlimited": found.risk_unlimited,
        "reward_unlimited": found.reward_unlimited,
        "breakevens": breakevens(said.breakevens),
        "breakeven_points": list(said.breakevens),
        "flags": list(ticket.flags),
        "from_cache": from_cache,
        "why": [*why, *said.why],
    }


def outcome_word(said: Assessment) -> str | None:
    """WIN where the model's odds reach their threshold, else LOSS; None where no model speaks."""
    if said.win_probability is None:
        return None
    return "WIN" if said.win_probability >= (0.5 if said.threshold is None else said.threshold) else "LOSS"


def market_answer(state: MarketState, age_seconds: float) -> dict[str, Any]:
    """The answer of ``/market/{symbol}``."""
    return {
        "symbol": state.symbol,
        "price": state.price,
        "volatility": state.volatility,
        "source": state.source,
        "timestamp": state.observed_at.isoformat(),
        "data_age_seconds": age_seconds,
    }


def verdict_answer(made: Prediction) -> dict[str, Any]:
    """A verdict as the websocket pushes it and the history lists it."""
    return {
        "prediction_id": made.id,
        "timestamp": made.at.isoformat(),
        "trade_id": made.trade_id,
        "symbol": made.symbol,
        "strategy": made.strategy,
        "verdict": made.answer,
        "quantity": made.quantity,
        "win_probability": made.probability,
        "price_probability": made.price_probability,
        "threshold": made.threshold,
        "risk": made.risk_usd,
        "reward": made.reward_usd,
        "expected_value": made.expected_value_usd,
        "model_level": made.model_level,
        "model_version": made.model_version,
        "experiment": made.experiment,
        "arm": made.arm,
        "data_source": made.data_source,
        "data_age_seconds": made.data_age_seconds,
        "features_hash": made.features_hash,
        "latency_ms": made.latency_ms,
    }


def history_answer(rows: Sequence[Logged], cursor: str | None) -> Mapping[str, Any]:
    """A page of the log, newest first."""
    return {
        "predictions": [
            verdict_answer(each.prediction)
            | {
                "win": each.win,
                "profit": each.profit_usd,
                "outcome_known_at": None if each.outcome_known_at is None else each.outcome_known_at.isoformat(),
            }
            for each in rows
        ],
        "cursor": cursor,
    }
