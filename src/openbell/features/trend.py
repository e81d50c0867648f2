"""Trend: where the price stands against its averages, and how straight its way was."""

from __future__ import annotations

import itertools

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import close, correlation, ema, log_close, ratio, sma, trend_slope
from openbell.quant.indicators import adx_14 as average_directional_index
from openbell.quant.indicators import di_minus_14 as negative_indicator
from openbell.quant.indicators import di_plus_14 as positive_indicator
from openbell.quant.indicators import macd_line, macd_trigger


@feature(unit="fraction", name="price_vs_sma_{window}", over={"window": (5, 10, 20, 50, 100, 200)})
def price_vs_sma(window: int) -> pl.Expr:
    """Close against its simple average: ``close / SMA_n - 1``.

    References
    ----------
    Brock, Lakonishok and LeBaron (1992), Journal of Finance 47, 1731-1764.
    """
    return ratio(close, sma(close, window)) - 1.0


@feature(unit="fraction", name="price_vs_ema_{window}", over={"window": (12, 50)})
def price_vs_ema(window: int) -> pl.Expr:
    """Close against its exponential average: ``close / EMA_n - 1``.

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    return ratio(close, ema(close, window)) - 1.0


@feature(unit="0 or 1")
def sma_alignment() -> pl.Expr:
    """1 where SMA5 > SMA10 > SMA20 > SMA50 > SMA200, else 0; null until all five exist.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    means = [sma(close, window) for window in (5, 10, 20, 50, 200)]
    rising = means[0] > means[1]
    for faster, slower in itertools.pairwise(means[1:]):
        rising = rising & (faster > slower)
    return pl.when(means[-1].is_not_null()).then(rising.cast(pl.Float64))


@feature(unit="0 or 1")
def above_sma_200() -> pl.Expr:
    """1 where the close lies above its average of 200 sessions, else 0.

    References
    ----------
    Faber (2007), Journal of Wealth Management 9, 69-79.
    """
    return (close > sma(close, 200)).cast(pl.Float64)


@feature(unit="fraction", name="sma_ratio_{pair[0]}_{pair[1]}", over={"pair": ((20, 50), (50, 200))})
def sma_ratio(pair: tuple[int, int]) -> pl.Expr:
    """Fast average against the slow one: ``SMA_fast / SMA_slow - 1``; above 0 after a golden cross.

    References
    ----------
    Brock, Lakonishok and LeBaron (1992), Journal of Finance 47, 1731-1764.
    """
    return ratio(sma(close, pair[0]), sma(close, pair[1])) - 1.0


@feature(unit="fraction of the price")
def macd_relative() -> pl.Expr:
    """MACD line (EMA12 - EMA26) over the close: the percentage price oscillator without its factor of 100.

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    return ratio(macd_line, close)


@feature(unit="fraction of the price")
def macd_histogram_relative() -> pl.Expr:
    """MACD line less its EMA9, over the close.

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    return ratio(macd_line - macd_trigger, close)


@feature(unit="0 to 100")
def adx_14() -> pl.Expr:
    """Average directional index: Wilder's mean over 14 sessions of DX, the strength of a trend of either direction.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return average_directional_index + 0.0


@feature(unit="0 to 100")
def di_plus_14() -> pl.Expr:
    """Positive directional indicator: ``100 wilder(+DM, 14) / wilder(TR, 14)``.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return positive_indicator + 0.0


@feature(unit="0 to 100")
def di_minus_14() -> pl.Expr:
    """Negative directional indicator: ``100 wilder(-DM, 14) / wilder(TR, 14)``.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return negative_indicator + 0.0


@feature(unit="log fraction per session", name="trend_slope_{window}", over={"window": (20, 50)})
def log_price_slope(window: int) -> pl.Expr:
    """Slope of the least-squares line through the log prices of the window.

    References
    ----------
    Clenow (2015), Stocks on the Move, chapter 7.
    """
    return trend_slope(log_close, window)


@feature(unit="correlation", name="trend_strength_{window}", over={"window": (20, 50)})
def trend_strength(window: int) -> pl.Expr:
    """How straight the way was: R squared of log price against time, by the slope's share of the variance.

    ``slope^2 var(k) / var(ln close)``, 1 for a line, near 0 for a price that went nowhere.

    References
    ----------
    Clenow (2015), Stocks on the Move, chapter 7.
    """
    time_variance = (window * window - 1) / 12.0 * window / (window - 1)
    explained = trend_slope(log_close, window).pow(2) * time_variance
    return ratio(explained, log_close.rolling_var(window)).clip(0.0, 1.0)


@feature(unit="correlation")
def trend_persistence_50() -> pl.Expr:
    """Correlation of the log price with itself five sessions before, over 50 sessions.

    References
    ----------
    Campbell, Lo and MacKinlay (1997), The Econometrics of Financial Markets, section 2.4.
    """
    return correlation(log_close, log_close.shift(5), 50)
