"""The days before a session: how wide, how straight and how wild they were. Nothing of the session itself is in it.

`close` and its fellows are those of the regular hours of the session before: every value here is shifted by a session.
"""

from __future__ import annotations

import math

import polars as pl

from openbell.core.declare import feature
from openbell.quant import session_expressions as s
from openbell.quant.expressions import (
    annualised,
    banded,
    close,
    high,
    log_price,
    low,
    open_,
    position,
    ratio,
    returns,
    sma,
)
from openbell.quant.indicators import adx_14, di_minus_14, di_plus_14

#: Sessions of a year, over which today's state is ranked.
YEAR = 252
#: Sessions over which the extremes of days are looked for: a week, a month, a quarter.
WINDOWS = (5, 20, 63)


def _rank(x: pl.Expr) -> pl.Expr:
    """Percentile rank of the newest of a year of values: the share of them below it, 0 to 100."""
    return (x.rolling_rank(YEAR, method="min").cast(pl.Float64) - 1.0) * (100.0 / (YEAR - 1))


@feature(reads="session", unit="0 to 100")
def regime_atr_rank_252() -> pl.Expr:
    """Share of the year before with a lower average true range of 14 days. Null until 252 days have one.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return _rank(s.atr)


@feature(reads="session", unit="% of the price")
def regime_atr_pct() -> pl.Expr:
    """Average true range of 14 days before, as a percentage of the close before.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return 100.0 * ratio(s.atr, close)


@feature(
    reads="session",
    unit="sessions",
    name="regime_sessions_since_{side}_{window}",
    over={"side": ("high", "low"), "window": WINDOWS},
)
def regime_sessions_since(side: str, window: int) -> pl.Expr:
    """Sessions since the highest high or lowest low of the window's days before, 1 where it was yesterday.

    References
    ----------
    Chande (1995), Technical Analysis of Stocks & Commodities 13.
    """
    return s.sessions_since_extreme(side, window)


@feature(reads="session", unit="0 to 100")
def regime_adx_14() -> pl.Expr:
    """Average directional index of 14 days before: how strong their trend was, whichever its side.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return adx_14 + 0.0


@feature(reads="session", unit="-100 to 100")
def regime_directional_difference_14() -> pl.Expr:
    """Positive less negative directional indicator of 14 days before: the side of their trend.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return di_plus_14 - di_minus_14


_variance = 0.5 * (log_price(high) - log_price(low)).pow(2) - (2.0 * math.log(2.0) - 1.0) * (
    log_price(close) - log_price(open_)
).pow(2)
_mean_variance = sma(_variance, 20)
_garman_klass = annualised(pl.when(_mean_variance >= 0).then(_mean_variance.sqrt()))


@feature(reads="session", unit="per year")
def regime_garman_klass_20() -> pl.Expr:
    """Garman-Klass volatility of 20 days before: ``sqrt(252 mean(ln(h/l)^2 / 2 - (2 ln 2 - 1) ln(c/o)^2))``.

    References
    ----------
    Garman and Klass (1980), On the estimation of security price volatilities, Journal of Business 53, 67-78.
    """
    return _garman_klass


@feature(reads="session", unit="0 to 100")
def regime_garman_klass_rank_252() -> pl.Expr:
    """Share of the year before with a lower Garman-Klass volatility. Null until 252 days have one.

    References
    ----------
    Garman and Klass (1980), On the estimation of security price volatilities, Journal of Business 53, 67-78.
    """
    return _rank(_garman_klass)


@feature(reads="session", unit="0 to 2")
def regime_garman_klass_state() -> pl.Expr:
    """0 calm, 1 ordinary, 2 wild: that rank in thirds.

    References
    ----------
    Garman and Klass (1980), On the estimation of security price volatilities, Journal of Business 53, 67-78.
    """
    return banded(_rank(_garman_klass), (100.0 / 3.0, 200.0 / 3.0))


@feature(reads="session", unit="%", name="regime_return_{window}_pct", over={"window": (1, 5, 20)})
def regime_return_pct(window: int) -> pl.Expr:
    """Return of the close before over the window's sessions.

    References
    ----------
    Moskowitz, Ooi and Pedersen (2012), Time series momentum, Journal of Financial Economics 104, 228-250.
    """
    return 100.0 * returns(window)


@feature(reads="session", unit="share")
def regime_close_location() -> pl.Expr:
    """Where yesterday's close lay in yesterday's range: 0 at the low, 1 at the high.

    References
    ----------
    Chaikin (1996), in Achelis, Technical Analysis from A to Z.
    """
    return position(close, low, high)


@feature(reads="session", unit="average true ranges")
def regime_range_atr() -> pl.Expr:
    """Yesterday's range in average true ranges: below 1 a quiet day, above a wide one.

    References
    ----------
    Crabel (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout.
    """
    return s.in_atr(high - low)
