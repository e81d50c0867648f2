"""Indicators that more than one family is built from, in their authors' definitions."""

from __future__ import annotations

import polars as pl

from openbell.quant.expressions import (
    annualised,
    change,
    close,
    ema,
    high,
    highest,
    log_return,
    low,
    lowest,
    position,
    ratio,
    shared,
    sma,
    standard_deviation,
    true_range,
    volume,
    wilder,
)

#: MACD: EMA12 - EMA26 of the close, and its EMA9 (Appel 2005).
macd_line = shared("macd_line", ema(close, 12) - ema(close, 26))
macd_trigger = shared("macd_trigger", ema(macd_line, 9))

_rise = shared("rise", high - high.shift(1))
_fall = shared("fall", low.shift(1) - low)
#: Directional movements (Wilder 1978): the larger of today's excess above and below yesterday's range, the other 0.
plus_dm = pl.when((_rise + _fall).is_not_null()).then(pl.when((_rise > _fall) & (_rise > 0)).then(_rise).otherwise(0.0))
minus_dm = pl.when((_rise + _fall).is_not_null()).then(
    pl.when((_fall > _rise) & (_fall > 0)).then(_fall).otherwise(0.0)
)
_smoothed_plus = shared("smoothed_plus", wilder(plus_dm, 14))
_smoothed_minus = shared("smoothed_minus", wilder(minus_dm, 14))
#: Average true range of 14 rows by Wilder's smoothing, in adjusted dollars.
atr_14 = shared("atr_14", wilder(true_range, 14))
#: Directional indicators of 14 rows, 0 to 100.
di_plus_14 = shared("di_plus_14", 100.0 * ratio(_smoothed_plus, atr_14))
di_minus_14 = shared("di_minus_14", 100.0 * ratio(_smoothed_minus, atr_14))
_dx = shared("dx", 100.0 * ratio((_smoothed_plus - _smoothed_minus).abs(), _smoothed_plus + _smoothed_minus))
#: Average directional index of 14 rows, 0 to 100: Wilder's mean of ``100 |+DI - -DI| / (+DI + -DI)``.
adx_14 = shared("adx_14", wilder(_dx, 14))

#: Historical volatility of 20 rows: sample standard deviation of the daily log returns, times the root of 252.
hv_20 = shared("hv_20", annualised(standard_deviation(log_return, 20)))
#: Where it lies in its range of 252 rows, 0 to 100.
hv_rank_252 = shared("hv_rank_252", 100.0 * position(hv_20, lowest(hv_20, 252), highest(hv_20, 252)))

#: Volatility of one bar: sample standard deviation of 20 log returns. What bands, stops and targets are scaled by.
bar_volatility = shared("bar_volatility", standard_deviation(log_return, 20))

#: Volume signed by the direction of the close, 0 where it is unchanged (Granville 1963).
signed_volume = shared("signed_volume", volume * change.sign())
#: Volume over its mean of 20 rows.
relative_volume = shared("relative_volume", ratio(volume, sma(volume, 20)))


def rsi(window: int) -> pl.Expr:
    """Wilder's relative strength index, 0 to 100; null where the close has not moved for the whole window."""
    gains = wilder(change.clip(lower_bound=0.0), window)
    losses = wilder(-1.0 * change.clip(upper_bound=0.0), window)
    moved = highest(close, window + 1) > lowest(close, window + 1)
    return pl.when(moved).then(100.0 * ratio(gains, gains + losses))


def historical_volatility(window: int) -> pl.Expr:
    """Sample standard deviation of `window` daily log returns, times the root of 252."""
    return annualised(standard_deviation(log_return, window))


def bollinger(window: int, deviations: float) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Lower band, middle and upper band: mean and population standard deviations of the close (Bollinger 2001)."""
    middle = sma(close, window)
    width = deviations * close.rolling_std(window, ddof=0)
    return middle - width, middle, middle + width
