"""What the gate is asked, and what it answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from openbell.core.errors import BadInput
from openbell.core.ticket import MarketState, Prophecy, Ticket
from openbell.core.time import utc


class Answer(StrEnum):
    """Take it, take less of it, or leave it."""

    ACCEPT = "ACCEPT"
    REDUCE = "REDUCE"
    REFUSE = "REFUSE"


@dataclass(frozen=True, slots=True)
class Asked:
    """One proposed trade with what was said beside it and the market at that moment.

    `trade_id` is the caller's own name of the trade; the same trade is answered by the same arm. `arm` is the arm that
    answers, None where there is no A/B test.
    """

    ticket: Ticket
    at: dt.datetime
    market: MarketState | None = None
    prophecy: Prophecy = Prophecy()
    trade_id: str | None = None
    arm: str | None = None

    def __post_init__(self) -> None:
        utc(self.at)
        if self.market is not None and self.market.observed_at > self.at:
            raise BadInput(
                f"The market was seen at {self.market.observed_at.isoformat()}, after the question "
                f"({self.at.isoformat()}). A question is answered with what was known when it was asked."
            )


@dataclass(frozen=True, slots=True)
class Assessment:
    """The gate's word on one proposed trade.

    Attributes
    ----------
    risk_usd, reward_usd : most that the whole order can lose and make before costs, both positive; None where they
        have no bound. ratio : reward over risk. breakevens : of the underlying at expiry, rising.
    fair_probability : of a win at which a bet of `risk` against `reward` is fair after costs. price_probability : of a
        win after costs under the density that the price implies. win_probability : the model's, calibrated; None where
        no model speaks.
    model_level : the level of the hierarchy that speaks; level_weights : of each level, summing to 1.
    effective_n : trades behind the answer, corrected for those that shared a day. threshold : that `win_probability`
        must reach.
    expected_value_usd : of the whole order after costs, with the odds of the model where it speaks, else of the price;
        None where neither is known. quantity : units that are allowed: all, fewer, or 0.
    """

    symbol: str
    strategy: str
    at: dt.datetime
    answer: Answer
    quantity: int
    why: tuple[str, ...]
    risk_usd: float | None
    reward_usd: float | None
    ratio: float | None
    breakevens: tuple[float, ...]
    fair_probability: float | None = None
    price_probability: float | None = None
    win_probability: float | None = None
    model_level: str | None = None
    level_weights: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    effective_n: float | None = None
    model_version: str | None = None
    threshold: float | None = None
    expected_value_usd: float | None = None
    features: Mapping[str, float | None] = field(default_factory=lambda: MappingProxyType({}))
    features_hash: str | None = None
    data_source: str | None = None
    data_age_seconds: float | None = None
    trade_id: str | None = None
    arm: str | None = None
    proven: bool = False

    @property
    def n_features(self) -> int:
        """Features the model was given."""
        return len(self.features)

    @property
    def null_features(self) -> tuple[str, ...]:
        """Names of those that were missing."""
        return tuple(name for name, value in self.features.items() if value is None)
