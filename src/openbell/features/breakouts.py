"""Breakouts: where the price stands in its range, what it has broken, and how narrow the range was before.

``session_*`` are of the session up to the end of the bar; in a frame of days, of that day alone.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import (
    close,
    ema,
    high,
    highest,
    low,
    lowest,
    open_,
    position,
    previous_close,
    ratio,
    shared,
    sma,
    true_range,
    volume,
    wilder,
)
from openbell.quant.indicators import atr_14

session_open, session_high, session_low = pl.col("session_open"), pl.col("session_high"), pl.col("session_low")
session_minutes = pl.col("session_minutes")
#: A break is confirmed by so many times the mean volume of the 20 rows before.
CONFIRMING_VOLUME = 1.5
#: Minutes after the open at which the opening range ends: with the first bar that ends then or later.
OPENING_MINUTES = 30.0
#: Windows in which the bar that ended the opening range is looked for: a session of bars of a minute has 390 of them.
OPENING_WINDOWS = (512, 256, 128, 64, 32, 16, 8, 4, 2, 1)
#: Minutes of a whole session of the US stock exchanges.
FULL_SESSION = 390.0


@feature(unit="share", name="donchian_position_{window}", over={"window": (20, 55)})
def donchian_position(window: int) -> pl.Expr:
    """Where the close lies between the lowest low (0) and the highest high (1) of the window, its own row included.

    References
    ----------
    Donchian (1960), in Covel (2007), The Complete TurtleTrader.
    """
    return position(close, lowest(low, window), highest(high, window))


@feature(unit="average true ranges", name="donchian_width_{window}", over={"window": (20, 55)})
def donchian_width(window: int) -> pl.Expr:
    """Highest high less lowest low of the window, over the average true range.

    References
    ----------
    Donchian (1960), in Covel (2007), The Complete TurtleTrader.
    """
    return ratio(highest(high, window) - lowest(low, window), atr_14)


def _broken(window: int) -> pl.Expr:
    """1 where the close lies above every high of the `window` rows before, -1 below every low, else 0."""
    top, bottom = highest(high, window).shift(1), lowest(low, window).shift(1)
    side = (close > top).cast(pl.Float64) - (close < bottom).cast(pl.Float64)
    return pl.when((close + top + bottom).is_not_null()).then(side)


@feature(unit="-1 to 1", name="breakout_{window}", over={"window": (20, 55)})
def breakout(window: int) -> pl.Expr:
    """1 where the close lies above every high of the rows before, -1 where it lies below every low, else 0.

    References
    ----------
    Donchian (1960), in Covel (2007), The Complete TurtleTrader.
    """
    return _broken(window)


@feature(unit="-1 to 1", name="confirmed_breakout_{window}", over={"window": (20, 55)})
def confirmed_breakout(window: int) -> pl.Expr:
    """A breakout on at least 1.5 times the mean volume of the 20 rows before, else 0.

    References
    ----------
    Edwards and Magee (1948), Technical Analysis of Stock Trends, chapter 6 (volume on breakouts).
    """
    usual = sma(volume, 20).shift(1)
    heavy = (volume >= CONFIRMING_VOLUME * usual).cast(pl.Float64)
    return _broken(window) * pl.when((volume + usual).is_not_null()).then(heavy)


@feature(unit="average true ranges", name="resistance_distance_{window}", over={"window": (20, 60)})
def resistance_distance(window: int) -> pl.Expr:
    """Highest high of the rows before less the close, over the average true range; negative where it is broken.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    return ratio(highest(high, window).shift(1) - close, atr_14)


