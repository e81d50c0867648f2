"""The odds that a trade's own price implies: the probability of a profit after costs under the market's density.

Where the width of the density comes from, the first of these that a row has:

1. *quotes*: the implied deviation of every leg from its mid (Black-76), on the forward that put-call parity gives where
   a strike has both rights (within 2 % of the price, else the quotes are of another moment and are not used), else on
   the price. The deviation is linear in log-moneyness between the strikes and level outside of them, and
   ``P(S < K) = N(-d2) + n(d2) ds/dk``, the digital put with its skew term. Where quotes are so noisy that this falls or
   leaves [0, 1] they give no density, and the next source speaks.
2. *expected move*: the row's own, taken as one standard deviation of the underlying to the expiry in points,
   ``sigma sqrt(T) S``; nothing is calibrated. One lognormal, as in 3 and 4, whose mean is the price.
3. *premium*: the lognormal deviation at which the structure is worth its premium, looked for between volatilities of
   1 % and 300 % per year. Where several solve it, as with a butterfly, the one nearest the market's volatility in
   logarithm; where that is not known the largest, and the row is flagged as ambiguous.
4. *market volatility*: that of the market per year, times the root of the years.

Without any of them there is no probability: null is not a half.

References
----------
Breeden and Litzenberger (1978), Prices of state-contingent claims implicit in option prices, Journal of Business 51,
621-651.
Black (1976), The pricing of commodity contracts, Journal of Financial Economics 3, 167-179.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput

NOTHING, QUOTES, EXPECTED_MOVE, PREMIUM, MARKET_VOLATILITY = range(5)
#: The word of each source of the width; None where there is none.
BASES: tuple[str | None, ...] = (None, "quotes", "expected_move", "premium", "market_volatility")
#: Volatilities per year between which the premium is solved for.
LOWEST_VOLATILITY, HIGHEST_VOLATILITY = 0.01, 3.0
#: A forward by parity that lies farther from the price than this is of another moment.
PARITY_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class PriceOdds:
    """What the price of each of p trades implies; every array (p,) but `leg_deviation` (p, L). NaN where unknown.

    Attributes
    ----------
    probability : of a profit above the costs at expiry. deviation : standard deviation of the log return to expiry, at
        the forward. basis : int8, a place of `BASES`. forward : mean of the underlying, points.
    breakeven_low, breakeven_high : before costs, points; NaN for a side on which the profit has no end, and both where
        there are more than two. wins_between : 1 where the profit lies between the two, 0 where it lies outside.
    ambiguous : another deviation explains the premium as well, and no market volatility told which.
    leg_deviation : implied by the mid of each leg; NaN where it has none.
    mean_win, mean_loss : profit after costs where there is one, and where there is none (0 or below), points per unit;
        0 where the case has no chance. ``probability * mean_win + (1 - probability) * mean_loss`` is the mean profit.
    """

    probability: np.ndarray
    deviation: np.ndarray
    basis: np.ndarray
    forward: np.ndarray
    breakeven_low: np.ndarray
    breakeven_high: np.ndarray
    wins_between: np.ndarray
    ambiguous: np.ndarray
    leg_deviation: np.ndarray
    mean_win: np.ndarray
    mean_loss: np.ndarray


def price_odds(
    right: np.ndarray,
    strike: np.ndarray,
    ratio: np.ndarray,
    premium: np.ndarray,
    cost: np.ndarray,
    price: np.ndarray,
    *,
    mid: np.ndarray | None = None,
    expected_move: np.ndarray | None = None,
    years: np.ndarray | None = None,
    market_volatility: np.ndarray | None = None,
) -> PriceOdds:
    """Probability of a profit after costs that each trade's price implies; all legs of a trade expire together.

    Parameters
    ----------
    right, strike, ratio : (p, L), +1 call, -1 put; entries with `ratio` 0 are padding and ignored.
    premium : (p,) points paid per unit, below 0 for a credit. cost : (p,) points per unit that a profit must exceed.
    price : (p,) of the underlying. mid : (p, L) of each leg, points. expected_move : (p,) points.
    years : (p,) to expiry. market_volatility : (p,) per year, a fraction.
        NaN is missing in each of them, and leaving an optional one out is missing everywhere.

    Raises
    ------
    BadInput
        On shapes that do not fit together.
    """
    from openbell.quant.price_odds_kernel import fill_price_odds

    right, strike, ratio = (np.ascontiguousarray(each, dtype=np.float64) for each in (right, strike, ratio))
    p = len(ratio)
    quoted = np.full(ratio.shape, np.nan) if mid is None else np.ascontiguousarray(mid, dtype=np.float64)
    if ratio.ndim != 2 or len({right.shape, strike.shape, ratio.shape, quoted.shape}) != 1:
        raise BadInput(
            "`right`, `strike`, `ratio` and `mid` must have one shape (trades, legs); they had "
            f"{right.shape}, {strike.shape}, {ratio.shape} and {quoted.shape}."
        )
    numbers = np.full((6, p), np.nan)
    for place, each in enumerate((premium, cost, price, expected_move, years, market_volatility)):
        if each is not None:
            if np.shape(each) != (p,):
                raise BadInput(f"Every number of a trade must have the shape ({p},); one had {np.shape(each)}.")
            numbers[place] = each
    out, legs = np.empty((8, p)), np.empty(ratio.shape)
    basis, ambiguous = np.empty(p, dtype=np.int8), np.empty(p, dtype=np.bool_)
    fill_price_odds(right, strike, ratio, quoted, numbers, out, basis, ambiguous, legs)
    return PriceOdds(out[0], out[1], basis, out[2], out[3], out[4], out[5], ambiguous, legs, out[6], out[7])
