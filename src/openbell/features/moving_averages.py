"""Moving averages: the close against them, their order, their slopes and crossings, and what is made of several.

Every value is a ratio, so it says the same of a share of 5 and of 5,000 dollars, on bars of a minute and of a day.
"""

from __future__ import annotations

import itertools

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import (
    close,
    ema,
    high,
    highest,
    low,
    lowest,
    ratio,
    returns,
    shared,
    sma,
    trend_slope,
)
from openbell.quant.indicators import atr_14, macd_line, macd_trigger

#: The averages of the field's standard set, rows.
WINDOWS = (5, 10, 20, 50, 200)
PAIRS = ((5, 20), (20, 50), (50, 200))
#: Rows within which a crossing still counts, and over which a slope is taken.
RECENT = 5
#: Averages of a price that stands still differ by rounding alone: less than this share of the price is no difference.
SAME = 1e-9

_simple = {window: shared(f"sma_{window}", sma(close, window)) for window in WINDOWS}
_exponential = {window: shared(f"ema_{window}", ema(close, window)) for window in WINDOWS}


def _side(difference: pl.Expr) -> pl.Expr:
    """1 where `difference` is above 0, -1 below, 0 where it is rounding: up to a billionth of the price."""
    relative = ratio(difference, close)
    return (relative > SAME).cast(pl.Float64) - (relative < -SAME).cast(pl.Float64)


def _order(means: dict[int, pl.Expr]) -> pl.Expr:
    """Mean side of each faster average to each slower one."""
    signs = [_side(means[fast] - means[slow]) for fast, slow in itertools.combinations(WINDOWS, 2)]
    agreed = signs[0]
    for sign in signs[1:]:
        agreed = agreed + sign
    return agreed / float(len(signs))


def _crossed(difference: pl.Expr) -> pl.Expr:
    """Change of the side within the last rows, a step from one side to the other being 1."""
    side = _side(difference)
    return (side - side.shift(RECENT)) / 2.0


def _weighted(x: pl.Expr, window: int) -> pl.Expr:
    """Linearly weighted mean: the plain mean, moved along the least-squares line by a sixth of the window."""
    return sma(x, window) + trend_slope(x, window) * ((window - 1) / 6.0)


@feature(unit="fraction", name="price_vs_ema_{window}", over={"window": (5, 10, 20, 200)})
def price_vs_ema(window: int) -> pl.Expr:
    """Close against its exponential average: ``close / EMA_n - 1``.

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    return ratio(close, _exponential[window]) - 1.0


@feature(unit="share in [-1, 1]")
def sma_order() -> pl.Expr:
    """How far the simple averages of 5, 10, 20, 50 and 200 rows stand in the order of a rise.

    Mean sign of faster less slower over their ten pairs: 1 in a rise of all, -1 in a fall of all.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return _order(_simple)


@feature(unit="share in [-1, 1]")
def ema_order() -> pl.Expr:
    """How far the exponential averages of 5, 10, 20, 50 and 200 rows stand in the order of a rise.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return _order(_exponential)


@feature(unit="fraction", name="sma_ratio_{pair[0]}_{pair[1]}", over={"pair": ((5, 20), (10, 50))})
def sma_ratio(pair: tuple[int, int]) -> pl.Expr:
    """Fast simple average against the slow one: ``SMA_fast / SMA_slow - 1``.

    References
    ----------
    Brock, Lakonishok and LeBaron (1992), Journal of Finance 47, 1731-1764.
    """
    return ratio(_simple[pair[0]], _simple[pair[1]]) - 1.0


@feature(unit="fraction", name="ema_ratio_{pair[0]}_{pair[1]}", over={"pair": PAIRS})
def ema_ratio(pair: tuple[int, int]) -> pl.Expr:
    """Fast exponential average against the slow one: ``EMA_fast / EMA_slow - 1``.

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    return ratio(_exponential[pair[0]], _exponential[pair[1]]) - 1.0


@feature(unit="-1 to 1", name="sma_crossing_{pair[0]}_{pair[1]}", over={"pair": PAIRS})
def sma_crossing(pair: tuple[int, int]) -> pl.Expr:
    """1 where the fast simple average has crossed above the slow one within 5 rows, -1 below, 0 not at all.

    References
    ----------
    Brock, Lakonishok and LeBaron (1992), Journal of Finance 47, 1731-1764.
    """
    return _crossed(_simple[pair[0]] - _simple[pair[1]])


@feature(unit="-1 to 1", name="ema_crossing_{pair[0]}_{pair[1]}", over={"pair": PAIRS})
def ema_crossing(pair: tuple[int, int]) -> pl.Expr:
    """1 where the fast exponential average has crossed above the slow one within 5 rows, -1 below, 0 not at all.

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    return _crossed(_exponential[pair[0]] - _exponential[pair[1]])


@feature(unit="fraction", name="sma_slope_{window}", over={"window": (20, 50, 200)})
def sma_slope(window: int) -> pl.Expr:
    """Change of the simple average over 5 rows: ``SMA_t / SMA_{t-5} - 1``.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return returns(RECENT, _simple[window])


@feature(unit="fraction of the price")
def macd_signal_relative() -> pl.Expr:
    """Signal line of MACD (the EMA9 of EMA12 - EMA26) over the close.

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    return ratio(macd_trigger, close)


@feature(unit="average true ranges")
def macd_histogram_to_atr() -> pl.Expr:
    """MACD line less its signal, over the average true range of 14 rows.

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    return ratio(macd_line - macd_trigger, atr_14)


