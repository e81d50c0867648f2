"""How far a price must go to count: the neutral band of a direction and the barriers of a position, by volatility."""

from __future__ import annotations

import math

import polars as pl

from openbell.quant.expressions import fill_price, high, low, open_, ratio
from openbell.quant.indicators import bar_volatility

#: Half-width of the neutral band around a return of 0, in volatilities of the horizon.
BAND = 0.5
#: Distance of profit and stop barriers from the entry, in volatilities of the horizon.
BARRIER = 1.0

#: Entry of a decision: the open of the next bar.
entry = fill_price.shift(-1)
#: Volatility of one bar as known at the decision; null where it is 0, for then nothing can be scaled by it.
sigma = pl.when(bar_volatility > 0).then(bar_volatility)


def horizon_volatility(bars: int) -> pl.Expr:
    """Volatility of `bars` bars, a fraction: that of one bar times the root of their number."""
    return sigma * math.sqrt(bars)


def direction(bars: int) -> pl.Expr:
    """Sign of ``r = fill_{t+1+h} / fill_{t+1} - 1``; 0 where ``|r| <= BAND sigma_t sqrt(h)``, the edge included."""
    made = ratio(fill_price.shift(-(1 + bars)), entry) - 1.0
    band = BAND * horizon_volatility(bars)
    side = pl.when(made > band).then(1.0).when(made < -1.0 * band).then(-1.0).otherwise(0.0)
    return pl.when((made + band).is_not_null()).then(side)


def _touches(bars: int) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """When the upper and the lower barrier are first touched and the first bar is missing, ``bars + 1`` for never.

    Counted in bars from the decision: k at the open of bar t+k, k + 1/2 within it. An open beyond a barrier was there
    before anything within its bar.
    """
    away, never = BARRIER * horizon_volatility(bars), float(bars + 1)
    upper, lower = entry * (1.0 + away), entry * (1.0 - away)
    ups, downs, gaps = [], [], []
    for k in range(1, bars + 1):
        opened, top, bottom = open_.shift(-k), high.shift(-k), low.shift(-k)
        ups.append(pl.when(opened >= upper).then(float(k)).when(top >= upper).then(k + 0.5))
        downs.append(pl.when(opened <= lower).then(float(k)).when(bottom <= lower).then(k + 0.5))
        gaps.append(pl.when((top + bottom).is_null()).then(float(k)))
    up, down, gap = (pl.min_horizontal(*each).fill_null(never) for each in (ups, downs, gaps))
    return up, down, gap


def triple_barrier(bars: int) -> pl.Expr:
    """1 where the upper barrier is touched first, -1 for the lower; 0 for neither, and for both within one bar.

    The barriers lie ``BARRIER sigma_t sqrt(h)`` above and below the entry and are looked at on highs and lows from bar
    t+1 to t+h. Null where the entry, the volatility, or a bar before the first touch is missing.

    References
    ----------
    Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 3.
    """
    up, down, gap = _touches(bars)
    side = pl.when(up < down).then(1.0).when(down < up).then(-1.0).otherwise(0.0)
    told = (entry * sigma).is_not_null() & ((gap > bars) | (pl.min_horizontal(up, down) < gap))
    return pl.when(told).then(side)


def both_touched(bars: int) -> pl.Expr:
    """Whether both barriers are first touched within one bar, so that nobody can tell which came first."""
    up, down, gap = _touches(bars)
    return (entry * sigma).is_not_null() & (up == down) & (up < gap)
