"""Strength: how one-sided, how strong and how straight a move is, of price and of volume together."""

from __future__ import annotations

import math

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import (
    change,
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
    returns,
    shared,
    sma,
    smoothed,
    total,
    true_range,
    volume,
    wilder,
)
from openbell.quant.indicators import adx_14, atr_14, rsi


@feature(unit="0 to 100")
def rsi_30() -> pl.Expr:
    """Relative strength index of 30 rows: ``100 G / (G + L)`` of Wilder's mean gain and mean loss.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return rsi(30)


@feature(unit="-1 to 1", name="rsi_extreme_{window}", over={"window": (14, 30)})
def rsi_extreme(window: int) -> pl.Expr:
    """1 where the relative strength index is above 70 (overbought), -1 where it is below 30 (oversold), else 0.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    index = rsi(window)
    return (index > 70.0).cast(pl.Float64) - (index < 30.0).cast(pl.Float64)


@feature(unit="0 to 100")
def stochastic_rsi_14() -> pl.Expr:
    """Where the relative strength index of 14 rows lies in its own range of 14 rows.

    References
    ----------
    Chande and Kroll (1994), The New Technical Trader.
    """
    index = rsi(14)
    return (100.0 * position(index, lowest(index, 14), highest(index, 14))).clip(0.0, 100.0)


@feature(unit="-100 to 100")
def true_strength_index() -> pl.Expr:
    """True strength: the change of the close smoothed over 25 and 13 rows, over its size smoothed alike.

    References
    ----------
    Blau (1991), Technical Analysis of Stocks & Commodities 9.
    """
    return 100.0 * ratio(ema(ema(change, 25), 13), ema(ema(change.abs(), 25), 13))


@feature(unit="-100 to 100")
def stochastic_momentum_14() -> pl.Expr:
    """Close less the middle of the range of 14 rows over half that range, both smoothed twice over 3 rows.

    References
    ----------
    Blau (1993), Technical Analysis of Stocks & Commodities 11.
    """
    top, bottom = highest(high, 14), lowest(low, 14)
    away, half = close - (top + bottom) / 2.0, (top - bottom) / 2.0
    return 100.0 * ratio(ema(ema(away, 3), 3), ema(ema(half, 3), 3))


@feature(unit="0 to 100")
def ultimate_oscillator() -> pl.Expr:
    """Buying pressure over true range, of 7, 14 and 28 rows, weighted 4, 2 and 1.

    References
    ----------
    Williams (1985), Technical Analysis of Stocks & Commodities 3.
    """
    pressure = close - pl.when((low + previous_close).is_not_null()).then(pl.min_horizontal(low, previous_close))
    parts = [
        weight * ratio(total(pressure, rows), total(true_range, rows)) for weight, rows in ((4, 7), (2, 14), (1, 28))
    ]
    return (parts[0] + parts[1] + parts[2]) * (100.0 / 7.0)


@feature(unit="0 to 100", name="aroon_{side}_25", over={"side": ("up", "down")})
def aroon(side: str) -> pl.Expr:
    """How new the extreme of the last 25 rows is: 100 where this row is the highest high (`up`) or lowest low.

    ``100 (25 - rows since the extreme of 26 rows) / 25``, the newest of several.

    References
    ----------
    Chande (1995), Technical Analysis of Stocks & Commodities 13.
    """
    x = high if side == "up" else -1.0 * low
    top = highest(x, 26)
    ages = [pl.when(x.shift(age) >= top).then(float(age)) for age in range(26)]
    return 100.0 - 4.0 * pl.when(top.is_not_null()).then(pl.min_horizontal(*ages))


@feature(unit="ratio")
def vortex_14() -> pl.Expr:
    """Vortex: sums of ``|high - low before|`` less those of ``|low - high before|``, over true range, of 14 rows.

    References
    ----------
    Botes and Siepman (2010), Technical Analysis of Stocks & Commodities 28.
    """
    plus, minus = (high - low.shift(1)).abs(), (low - high.shift(1)).abs()
    return ratio(total(plus - minus, 14), total(true_range, 14))


