"""What a position is likely to bring at expiry: under a density of prices, exactly, and under what happened before.

A profit profile is a line between its kinks, so its expectation needs only the distribution function and the partial
expectation of the underlying at the kinks, and nothing is simulated. `touch` has the odds before expiry.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.distributions import Distribution, Lognormal
from openbell.quant.empirical import Empirical
from openbell.quant.payoffs import Profile
from openbell.quant.touch import Touch, probability_of_touch

__all__ = [
    "Distribution",
    "Empirical",
    "Lognormal",
    "Odds",
    "Touch",
    "expected_value",
    "odds",
    "probability_of_profit",
    "probability_of_touch",
]


@dataclass(frozen=True, slots=True)
class Odds:
    """Odds of a position at its (near) expiry under one distribution.

    Attributes
    ----------
    probability_of_profit : that the profit is above 0. expected_value : points per unit, discounted.
    probability_of_max_loss, probability_of_max_profit : of a price where the profit is its smallest or largest on a
        whole stretch, as in the wings of a condor; 0 where it is reached in a single price or has no bound.
    low, high : interval of the probability of profit at `level`, and of the expected value; None under a density,
        which has no sampling error, and where the sample is too small.
    n : observations, None under a density. effective_n : of them that do not overlap.
    """

    probability_of_profit: float
    expected_value: float
    probability_of_max_profit: float
    probability_of_max_loss: float
    probability_interval: tuple[float, float] | None = None
    value_interval: tuple[float, float] | None = None
    n: int | None = None
    effective_n: float | None = None
    level: float | None = None


def probability_of_profit(profile: Profile, distribution: Distribution | Empirical) -> float:
    """Probability that the profit at expiry is above 0; a profit of exactly 0 is none.

    Under a density the sum of the probabilities between the breakevens where the profit is positive; under a sample the
    share of it with a profit.
    """
    if isinstance(distribution, Empirical):
        return float(np.mean(profile.profit(distribution.prices) > 0))
    ends = np.unique(np.concatenate([[0.0], profile.breakevens, [np.inf]]))
    inside = np.append(0.5 * (ends[:-2] + ends[1:-1]), 2.0 * max(float(ends[-2]), float(profile.kinks[-1])) + 1.0)
    # A stretch without a breakeven inside has one sign, but for where the profit is 0 throughout.
    wins = profile.profit(inside) > 16.0 * np.finfo(np.float64).eps * np.abs(profile.values).max()
    return _within(ends[:-1][wins], ends[1:][wins], distribution)


def expected_value(profile: Profile, distribution: Distribution | Empirical, discount: float = 1.0) -> float:
    """Expected profit, points per unit: `discount` times the expected payoff, less the premium.

    Exact: ``E[profit] = v(0) + sum over the kinks of (change of slope) E[(S - kink)^+]``, and the mean of the sample
    under a sample. `discount` carries points at expiry to the moment the premium is paid.
    """
    if not discount > 0:
        raise BadInput(f"A discount must be above 0; was {discount}.")
    if isinstance(distribution, Empirical):
        mean = float(np.mean(profile.profit(distribution.prices)))
    else:
        mean = _mean_profit(profile, distribution)
    return discount * (mean + profile.premium) - profile.premium


def odds(
    profile: Profile, distribution: Distribution | Empirical, discount: float = 1.0, *, level: float = 0.95
) -> Odds:
    """Everything `Odds` holds, under a density or under what happened before.

    Parameters
    ----------
    profile : at the (near) expiry. discount : from that expiry to the moment the premium is paid.
    level : of the intervals under a sample: Wilson's for the probability and Student's for the value, both with
        `Empirical.effective_n` observations, for windows that overlap repeat each other.
    """
    chance, value = probability_of_profit(profile, distribution), expected_value(profile, distribution, discount)
    best = _probability_at(profile, distribution, profile.max_profit)
    worst = _probability_at(profile, distribution, -profile.max_loss)
    if not isinstance(distribution, Empirical):
        return Odds(chance, value, best, worst)
    profit = profile.profit(distribution.prices)
    return Odds(
        chance,
        value,
        best,
        worst,
        distribution.share_interval(chance, level),
        distribution.mean_interval(discount * (profit + profile.premium) - profile.premium, level),
        distribution.n,
        distribution.effective_n,
        level,
    )


def _mean_profit(profile: Profile, distribution: Distribution) -> float:
    kinks = profile.kinks
    steps = np.append(np.diff(profile.values) / np.diff(kinks), profile.slope)
    turns = np.diff(np.concatenate([[0.0], steps]))
    above = distribution.forward - distribution.partial_expectation(kinks) - kinks * (1.0 - distribution.cdf(kinks))
    return float(profile.values[0] + turns @ above)


def _within(low: np.ndarray, high: np.ndarray, distribution: Distribution) -> float:
    """Probability of the intervals from `low` to `high` (0 and inf allowed)."""
    finite = np.where(np.isfinite(high), high, 1.0)
    upper = np.where(np.isfinite(high), distribution.cdf(finite), 1.0)
    return float(np.sum(upper - np.where(low > 0, distribution.cdf(low), 0.0)))


def _probability_at(profile: Profile, distribution: Distribution | Empirical, target: float) -> float:
    """Probability of the stretches on which the profit is `target` throughout."""
    if not math.isfinite(target):
        return 0.0
    room = max(profile.error, 1e-12 * (1.0 + float(profile.kinks[-1])))
    if isinstance(distribution, Empirical):
        level_at = np.abs(profile.profit(distribution.prices) - target) <= room
        return float(np.mean(level_at))
    at = np.abs(profile.values - target) <= room
    after = np.append(at[1:], profile.slope == 0 and at[-1])
    stretch = at & after
    ends = np.append(profile.kinks[1:], np.inf)
    return _within(profile.kinks[stretch], ends[stretch], distribution)