@feature(unit="average true ranges", name="support_distance_{window}", over={"window": (20, 60)})
def support_distance(window: int) -> pl.Expr:
    """Close less the lowest low of the rows before, over the average true range; negative where it is broken.

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    return ratio(close - lowest(low, window).shift(1), atr_14)


@feature(unit="0 to 20", name="{side}_touches_20", over={"side": ("resistance", "support")})
def touches(side: str) -> pl.Expr:
    """How many of the 20 rows before came within half an average true range of their highest high (or lowest low).

    References
    ----------
    Osler (2000), Federal Reserve Bank of New York Economic Policy Review 6, 53-68.
    """
    x = high if side == "resistance" else -1.0 * low
    edge = highest(x, 20).shift(1) - 0.5 * atr_14
    counts = [(x.shift(row) >= edge).cast(pl.Float64) for row in range(1, 21)]
    counted = counts[0]
    for each in counts[1:]:
        counted = counted + each
    return counted


@feature(unit="average true ranges")
def pivot_distance() -> pl.Expr:
    """Close less the pivot of the row before (mean of its high, low and close), over the average true range.

    References
    ----------
    Person (2004), A Complete Guide to Technical Trading Tactics.
    """
    return ratio(close - (high.shift(1) + low.shift(1) + previous_close) / 3.0, atr_14)


@feature(unit="fraction of the channel, may lie outside [0, 1]")
def keltner_position_20() -> pl.Expr:
    """Where the close lies in Keltner's channel: 0 two average true ranges of 10 rows below its EMA20, 1 above.

    References
    ----------
    Keltner (1960), How to Make Money in Commodities; Raschke's form with true ranges, in Murphy (1999).
    """
    return ratio(close - ema(close, 20), 4.0 * wilder(true_range, 10)) + 0.5


#: Half the width of Bollinger's band over that of Keltner's channel.
_squeeze = shared("squeeze", ratio(2.0 * close.rolling_std(20, ddof=0), 1.5 * wilder(true_range, 20)))


@feature(unit="ratio")
def squeeze_ratio_20() -> pl.Expr:
    """Bollinger's band (2 deviations) over Keltner's channel (1.5 average true ranges), both of 20 rows.

    References
    ----------
    Carter (2005), Mastering the Trade.
    """
    return _squeeze + 0.0


@feature(unit="0 or 1")
def squeeze_20() -> pl.Expr:
    """1 where Bollinger's band lies within Keltner's channel, else 0.

    References
    ----------
    Carter (2005), Mastering the Trade.
    """
    return (_squeeze < 1.0).cast(pl.Float64)


@feature(unit="0 or 1")
def narrowest_range_7() -> pl.Expr:
    """1 where the range of the row is the narrowest of 7, else 0.

    References
    ----------
    Crabel (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout.
    """
    width = high - low
    return (width <= lowest(width, 7)).cast(pl.Float64)


@feature(unit="-1 to 1")
def inside_or_outside_bar() -> pl.Expr:
    """-1 where the row lies within the range of the one before, 1 where it reaches beyond it on both sides, else 0.

    References
    ----------
    Crabel (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout.
    """
    top, bottom = high.shift(1), low.shift(1)
    outside = ((high > top) & (low < bottom)).cast(pl.Float64)
    inside = ((high <= top) & (low >= bottom)).cast(pl.Float64)
    return pl.when((high + low + top + bottom).is_not_null()).then(outside - inside)


@feature(unit="average true ranges")
def gap_to_atr() -> pl.Expr:
    """Open less the close before, over the average true range.

    References
    ----------
    Bulkowski (2005), Encyclopedia of Chart Patterns, chapter on gaps.
    """
    return ratio(open_ - previous_close, atr_14)


@feature(unit="share of a full session")
def session_progress() -> pl.Expr:
    """Minutes since the open over the 390 of a full session.

    References
    ----------
    Admati and Pfleiderer (1988), Review of Financial Studies 1, 3-40 (trading within the day).
    """
    return session_minutes * (1.0 / FULL_SESSION)


@feature(unit="fraction")
def session_return() -> pl.Expr:
    """Close against the open of the session.

    References
    ----------
    Gao, Han, Li and Zhou (2018), Journal of Financial Economics 129, 394-414.
    """
    return ratio(close, session_open) - 1.0


@feature(unit="share")
def session_position() -> pl.Expr:
    """Where the close lies between the low (0) and the high (1) of the session so far; null where both are equal.

    References
    ----------
    Crabel (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout.
    """
    return position(close, session_low, session_high)


def _opening(extreme: pl.Expr) -> pl.Expr:
    """`extreme` of the session at the end of its opening range; up to then, of the session so far.

    The bar that ends the opening range is one row in each session, some rows ago. Of the windows of 1, 2, 4 … 512
    rows the first that holds such a bar holds no other one, for windows double and sessions follow each other: the
    largest value in it, with 0 at all other bars, is that of this bar.
    """
    # A row behind a missing one, or the first of all, counts as the first of its session.
    before = session_minutes.shift(1).fill_null(0.0)
    ends = (session_minutes >= OPENING_MINUTES) & ((before < OPENING_MINUTES) | (before >= session_minutes))
    there = shared("opening_ends", ends.cast(pl.Float64).fill_null(0.0))
    values = pl.when(there > 0).then(extreme).otherwise(0.0)
    held = {window: there.rolling_max(window, min_samples=1) > 0 for window in OPENING_WINDOWS}
    found: pl.Expr = pl.when(held[512]).then(values.rolling_max(512, min_samples=1))
    for window in OPENING_WINDOWS[1:]:
        found = pl.when(held[window]).then(values.rolling_max(window, min_samples=1)).otherwise(found)
    early = pl.when(session_minutes < OPENING_MINUTES).then(extreme).otherwise(found)
    return pl.when((close + session_minutes + extreme).is_not_null()).then(early)


_opening_high = shared("opening_high", _opening(session_high))
_opening_low = shared("opening_low", _opening(session_low))


@feature(unit="fraction of the range, may lie outside [0, 1]")
def opening_range_position() -> pl.Expr:
    """Where the close lies between the low (0) and the high (1) of the opening range; null where both are equal.

    The opening range ends with the first bar that ends 30 minutes or more after the open; until then it is the range
    so far. In a frame of days it is the day's.

    References
    ----------
    Crabel (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout.
    """
    return position(close, _opening_low, _opening_high)


@feature(unit="-1 to 1")
def opening_range_breakout() -> pl.Expr:
    """1 where the close lies above the opening range, -1 where it lies below it, else 0.

    References
    ----------
    Crabel (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout.
    """
    side = (close > _opening_high).cast(pl.Float64) - (close < _opening_low).cast(pl.Float64)
    return pl.when((close + _opening_high + _opening_low).is_not_null()).then(side)