@feature(unit="-1 to 1")
def macd_crossing() -> pl.Expr:
    """1 where the MACD line has crossed above its signal within 5 rows, -1 below, 0 not at all.

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    return _crossed(macd_line - macd_trigger)


@feature(unit="fraction")
def price_vs_wma_20() -> pl.Expr:
    """Close against its linearly weighted average of 20 rows.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return ratio(close, _weighted(close, 20)) - 1.0


@feature(unit="fraction")
def price_vs_hull_16() -> pl.Expr:
    """Close against Hull's average of 16 rows: ``WMA_4(2 WMA_8 - WMA_16)``.

    References
    ----------
    Hull (2005), How to reduce lag in a moving average.
    """
    return ratio(close, _weighted(2.0 * _weighted(close, 8) - _weighted(close, 16), 4)) - 1.0


@feature(unit="fraction")
def price_vs_dema_20() -> pl.Expr:
    """Close against the double exponential average: ``2 EMA - EMA(EMA)``.

    References
    ----------
    Mulloy (1994), Technical Analysis of Stocks & Commodities 12.
    """
    once = _exponential[20]
    return ratio(close, 2.0 * once - ema(once, 20)) - 1.0


@feature(unit="fraction")
def price_vs_tema_20() -> pl.Expr:
    """Close against the triple exponential average: ``3 EMA - 3 EMA(EMA) + EMA(EMA(EMA))``.

    References
    ----------
    Mulloy (1994), Technical Analysis of Stocks & Commodities 12.
    """
    once = _exponential[20]
    twice = ema(once, 20)
    return ratio(close, 3.0 * once - 3.0 * twice + ema(twice, 20)) - 1.0


@feature(unit="fraction")
def price_vs_linear_fit_20() -> pl.Expr:
    """Close against the end of the least-squares line through the last 20 closes.

    References
    ----------
    Chande and Kroll (1994), The New Technical Trader (forecast oscillator).
    """
    return ratio(close, sma(close, 20) + trend_slope(close, 20) * 9.5) - 1.0


@feature(unit="fraction")
def trix_15() -> pl.Expr:
    """Change per row of the triple exponential smoothing of 15 rows.

    References
    ----------
    Hutson (1983), Technical Analysis of Stocks & Commodities 1.
    """
    return returns(1, ema(ema(ema(close, 15), 15), 15))


@feature(unit="fraction of the price")
def detrended_price_20() -> pl.Expr:
    """Detrended price: the close of 11 rows before less the average of 20, over the close.

    References
    ----------
    Achelis (2000), Technical Analysis from A to Z.
    """
    return ratio(close.shift(11) - _simple[20], close)


@feature(unit="fraction")
def know_sure_thing() -> pl.Expr:
    """Know sure thing: returns of 10, 15, 20 and 30 rows, averaged over 10, 10, 10 and 15, weighted 1, 2, 3 and 4.

    References
    ----------
    Pring (1992), Technical Analysis of Stocks & Commodities 10.
    """
    parts = [weight * sma(returns(rows), mean) for weight, rows, mean in ((1, 10, 10), (2, 15, 10), (3, 20, 10))]
    return parts[0] + parts[1] + parts[2] + 4.0 * sma(returns(30), 15)


@feature(unit="fraction")
def coppock_curve() -> pl.Expr:
    """Coppock's curve: the weighted average of 10 rows of the returns of 14 and of 11 rows together.

    References
    ----------
    Coppock (1962), Barron's, 15 October 1962.
    """
    return _weighted(returns(14) + returns(11), 10)


_median = (high + low) / 2.0
_awesome = shared("awesome_oscillator", sma(_median, 5) - sma(_median, 34))


@feature(unit="fraction of the price")
def awesome_oscillator() -> pl.Expr:
    """Average of 5 middles of high and low less that of 34, over the close.

    References
    ----------
    Williams (1998), New Trading Dimensions.
    """
    return ratio(_awesome, close)


@feature(unit="fraction of the price")
def accelerator_oscillator() -> pl.Expr:
    """Awesome oscillator less its average of 5 rows, over the close.

    References
    ----------
    Williams (1998), New Trading Dimensions.
    """
    return ratio(_awesome - sma(_awesome, 5), close)


def _middle(window: int) -> pl.Expr:
    return (highest(high, window) + lowest(low, window)) / 2.0


@feature(unit="fraction of the price")
def ichimoku_conversion_to_base() -> pl.Expr:
    """Middle of the range of 9 rows (Tenkan) less that of 26 (Kijun), over the close.

    References
    ----------
    Hosoda (1969), Ichimoku Kinko Hyo; Elliott (2007), Ichimoku Charts.
    """
    return ratio(_middle(9) - _middle(26), close)


@feature(unit="fraction of the price")
def ichimoku_cloud_distance() -> pl.Expr:
    """How far the close lies above (positive) or below the cloud of this row, drawn 26 rows before; 0 inside it.

    References
    ----------
    Hosoda (1969), Ichimoku Kinko Hyo; Elliott (2007), Ichimoku Charts.
    """
    first, second = ((_middle(9) + _middle(26)) / 2.0).shift(26), _middle(52).shift(26)
    above = (close - pl.max_horizontal(first, second)).clip(lower_bound=0.0)
    below = (pl.min_horizontal(first, second) - close).clip(lower_bound=0.0)
    return pl.when((first + second).is_not_null()).then(ratio(above - below, close))
