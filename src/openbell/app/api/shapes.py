"""The shapes of the answers, for the OpenAPI document; answers are written, not validated, so a test compares both."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Verdict = Literal["ACCEPT", "REDUCE", "REFUSE"]


class Shape(BaseModel):
    """Nothing in an answer is undocumented."""

    model_config = ConfigDict(extra="forbid")


class Breakevens(Shape):
    """One breakeven, or the outermost two."""

    breakeven: float | None = None
    breakeven_lower: float | None = None
    breakeven_upper: float | None = None


class Payoff(Shape):
    """USD of the whole order before costs, positive; null where there is no bound."""

    symbol: str
    strategy: str
    risk: float | None
    reward: float | None
    risk_unlimited: bool
    reward_unlimited: bool
    risk_reward_ratio: float | None
    breakevens: Breakevens
    breakeven_points: list[float]
    quantity: int
    flags: list[str]


class Prediction(Shape):
    """The gate's word; `verdict` REFUSE and `quantity` 0 say not to trade."""

    timestamp: dt.datetime
    prediction_id: str
    trade_id: str | None
    symbol: str
    strategy: str
    verdict: Verdict
    quantity: int
    requested_quantity: int
    prediction: Literal["WIN", "LOSS"] | None
    win_probability: float | None
    threshold: float | None
    fair_probability: float | None
    price_probability: float | None
    expected_value: float | None
    risk: float | None
    reward: float | None
    risk_unlimited: bool
    reward_unlimited: bool
    risk_reward_ratio: float | None
    breakevens: Breakevens
    breakeven_points: list[float]
    model_level: str | None
    level_weights: dict[str, float]
    effective_n: float | None
    model_version: str | None
    proven: bool
    arm: str | None
    n_features: int
    null_features: list[str]
    features_hash: str | None
    data_source: str | None
    data_age_seconds: float | None
    from_cache: bool
    flags: list[str]
    why: list[str]


class BatchMetrics(Shape):
    """How many of the batch came out of the caches."""

    feature_hits: int
    feature_misses: int
    prediction_hits: int
    prediction_misses: int


class BatchPrediction(Shape):
    """One answer for each request, in order."""

    predictions: list[Prediction]
    batch_metrics: BatchMetrics


class Market(Shape):
    """The market of a symbol; `volatility` is of the next 30 days, per year, a fraction."""

    symbol: str
    price: float
    volatility: float | None
    source: str
    timestamp: dt.datetime
    data_age_seconds: float


class Leg(Shape):
    """One leg of one unit; `ratio` is signed, above 0 long."""

    ratio: int
    right: Literal["CALL", "PUT"]
    strike: float
    expiry: dt.date | None


class ParsedTrade(Shape):
    """An order in the text (S1.19); `not_computed` says why it has no risk and reward."""

    symbol: str
    strategy: str
    action: str
    quantity: int
    strikes: list[float]
    option_type: str
    premium: float | None
    expiry: dt.date | None
    multiplier: float
    legs: list[Leg]
    risk: float | None
    reward: float | None
    risk_unlimited: bool
    reward_unlimited: bool
    risk_reward_ratio: float | None
    breakevens: Breakevens
    breakeven_points: list[float]
    not_computed: str | None
    short_term: float | None
    long_term: float | None
    flags: list[str]
    status: str
    order_type: str


class Said(Shape):
    """What the text says of the underlying beside its orders."""

    symbol: str | None
    days_to_expiry: int | None
    price: float | None
    predicted_close: float | None
    short_term: float | None
    long_term: float | None
    target1: float | None
    target2: float | None
    scale: Literal["LEVEL", "SCORE"] | None


class Refused(Shape):
    """Text that is no order, or one that contradicts itself: where, and why."""

    text: str
    position: int
    why: str


class Parsed(Shape):
    """Everything read out of a text, in its order."""

    dialect: str
    trades: list[ParsedTrade]
    refusals: list[Refused]
    said: Said


class Joined(Shape):
    """How many predictions have this outcome now that had none."""

    joined: int


class HistoryRow(Shape):
    """A logged prediction, and its outcome where it is known."""

    prediction_id: str
    timestamp: dt.datetime
    trade_id: str | None
    symbol: str
    strategy: str
    verdict: Verdict
    quantity: int
    win_probability: float | None
    price_probability: float | None
    threshold: float | None
    risk: float | None
    reward: float | None
    expected_value: float | None
    model_level: str | None
    model_version: str | None
    experiment: str | None
    arm: str | None
    data_source: str | None
    data_age_seconds: float | None
    features_hash: str | None
    latency_ms: float | None
    win: bool | None
    profit: float | None
    outcome_known_at: dt.datetime | None


class History(Shape):
    """A page of the log, newest first; `cursor` goes on, null after the last."""

    predictions: list[HistoryRow]
    cursor: str | None


class TrendDay(Shape):
    """A day of the log; `calibration` is mean probability less win rate."""

    day: dt.date
    n: int
    mean_probability: float | None
    judged: int
    win_rate: float | None
    brier: float | None
    calibration: float | None
    profit_usd: float | None


class Trends(Shape):
    """Days, oldest first, and the accuracy of each symbol and strategy where there are enough outcomes."""

    days: list[TrendDay]
    accuracy: list[dict[str, float | int | str | None]]


class Models(Shape):
    """What answers: models by name with their versions, and what the answers are made of."""

    models: list[dict[str, object]]
    made_of: str


class Health(Shape):
    """It is alive."""

    status: Literal["ok"]


class Ready(Shape):
    """It can answer; `checks` names what cannot."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str]


class Detailed(Shape):
    """How each part is."""

    status: Literal["ok", "degraded"]
    checks: dict[str, str]
    parts: dict[str, str]
    sources: dict[str, str]
    cache: dict[str, object]
    rate_limits: str
    log: dict[str, int]
    workers: int
    uptime_seconds: float = Field(ge=0)
    version: str
