"""Oscillators: bounded or centred indicators of how far a price has run."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import (
    change,
    close,
    high,
    highest,
    low,
    lowest,
    position,
    ratio,
    sma,
    total,
    typical_price,
    volume,
)
from openbell.quant.indicators import bollinger, rsi


@feature(unit="0 to 100", name="rsi_{window}", over={"window": (14, 28)})
def relative_strength_index(window: int) -> pl.Expr:
    """Relative strength index: ``100 G / (G + L)`` of Wilder's mean gain and mean loss.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return rsi(window)


@feature(unit="0 to 100")
def rsi_2() -> pl.Expr:
    """Relative strength index over two sessions, for short reversals.

    References
    ----------
    Connors and Alvarez (2009), Short Term Trading Strategies That Work.
    """
    return rsi(2)


def _fast_k() -> pl.Expr:
    return 100.0 * position(close, lowest(low, 14), highest(high, 14))


@feature(unit="0 to 100")
def stochastic_k() -> pl.Expr:
    """Slow %K: mean over 3 sessions of where the close lies in the high-low range of 14 sessions.

    References
    ----------
    Lane (1984), Lane's Stochastics.
    """
    return sma(_fast_k(), 3)


@feature(unit="0 to 100")
def stochastic_d() -> pl.Expr:
    """Slow %D: mean over 3 sessions of slow %K.

    References
    ----------
    Lane (1984), Lane's Stochastics.
    """
    return sma(sma(_fast_k(), 3), 3)


@feature(unit="-100 to 0")
def williams_r() -> pl.Expr:
    """Williams %R: ``-100 (H14 - close) / (H14 - L14)``.

    References
    ----------
    Williams (1973), How I Made One Million Dollars.
    """
    return -100.0 * position(close, highest(high, 14), lowest(low, 14))


@feature(unit="mean deviations / 0.015")
def cci() -> pl.Expr:
    """Commodity channel index: ``(tp - SMA20(tp)) / (0.015 MAD20(tp))``, with the mean absolute deviation.

    References
    ----------
    Lambert (1980), Commodities Magazine.
    """
    middle = sma(typical_price, 20)
    deviation = (typical_price - middle).abs()
    for rows in range(1, 20):
        deviation = deviation + (typical_price.shift(rows) - middle).abs()
    return ratio(typical_price - middle, 0.015 / 20.0 * deviation)


@feature(unit="0 to 100")
def mfi() -> pl.Expr:
    """Money flow index: share of the dollar flow of 14 sessions on which the typical price rose.

    References
    ----------
    Quong and Soudack (1989), Technical Analysis of Stocks & Commodities 7.
    """
    rise = typical_price - typical_price.shift(1)
    flow = typical_price * volume * rise.sign()
    inflow = total(flow.clip(lower_bound=0.0), 14)
    return 100.0 * ratio(inflow, inflow - total(flow.clip(upper_bound=0.0), 14))


@feature(unit="fraction of the band, may lie outside [0, 1]")
def bb_position() -> pl.Expr:
    """Where the close lies between the Bollinger bands (20 sessions, 2 deviations): 0 lower, 1 upper.

    References
    ----------
    Bollinger (2001), Bollinger on Bollinger Bands.
    """
    lower, _, upper = bollinger(20, 2.0)
    return position(close, lower, upper)


@feature(unit="fraction of the middle")
def bb_width() -> pl.Expr:
    """Width of the Bollinger bands over their middle.

    References
    ----------
    Bollinger (2001), Bollinger on Bollinger Bands.
    """
    lower, middle, upper = bollinger(20, 2.0)
    return ratio(upper - lower, middle)


@feature(unit="-100 to 100")
def cmo_14() -> pl.Expr:
    """Chande's momentum oscillator over 14 sessions: ``100 (gains - losses) / (gains + losses)`` of plain sums.

    References
    ----------
    Chande and Kroll (1994), The New Technical Trader.
    """
    gains, losses = total(change.clip(lower_bound=0.0), 14), total(-1.0 * change.clip(upper_bound=0.0), 14)
    return 100.0 * ratio(gains - losses, gains + losses)
