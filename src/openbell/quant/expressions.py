"""The vocabulary of bar expressions: what a feature or a label is written in.

Every word is a Polars expression over the rows of one symbol, ordered by session, where a session without a bar is a
row of nulls. A value is null where its window holds a null or is not full; it is never infinite and never NaN, because
one infinite value poisons a recursion to the end of the history. What many features stand on is *shared*: a column that
the engine computes once, whose name begins with an underscore and whose definition stands in `SHARED`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from openbell.core.errors import BadInput, DeclarationError

#: How far a recursion must forget its past before its look-back ends: the weight left is at most 1e-9, for at 1e-7 an
#: index of strength still differed by 3e-6 of its standard deviation after the wild months of 2009.
FORGET = 1e9
#: Share of the rows of a recursion's memory that may be sessions without a bar.
MISSING_SHARE = 0.05
SESSIONS_PER_YEAR = 252

#: Columns that the engine computes from the bars before the features, in the order of their need.
SHARED: dict[str, pl.Expr] = {}


def shared(name: str, definition: pl.Expr) -> pl.Expr:
    """Have the engine compute `definition` once, as the column ``_name``; the expression that reads it."""
    column = f"_{name}"
    if column in SHARED and not SHARED[column].meta.eq(definition):
        raise DeclarationError(f"The shared column `{column}` is defined twice. Rename one.")
    SHARED[column] = definition
    return pl.col(column)


open_ = pl.col("open")
high = pl.col("high")
low = pl.col("low")
close = pl.col("close")
volume = pl.col("volume")
raw_close = pl.col("raw_close")
raw_volume = pl.col("raw_volume")
#: Open of the bar, or its close where the whole data set has no opens: the price a decision is filled at.
fill_price = pl.col("fill_price")
dollar_volume = raw_close * raw_volume
typical_price = shared("typical_price", (high + low + close) / 3.0)


def finite(x: pl.Expr) -> pl.Expr:
    """`x`, null where it is infinite or not a number."""
    return pl.when(x.is_finite()).then(x)


def ratio(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """``numerator / denominator``, null where the denominator is 0."""
    return numerator / pl.when(denominator != 0).then(denominator)


def in_usd(x: pl.Expr) -> pl.Expr:
    """An adjusted price level `x` in the dollars of the row's own day.

    The forward-adjusted level is scaled by ``raw_close / close`` of the row, so it compares with that day's quotes
    and strikes and does not depend on where the history begins.
    """
    return x * ratio(raw_close, close)


def returns(sessions: int = 1, x: pl.Expr = close) -> pl.Expr:
    """Simple return over `sessions` rows, a fraction: ``x_t / x_{t-n} - 1``."""
    return ratio(x, x.shift(sessions)) - 1.0


def log_price(x: pl.Expr = close) -> pl.Expr:
    """Natural logarithm of a price, null where the price is not positive."""
    return pl.when(x > 0).then(x.log())


log_close = shared("log_close", log_price(close))
log_volume = shared("log_volume", log_price(volume))
#: Daily log return.
log_return = shared("log_return", log_close - log_close.shift(1))
#: Close of the session before.
previous_close = shared("previous_close", close.shift(1))
#: Change of the close.
change = shared("change", close - previous_close)
#: Wilder's true range: ``max(h - l, |h - c_{t-1}|, |l - c_{t-1}|)``; null on the first row.
true_range = shared(
    "true_range",
    pl.when((high + low + previous_close).is_not_null()).then(
        pl.max_horizontal(high - low, (high - previous_close).abs(), (low - previous_close).abs())
    ),
)


def log_returns(sessions: int) -> pl.Expr:
    """Log return over `sessions` rows: ``ln close_t - ln close_{t-n}``."""
    return log_close - log_close.shift(sessions)


def memory(alpha: float) -> int:
    """Rows after which the weight of the past in an exponential mean of `alpha` is at most 1e-9."""
    if not 0.0 < alpha < 1.0:
        raise BadInput(f"`alpha` of an exponential mean must lie between 0 and 1; was {alpha}.")
    return math.ceil(math.log(FORGET) / -math.log1p(-alpha))


def smoothed(x: pl.Expr, alpha: float, samples: int) -> pl.Expr:
    """Exponential mean ``y_t = (1 - alpha) y_{t-1} + alpha x_t``, started at the first value.

    A session without a bar gives null and the recursion goes on behind it, its old weight decayed by the session.
    Where more than 5 % of its memory has no bar the value is null: the past would be forgotten more slowly than the
    look-back says. `x` itself may be null only before its first value and where there is no bar.

    Parameters
    ----------
    x : values per row. alpha : weight of the newest value. samples : values before the first result.
    """
    rows = memory(alpha)
    missing = close.is_null().cast(pl.Float64).rolling_sum(rows, min_samples=1)
    mean = finite(x).ewm_mean(alpha=alpha, adjust=False, min_samples=samples, ignore_nulls=False)
    return pl.when(missing <= math.floor(MISSING_SHARE * rows)).then(mean)


def wilder(x: pl.Expr, window: int) -> pl.Expr:
    """Wilder's smoothing, the exponential mean of weight ``1 / window``.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return smoothed(x, 1.0 / window, window)