@feature(unit="0 to 100")
def choppiness_14() -> pl.Expr:
    """Choppiness: ``100 ln(sum of true ranges / true range of the whole) / ln 14``, 0 in a straight move.

    The range of the whole of 14 rows takes the close before into account, as each true range does.

    References
    ----------
    Dreiss (1993), in Achelis (2000), Technical Analysis from A to Z.
    """
    held = (high + low + previous_close).is_not_null()
    top = pl.when(held).then(pl.max_horizontal(high, previous_close))
    bottom = pl.when(held).then(pl.min_horizontal(low, previous_close))
    path = ratio(total(true_range, 14), highest(top, 14) - lowest(bottom, 14))
    return (pl.when(path > 0).then(path.log()) * (100.0 / math.log(14.0))).clip(0.0, 100.0)


@feature(unit="0 to 100")
def adx_rating_14() -> pl.Expr:
    """Mean of the average directional index and that of 13 rows before (ADXR).

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return (adx_14 + adx_14.shift(13)) / 2.0


@feature(unit="average true ranges", name="elder_{side}_power_13", over={"side": ("bull", "bear")})
def elder_ray(side: str) -> pl.Expr:
    """High (`bull`) or low (`bear`) less the exponential average of 13 closes, over the average true range.

    References
    ----------
    Elder (1993), Trading for a Living.
    """
    return ratio((high if side == "bull" else low) - ema(close, 13), atr_14)


@feature(unit="average true ranges")
def force_index_13() -> pl.Expr:
    """Change times volume smoothed over 13 rows, over the volume smoothed alike times the average true range.

    References
    ----------
    Elder (1993), Trading for a Living.
    """
    return ratio(ratio(ema(change * volume, 13), ema(volume, 13)), atr_14)


@feature(unit="ratio")
def ease_of_movement_14() -> pl.Expr:
    """Ease of movement: change of the middle times range over volume, its mean of 14 rows.

    Change and range are in average true ranges and the volume in its own mean of 14 rows; null where one is 0.

    References
    ----------
    Arms (1989), The Arms Index (the box ratio).
    """
    middle = (high + low) / 2.0
    moved = ratio(middle - middle.shift(1), atr_14) * ratio(high - low, atr_14)
    return sma(ratio(moved, ratio(volume, sma(volume, 14))), 14)


#: Where the close lies in the range of the row, -1 at the low, 1 at the high, 0 where it has none, times its volume.
_accumulation = shared(
    "accumulation",
    volume
    * pl.when(high > low)
    .then(2.0 * position(close, low, high) - 1.0)
    .otherwise(pl.when((high + low + close).is_not_null()).then(0.0)),
)


@feature(unit="rows of mean volume")
def chaikin_oscillator() -> pl.Expr:
    """Accumulation line smoothed over 3 rows less over 10, over the volume smoothed over 10.

    The line is a sum from the first row on, but it less its own exponential mean of n rows is ``(n - 1) / 2`` times
    that of its steps: so the difference of two such means needs no first row.

    References
    ----------
    Chaikin (1996), in Achelis, Technical Analysis from A to Z.
    """
    return ratio(4.5 * ema(_accumulation, 10) - ema(_accumulation, 3), ema(volume, 10))


@feature(unit="fraction")
def price_volume_trend_20() -> pl.Expr:
    """Returns of 20 rows, each weighted by its volume.

    References
    ----------
    Achelis (2000), Technical Analysis from A to Z.
    """
    return ratio(total(returns() * volume, 20), total(volume, 20))


@feature(unit="fraction")
def volume_oscillator_12_26() -> pl.Expr:
    """Volume smoothed over 12 rows against that over 26: ``EMA12 / EMA26 - 1``.

    References
    ----------
    Achelis (2000), Technical Analysis from A to Z.
    """
    return ratio(ema(volume, 12), ema(volume, 26)) - 1.0


@feature(unit="rows")
def mass_index_25() -> pl.Expr:
    """Mass index: sum over 25 rows of the range smoothed over 9 rows, over that smoothed once more.

    References
    ----------
    Dorsey (1992), Technical Analysis of Stocks & Commodities 10.
    """
    once = ema(high - low, 9)
    return total(ratio(once, ema(once, 9)), 25)


@feature(unit="log ratio")
def fisher_transform_10() -> pl.Expr:
    """Fisher transform of where the middle lies in its range of 10 rows; 0 in the middle, sharp at turns.

    ``v = 0.67 v_before + 0.66 (position - 1/2)`` within 0.999, ``f = f_before / 2 + ln((1 + v) / (1 - v)) / 2``.

    References
    ----------
    Ehlers (2002), Technical Analysis of Stocks & Commodities 20.
    """
    middle = (high + low) / 2.0
    top, bottom = highest(middle, 10), lowest(middle, 10)
    placed = pl.when(top > bottom).then(2.0 * position(middle, bottom, top) - 1.0).otherwise((top - bottom) * 0.0)
    value = smoothed(placed, 0.33, 10).clip(-0.999, 0.999)
    return smoothed(((1.0 + value) / (1.0 - value)).log(), 0.5, 1)


def _symmetric(x: pl.Expr) -> pl.Expr:
    return (x + 2.0 * x.shift(1) + 2.0 * x.shift(2) + x.shift(3)) / 6.0


@feature(unit="share in [-1, 1]")
def relative_vigor_10() -> pl.Expr:
    """Relative vigour: bodies (close less open) over ranges, each weighted 1, 2, 2, 1 and summed over 10 rows.

    References
    ----------
    Ehlers (2002), Technical Analysis of Stocks & Commodities 20.
    """
    return ratio(total(_symmetric(close - open_), 10), total(_symmetric(high - low), 10))


@feature(unit="0 to 100")
def relative_volatility_14() -> pl.Expr:
    """Relative volatility: share of the deviation of 10 closes, smoothed over 14 rows, that came with rises.

    References
    ----------
    Dorsey (1993), Technical Analysis of Stocks & Commodities 11.
    """
    width = close.rolling_std(10)
    up = wilder(width * (change > 0).cast(pl.Float64), 14)
    return 100.0 * ratio(up, up + wilder(width * (change < 0).cast(pl.Float64), 14))


@feature(unit="0 to 100")
def intraday_momentum_14() -> pl.Expr:
    """Share of the bodies (close less open) of 14 rows that are rises.

    References
    ----------
    Chande and Kroll (1994), The New Technical Trader.
    """
    body = close - open_
    gains, losses = total(body.clip(lower_bound=0.0), 14), total(-1.0 * body.clip(upper_bound=0.0), 14)
    return 100.0 * ratio(gains, gains + losses)


@feature(unit="share")
def efficiency_ratio_10() -> pl.Expr:
    """How straight the way of 10 rows was: distance over path, 1 for a line.

    References
    ----------
    Kaufman (1995), Smarter Trading.
    """
    return ratio((close - close.shift(10)).abs(), total(change.abs(), 10)).clip(0.0, 1.0)


@feature(unit="ratio")
def vertical_horizontal_filter_28() -> pl.Expr:
    """Range of 28 closes over the path between them: high in a trend, low in a range.

    References
    ----------
    White (1991), Futures Magazine 20.
    """
    return ratio(highest(close, 28) - lowest(close, 28), total(change.abs(), 28))


@feature(unit="fraction")
def ulcer_index_14() -> pl.Expr:
    """Root mean square of the falls below the highest close of 14 rows.

    References
    ----------
    Martin and McCann (1989), The Investor's Guide to Fidelity Funds.
    """
    return sma((ratio(close, highest(close, 14)) - 1.0).pow(2), 14).clip(lower_bound=0.0).sqrt()


@feature(unit="fraction")
def chaikin_volatility_10() -> pl.Expr:
    """Change over 10 rows of the range smoothed over 10 rows.

    References
    ----------
    Chaikin (1996), in Achelis, Technical Analysis from A to Z.
    """
    return returns(10, ema(high - low, 10))
