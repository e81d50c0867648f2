"""What the gate is asked, and what it answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from openbell.core.errors import BadInput
from openbell.core.ticket import SILENCE, MarketState, Prophecy, Ticket
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
    prophecy: Prophecy = SILENCE
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
class Payoff:
    """What one unit can make and lose at expiry, USD before costs; None where it has no bound.

    `cost_usd` is what one unit pays in commissions. breakevens : of the underlying, rising.
    """

    max_loss_usd: float | None
    max_profit_usd: float | None
    breakevens: tuple[float, ...]
    cost_usd: float

    @property
    def ratio(self) -> float | None:
        """Reward over risk; None where either has no bound, or nothing is at risk."""
        if self.max_loss_usd is None or self.max_profit_usd is None or not self.max_loss_usd > 0:
            return None
        return self.max_profit_usd / self.max_loss_usd


@dataclass(frozen=True, slots=True)
class PriceOdds:
    """What the price of a trade says about it; USD of one unit after costs, None where the price says nothing.

    Attributes
    ----------
    fair_probability : of a win at which a bet of the maximum loss against the maximum profit is fair.
    probability : of a win, under the density that the price implies. win_usd, loss_usd : mean result of a win and of a
        loss under it, the loss negative. basis : what gave the density its width.
    """

    fair_probability: float | None = None
    probability: float | None = None
    win_usd: float | None = None
    loss_usd: float | None = None
    basis: str | None = None

    def expected_usd(self, probability: float | None) -> float | None:
        """Expected result of one unit where a win has `probability`, and how far it goes is as the price says."""
        if probability is None or self.win_usd is None or self.loss_usd is None:
            return None
        return probability * self.win_usd + (1.0 - probability) * self.loss_usd


#: A price that says nothing.
NO_ODDS = PriceOdds()


@dataclass(frozen=True, slots=True)
class Word:
    """What a trained model says of one trade; see `Assessment` for the names.

    `proven` says whether the walk-forward of this version knew more than the price, adjusted for the number of tries.
    """

    probability: float
    level: str
    level_weights: Mapping[str, float]
    effective_n: float
    threshold: float
    version: str
    proven: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """A proposed trade with everything that is known of its odds: what the gate's desk decides on.

    `word` is None where no model speaks, and `silent` says why. `contracts` names each leg with its signed number per
    unit. `market_age_seconds` is what the market has moved on since it was seen: it stands still while the exchange is
    closed; None without a market. `last_moment` is the end of the first leg. `notes` are sentences on what was resolved
    or left out.
    """

    asked: Asked
    strategy: str
    session: dt.date
    payoff: Payoff
    odds: PriceOdds
    word: Word | None
    contracts: Mapping[str, int]
    features: Mapping[str, float | None] = field(default_factory=lambda: MappingProxyType({}))
    silent: str | None = None
    notes: tuple[str, ...] = ()
    last_moment: dt.datetime | None = None
    market_age_seconds: float | None = None


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
