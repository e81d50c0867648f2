"""Ranges: what high, low and open say beyond the closes. Switched off where a data set has none of its own."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import close, high, low, open_, position, ratio, sma, true_range


@feature(unit="fraction of the price")
def range_relative() -> pl.Expr:
    """High less low over the close.

    References
    ----------
    Alizadeh, Brandt and Diebold (2002), Journal of Finance 57, 1047-1091.
    """
    return ratio(high - low, close)


@feature(unit="fraction of the price", name="range_average_{window}", over={"window": (5, 20)})
def range_average(window: int) -> pl.Expr:
    """Mean relative range of the window.

    References
    ----------
    Alizadeh, Brandt and Diebold (2002), Journal of Finance 57, 1047-1091.
    """
    return sma(ratio(high - low, close), window)


@feature(unit="ratio")
def range_ratio_20() -> pl.Expr:
    """Relative range of the day over its mean of 20 sessions.

    References
    ----------
    Crabel (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout.
    """
    relative = ratio(high - low, close)
    return ratio(relative, sma(relative, 20))


@feature(unit="share")
def close_location() -> pl.Expr:
    """Where the close lies in the range of the day: 0 at the low, 1 at the high; null where both are equal.

    References
    ----------
    Chaikin (1996), in Achelis, Technical Analysis from A to Z.
    """
    return position(close, low, high)


@feature(unit="share")
def close_location_20() -> pl.Expr:
    """Mean close location of 20 sessions; a day whose high equals its low counts as the middle.

    References
    ----------
    Chaikin (1996), in Achelis, Technical Analysis from A to Z.
    """
    placed = pl.when(high == low).then(0.5).otherwise(position(close, low, high))
    return sma(placed, 20)


@feature(unit="fraction")
def overnight_return() -> pl.Expr:
    """Open against the close before.

    References
    ----------
    Lou, Polk and Skouras (2019), Journal of Financial Economics 134, 192-213.
    """
    return ratio(open_, close.shift(1)) - 1.0


@feature(unit="fraction")
def overnight_return_20() -> pl.Expr:
    """Mean overnight return of 20 sessions.

    References
    ----------
    Lou, Polk and Skouras (2019), Journal of Financial Economics 134, 192-213.
    """
    return sma(ratio(open_, close.shift(1)) - 1.0, 20)


@feature(unit="fraction")
def intraday_return() -> pl.Expr:
    """Close against the open.

    References
    ----------
    Lou, Polk and Skouras (2019), Journal of Financial Economics 134, 192-213.
    """
    return ratio(close, open_) - 1.0


@feature(unit="fraction")
def intraday_return_20() -> pl.Expr:
    """Mean intraday return of 20 sessions.

    References
    ----------
    Lou, Polk and Skouras (2019), Journal of Financial Economics 134, 192-213.
    """
    return sma(ratio(close, open_) - 1.0, 20)


@feature(unit="share in [-1, 1]")
def body_share() -> pl.Expr:
    """Close less open over high less low: the signed body of the candle; null where high equals low.

    References
    ----------
    Nison (1991), Japanese Candlestick Charting Techniques.
    """
    return ratio(close - open_, high - low)


@feature(unit="ratio")
def true_range_ratio_14() -> pl.Expr:
    """True range of the day over its plain mean of 14 sessions.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return ratio(true_range, sma(true_range, 14))
