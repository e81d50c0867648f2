"""Volatility: how widely a price moves, by closes and by ranges. Annualised with 252 sessions."""

from __future__ import annotations

import math

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import (
    SESSIONS_PER_YEAR,
    close,
    high,
    log_price,
    log_return,
    low,
    open_,
    ratio,
    sma,
    standard_deviation,
    total,
)
from openbell.quant.indicators import atr_14, historical_volatility, hv_20, hv_rank_252


def _annual(mean_variance: pl.Expr) -> pl.Expr:
    return (mean_variance.clip(lower_bound=0.0) * float(SESSIONS_PER_YEAR)).sqrt()


@feature(unit="per year", name="hv_{window}d", over={"window": (5, 10, 20, 50, 100)})
def hv(window: int) -> pl.Expr:
    """Historical volatility: sample standard deviation of the daily log returns of the window, times sqrt(252).

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, section 15.4.
    """
    return historical_volatility(window)


@feature(unit="per year")
def parkinson_vol() -> pl.Expr:
    """Parkinson volatility of 20 sessions: ``sqrt(252 mean(ln(h/l)^2) / (4 ln 2))``.

    References
    ----------
    Parkinson (1980), Journal of Business 53, 61-65.
    """
    squared = (log_price(high) - log_price(low)).pow(2)
    return _annual(sma(squared, 20) / (4.0 * math.log(2.0)))


@feature(unit="per year")
def garman_klass_vol() -> pl.Expr:
    """Garman-Klass volatility of 20 sessions: ``sqrt(252 mean(ln(h/l)^2 / 2 - (2 ln 2 - 1) ln(c/o)^2))``.

    References
    ----------
    Garman and Klass (1980), Journal of Business 53, 67-78.
    """
    ranged = (log_price(high) - log_price(low)).pow(2)
    body = (log_price(close) - log_price(open_)).pow(2)
    return _annual(sma(0.5 * ranged - (2.0 * math.log(2.0) - 1.0) * body, 20))


@feature(unit="per year")
def rogers_satchell_vol() -> pl.Expr:
    """Rogers-Satchell volatility of 20 sessions, free of the drift: ``mean(ln(h/c) ln(h/o) + ln(l/c) ln(l/o))``.

    References
    ----------
    Rogers and Satchell (1991), Annals of Applied Probability 1, 504-512.
    """
    o, h, l, c = (log_price(price) for price in (open_, high, low, close))  # noqa: E741
    return _annual(sma((h - c) * (h - o) + (l - c) * (l - o), 20))


@feature(unit="fraction of the price")
def atr_relative_14() -> pl.Expr:
    """Wilder's average true range of 14 sessions over the close.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return ratio(atr_14, close)


@feature(unit="ratio", name="volatility_ratio_{pair[0]}_{pair[1]}", over={"pair": ((10, 50), (20, 100))})
def volatility_ratio(pair: tuple[int, int]) -> pl.Expr:
    """Short over long historical volatility; above 1 where the market has become wilder.

    References
    ----------
    Corsi (2009), Journal of Financial Econometrics 7, 174-196 (volatility over several horizons).
    """
    return ratio(standard_deviation(log_return, pair[0]), standard_deviation(log_return, pair[1]))


@feature(unit="0 or 1")
def vol_expansion() -> pl.Expr:
    """1 where the volatility of 10 sessions exceeds 1.5 times that of 50, else 0.

    References
    ----------
    Crabel (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout (range expansion).
    """
    return (ratio(standard_deviation(log_return, 10), standard_deviation(log_return, 50)) > 1.5).cast(pl.Float64)


@feature(unit="0 or 1")
def hv_trend() -> pl.Expr:
    """1 where the mean 20-session volatility of the last three sessions exceeds that of the three before, else 0.

    The price-only form of the implied volatility's trend: the same comparison on historical volatility.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, section 15.4.
    """
    recent = sma(hv_20, 3)
    return (recent > recent.shift(3)).cast(pl.Float64)


@feature(unit="per year")
def downside_volatility_20() -> pl.Expr:
    """Root mean square of the negative daily log returns of 20 sessions (the others count as 0), annualised.

    References
    ----------
    Sortino and Price (1994), Journal of Investing 3, 59-64.
    """
    return _annual(sma(log_return.clip(upper_bound=0.0).pow(2), 20))


@feature(unit="share")
def upside_variance_share_50() -> pl.Expr:
    """Share of the sum of squared returns of 50 sessions that came from rises; 0.5 where both sides move alike.

    References
    ----------
    Barndorff-Nielsen, Kinnebrock and Shephard (2010), Measuring Downside Risk: Realised Semivariance.
    """
    rises = total(log_return.clip(lower_bound=0.0).pow(2), 50)
    return ratio(rises, total(log_return.pow(2), 50))


@feature(unit="per year")
def volatility_of_volatility_20() -> pl.Expr:
    """Sample standard deviation of the last 20 values of the 20-session historical volatility.

    References
    ----------
    Baltussen, van Bekkum and van der Grient (2018), Journal of Financial and Quantitative Analysis 53, 1615-1651.
    """
    return standard_deviation(hv_20, 20)


@feature(unit="0 to 100")
def hv_rank() -> pl.Expr:
    """Where the 20-session volatility lies in its range of 252 sessions: ``100 (hv - min) / (max - min)``.

    References
    ----------
    Sinclair (2013), Volatility Trading, chapter 3.
    """
    return hv_rank_252 + 0.0
