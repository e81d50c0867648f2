"""Levels: the price against its swing highs and lows and its extremes, all as fractions."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import (
    close,
    highest,
    log_return,
    lowest,
    position,
    ratio,
    rows_since,
    standard_deviation,
)
from openbell.quant.indicators import adx_14
from openbell.quant.swings import resistance_1, support_1


@feature(unit="fraction of the price")
def distance_to_swing_high() -> pl.Expr:
    """Nearest swing high above the close, among those of 60 sessions: ``resistance / close - 1``; null without one.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    return ratio(resistance_1, close) - 1.0


@feature(unit="fraction of the price")
def distance_to_swing_low() -> pl.Expr:
    """Nearest swing low below the close, among those of 60 sessions: ``1 - support / close``; null without one.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    return 1.0 - ratio(support_1, close)


@feature(unit="share")
def position_between_swings() -> pl.Expr:
    """Where the close lies between support (0) and resistance (1).

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    return position(close, support_1, resistance_1)


@feature(unit="fraction of the price")
def swing_range_width() -> pl.Expr:
    """Resistance less support over the close.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    return ratio(resistance_1 - support_1, close)


@feature(unit="sessions, at most 60")
def days_between_swings() -> pl.Expr:
    """Sessions since the close last left the range of support and resistance as they stood the session before.

    0 on a day that closes beyond the level of the day before (or has none to compare with); at most 60.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    inside = (close <= resistance_1.shift(1)) & (close >= support_1.shift(1))
    left = inside.fill_null(False).cast(pl.Float64) == 0.0
    return pl.when(close.is_not_null()).then(rows_since(left, 60))


@feature(unit="score in (0, 1)")
def swing_breakout_score() -> pl.Expr:
    """Logistic score of a break of the range: higher near an edge, in rising volatility, in a trend.

    ``1 / (1 + exp(-z))``, ``z = -2 + 2 |2 p - 1| + min(max(hv20 / hv100 - 1, -1), 1) + (ADX - 20) / 20`` with p the
    position in range. The weights are chosen, not fitted: a score that orders days, not a calibrated probability.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    edge = (2.0 * position(close, support_1, resistance_1) - 1.0).abs()
    wilder_ratio = ratio(standard_deviation(log_return, 20), standard_deviation(log_return, 100))
    z = -2.0 + 2.0 * edge + (wilder_ratio - 1.0).clip(-1.0, 1.0) + (adx_14 - 20.0) / 20.0
    return 1.0 / (1.0 + (-1.0 * z).exp())


@feature(unit="fraction", name="distance_from_high_{window}", over={"window": (20, 50, 252)})
def distance_from_high(window: int) -> pl.Expr:
    """Close against the highest close of the window: 0 at the high, negative below; the drawdown over the window.

    References
    ----------
    George and Hwang (2004), Journal of Finance 59, 2145-2176.
    """
    return ratio(close, highest(close, window)) - 1.0


@feature(unit="fraction", name="distance_from_low_{window}", over={"window": (20, 252)})
def distance_from_low(window: int) -> pl.Expr:
    """Close against the lowest close of the window: 0 at the low, positive above.

    References
    ----------
    George and Hwang (2004), Journal of Finance 59, 2145-2176.
    """
    return ratio(close, lowest(close, window)) - 1.0


@feature(unit="share", name="channel_position_{window}", over={"window": (50, 252)})
def channel_position(window: int) -> pl.Expr:
    """Where the close lies between the lowest (0) and the highest (1) close of the window.

    References
    ----------
    George and Hwang (2004), Journal of Finance 59, 2145-2176.
    """
    return position(close, lowest(close, window), highest(close, window))


@feature(unit="sessions, at most 60")
def sessions_since_new_high() -> pl.Expr:
    """Sessions since the close last was the highest of 60, at most 60.

    References
    ----------
    Chande and Kroll (1994), The New Technical Trader (Aroon).
    """
    return pl.when(close.rolling_max(60).is_not_null()).then(rows_since(close >= close.rolling_max(60), 60))