def ema(x: pl.Expr, window: int) -> pl.Expr:
    """Exponential moving average of weight ``2 / (window + 1)``."""
    return smoothed(x, 2.0 / (window + 1), window)


def sma(x: pl.Expr, window: int) -> pl.Expr:
    """Simple moving average over `window` rows."""
    return x.rolling_mean(window)


def total(x: pl.Expr, window: int) -> pl.Expr:
    """Sum over `window` rows."""
    return x.rolling_sum(window)


def standard_deviation(x: pl.Expr, window: int) -> pl.Expr:
    """Sample standard deviation (n - 1) over `window` rows."""
    return x.rolling_std(window)


def highest(x: pl.Expr, window: int) -> pl.Expr:
    """Largest value of `window` rows."""
    return x.rolling_max(window)


def lowest(x: pl.Expr, window: int) -> pl.Expr:
    """Smallest value of `window` rows."""
    return x.rolling_min(window)


def skewness(x: pl.Expr, window: int) -> pl.Expr:
    """Moment skewness ``m3 / m2^1.5`` over `window` rows; null where all values are equal."""
    return finite(x.rolling_skew(window))


def kurtosis(x: pl.Expr, window: int) -> pl.Expr:
    """Excess kurtosis ``m4 / m2^2 - 3`` over `window` rows; null where all values are equal."""
    return finite(x.rolling_kurtosis(window))


def correlation(x: pl.Expr, y: pl.Expr, window: int) -> pl.Expr:
    """Pearson correlation of `x` and `y` over `window` rows, in [-1, 1]; null where one of them is constant."""
    apart = (highest(x, window) > lowest(x, window)) & (highest(y, window) > lowest(y, window))
    return pl.when(apart).then(pl.rolling_corr(x, y, window_size=window).clip(-1.0, 1.0))


def zscore(x: pl.Expr, window: int) -> pl.Expr:
    """How many standard deviations of the last `window` rows the newest value lies from their mean."""
    return ratio(x - sma(x, window), standard_deviation(x, window))


def position(x: pl.Expr, bottom: pl.Expr, top: pl.Expr) -> pl.Expr:
    """Where `x` lies between `bottom` (0) and `top` (1); null where they coincide."""
    return ratio(x - bottom, top - bottom)


def trend_slope(x: pl.Expr, window: int) -> pl.Expr:
    """Slope per row of the least-squares line through the last `window` values.

    ``sum((k - mean k)(x_k)) / sum((k - mean k)^2)`` with k = 0 … window - 1; a line fits exactly and gives its slope.
    """
    centre = (window - 1) / 2.0
    squares = sum((k - centre) ** 2 for k in range(window))
    # Rolling weights do not take nulls: put 0 in their place and take the windows that held one out again.
    weighted = x.fill_null(0.0).rolling_sum(window, weights=[(k - centre) / squares for k in range(window)])
    return pl.when(x.rolling_min(window).is_not_null()).then(weighted)


def annualised(daily: pl.Expr) -> pl.Expr:
    """A daily standard deviation per year: times the root of 252 sessions."""
    return daily * math.sqrt(SESSIONS_PER_YEAR)


def rows_since(event: pl.Expr, cap: int) -> pl.Expr:
    """Rows since `event` was last true, 0 on the row itself, at most `cap`; a null event counts as one."""
    ages = (
        event.cast(pl.Float64)
        .fill_null(1.0)
        .rolling_max(cap + 1, weights=[float(place) for place in range(cap + 1)], min_samples=cap + 1)
    )
    return float(cap) - ages


def banded(x: pl.Expr, edges: Sequence[float]) -> pl.Expr:
    """How many of `edges` lie below `x`: 0 under the first, ``len(edges)`` above the last."""
    return pl.sum_horizontal(*((x > edge).cast(pl.Float64) for edge in edges), ignore_nulls=False)
