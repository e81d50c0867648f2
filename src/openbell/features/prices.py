"""Prices and volumes as levels: dollars and shares of one name. They say nothing across names.

Levels are in the dollars of the row's own day: forward-adjusted values scaled to that day's price as received.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import (
    close,
    dollar_volume,
    ema,
    in_usd,
    ratio,
    raw_close,
    raw_volume,
    sma,
    total,
    volume,
)
from openbell.quant.indicators import atr_14 as average_true_range
from openbell.quant.indicators import bollinger, macd_line, macd_trigger, signed_volume
from openbell.quant.swings import resistance_level_1, resistance_level_2, support_level_1, support_level_2


@feature(unit="USD")
def current_price() -> pl.Expr:
    """Last close as received.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 1.
    """
    return raw_close + 0.0


@feature(unit="USD", name="sma_{window}", over={"window": (5, 10, 20, 50, 200)})
def simple_moving_average(window: int) -> pl.Expr:
    """Simple average of the closes of the window.

    References
    ----------
    Brock, Lakonishok and LeBaron (1992), Journal of Finance 47, 1731-1764.
    """
    return in_usd(sma(close, window))


@feature(unit="USD", name="ema_{window}", over={"window": (12, 26, 50)})
def exponential_moving_average(window: int) -> pl.Expr:
    """Exponential average of the closes, weight ``2 / (n + 1)``.

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    return in_usd(ema(close, window))


@feature(unit="USD", name="bb_{band}", over={"band": ("lower", "middle", "upper")})
def bollinger_band(band: str) -> pl.Expr:
    """Bollinger band: average of 20 closes and two population standard deviations around it.

    References
    ----------
    Bollinger (2001), Bollinger on Bollinger Bands.
    """
    lower, middle, upper = bollinger(20, 2.0)
    return in_usd({"lower": lower, "middle": middle, "upper": upper}[band])


@feature(unit="USD")
def macd() -> pl.Expr:
    """MACD line: EMA12 less EMA26 of the close.

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    return in_usd(macd_line)


@feature(unit="USD")
def macd_signal() -> pl.Expr:
    """EMA9 of the MACD line.

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    return in_usd(macd_trigger)


@feature(unit="USD")
def macd_histogram() -> pl.Expr:
    """MACD line less its signal.

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    return in_usd(macd_line - macd_trigger)


@feature(unit="USD")
def atr_14() -> pl.Expr:
    """Wilder's average true range of 14 sessions.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return in_usd(average_true_range)


@feature(unit="shares")
def volume_20d_avg() -> pl.Expr:
    """Mean volume of 20 sessions, in shares of the row's own day.

    References
    ----------
    Gervais, Kaniel and Mingelgrin (2001), Journal of Finance 56, 877-919.
    """
    return sma(volume, 20) * ratio(raw_volume, volume)


@feature(unit="USD")
def dollar_volume_20d_avg() -> pl.Expr:
    """Mean of price times volume, both as received, over 20 sessions.

    References
    ----------
    Brennan, Chordia and Subrahmanyam (1998), Journal of Financial Economics 49, 345-373.
    """
    return sma(dollar_volume, 20)


@feature(unit="shares")
def obv() -> pl.Expr:
    """Change of on-balance volume over 20 sessions: the sum of the signed volumes, in shares of the first row's day.

    The level of on-balance volume depends on where a history begins; its change over a fixed window does not.

    References
    ----------
    Granville (1963), Granville's New Key to Stock Market Profits.
    """
    return total(signed_volume, 20)


@feature(unit="USD", name="{level}", over={"level": ("resistance_level", "resistance_2")})
def resistance(level: str) -> pl.Expr:
    """The nearest (`resistance_2`: second nearest) swing high above the close, of five bars, among 60 sessions.

    Where the swings have none it is projected: two average true ranges (ATR14) above the close, or the first level.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    return in_usd(resistance_level_2 if level == "resistance_2" else resistance_level_1)


@feature(unit="USD", name="{level}", over={"level": ("support_level", "support_2")})
def support(level: str) -> pl.Expr:
    """The nearest (`support_2`: second nearest) swing low below the close, of five bars, among 60 sessions.

    Where the swings have none it is projected: two average true ranges (ATR14) below the close, or the first level.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    return in_usd(support_level_2 if level == "support_2" else support_level_1)
