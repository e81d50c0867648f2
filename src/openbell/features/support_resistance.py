"""Support and resistance of one underlying, on every session: swings, and projections where there is no swing.

A price at its 60-session high has no swing above it. Its next level is projected two average true ranges away, so that
these features have a value on every day with a history; `levels` holds the same of the swings alone, null without one.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import close, log_return, position, ratio, rows_since, standard_deviation
from openbell.quant.indicators import adx_14
from openbell.quant.swings import resistance_level_1, support_level_1


@feature(unit="fraction of the price")
def distance_to_resistance() -> pl.Expr:
    """Nearest resistance above the close: ``resistance_level / close - 1``, positive.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    return ratio(resistance_level_1, close) - 1.0


@feature(unit="fraction of the price")
def distance_to_support() -> pl.Expr:
    """Nearest support below the close: ``1 - support_level / close``, positive.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    return 1.0 - ratio(support_level_1, close)


@feature(unit="share")
def position_in_range() -> pl.Expr:
    """Where the close lies between support (0) and resistance (1).

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    return position(close, support_level_1, resistance_level_1)


@feature(unit="fraction of the price")
def range_width() -> pl.Expr:
    """Resistance less support over the close.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    return ratio(resistance_level_1 - support_level_1, close)


@feature(unit="sessions, at most 60")
def days_in_range() -> pl.Expr:
    """Sessions since the close last left the range of support and resistance as they stood the session before.

    0 on a day that closes beyond a level of the day before; at most 60.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    before = (support_level_1.shift(1), resistance_level_1.shift(1))
    inside = (close <= before[1]) & (close >= before[0])
    left = inside.fill_null(False).cast(pl.Float64) == 0.0
    return pl.when((close + before[0] + before[1]).is_not_null()).then(rows_since(left, 60))


@feature(unit="score in (0, 1)")
def breakout_probability() -> pl.Expr:
    """Logistic score of a break of the range: higher near an edge, in rising volatility, in a trend.

    ``1 / (1 + exp(-z))``, ``z = -2 + 2 |2 p - 1| + min(max(hv20 / hv100 - 1, -1), 1) + (ADX - 20) / 20`` with p the
    position in range. The weights are chosen, not fitted: a score that orders days, not a calibrated probability.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    edge = (2.0 * position(close, support_level_1, resistance_level_1) - 1.0).abs()
    widening = ratio(standard_deviation(log_return, 20), standard_deviation(log_return, 100)) - 1.0
    z = -2.0 + 2.0 * edge + widening.clip(-1.0, 1.0) + (adx_14 - 20.0) / 20.0
    return 1.0 / (1.0 + (-1.0 * z).exp())
