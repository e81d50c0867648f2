"""The vocabulary of a session up to its cut-off: what its early features are written in.

Two kinds of expressions. An *early* one aggregates the bars of ONE session that had ended by the cut-off (columns of
`core.session.EARLY`). A *session* one stands over the ordered sessions of one product: it sees what the early ones
gave, regular hours of the session BEFORE (``prev_*``, and under the names ``open`` to ``volume``, so that the whole
vocabulary of bars speaks of the days before), and other markets as of the cut-off. What many features stand on is
*shared*: an early aggregation that the engine computes once, whose name begins with ``_early_``.
"""

from __future__ import annotations

import polars as pl

from openbell.core.errors import DeclarationError
from openbell.quant.chain_expressions import sum_of
from openbell.quant.expressions import SHARED, finite, ratio
from openbell.quant.indicators import atr_14

#: What a feature of a session reads: the early bars of one session, or all sessions up to its own.
EARLY_READS, SESSION_READS = "early", "session"
#: A bar comes back to an extreme within NEAR of the range, after it had been AWAY of the range from it.
NEAR, AWAY = 0.10, 0.25
#: Minutes of the opening range.
OPENING_RANGE_MINUTES = 15

#: Aggregations of the early bars that the engine computes for each session, by column.
EARLY_SHARED: dict[str, pl.Expr] = {}


def early(name: str, definition: pl.Expr) -> pl.Expr:
    """Have the engine aggregate `definition` over each session's early bars, as ``_early_name``; what reads it."""
    column = f"_early_{name}"
    if column in SHARED or (column in EARLY_SHARED and not EARLY_SHARED[column].meta.eq(definition)):
        raise DeclarationError(f"The shared column `{column}` is defined twice. Rename one.")
    EARLY_SHARED[column] = definition
    return pl.col(column)


regular = pl.col("regular")
#: Bars before the regular open; one that straddles it is neither here nor in regular hours.
overnight = ~regular & (pl.col("minutes") <= 0)
opening = regular & (pl.col("minutes") <= OPENING_RANGE_MINUTES)
_open, _high, _low, _close, _volume = (pl.col(name) for name in ("open", "high", "low", "close", "volume"))
_typical = (_high + _low + _close) / 3.0

#: Sign of a bar's trading: up where it closes above its open, down below; where they are equal the tick rule, against
#: the close before.
bar_sign = (
    pl.when(_close != _open).then((_close - _open).sign()).otherwise((_close - _close.shift(1)).sign().fill_null(0.0))
)


def signed_volume_share(rows: pl.Expr) -> pl.Expr:
    """Cumulative delta as a part of the volume, in [-1, 1]: volume signed by `bar_sign`; null without volume."""
    return ratio(sum_of(bar_sign * _volume, rows), sum_of(_volume, rows))


def volume_weighted_price(rows: pl.Expr) -> pl.Expr:
    """Mean of the typical price ``(h + l + c) / 3`` weighted by volume; null without volume."""
    return ratio(sum_of(_typical * _volume, rows), sum_of(_volume, rows))


def visits(near: pl.Expr, away: pl.Expr) -> pl.Expr:
    """How often a path comes back: stretches that are `near` with an `away` between them, less the first."""
    state = pl.when(near).then(1.0).when(away).then(0.0).forward_fill()
    arrived = (state == 1.0) & (state.shift(1).fill_null(0.0) == 0.0)
    return (arrived.sum().cast(pl.Float64) - 1.0).clip(lower_bound=0.0)


def tests_of_extreme(side: str, rows: pl.Expr) -> pl.Expr:
    """How often bars came back to the running high (``high``) or low (``low``), a count.

    A bar is back where it comes within `NEAR` of the range of `rows` of the extreme of the bars before it, or passes
    it, after one that stayed at least `AWAY` of the range from it. The first bar is at its own extreme.
    """
    x = (_high if side == "high" else -1.0 * _low).filter(rows)
    width = _high.filter(rows).max() - _low.filter(rows).min()
    before = x.cum_max().shift(1).fill_null(x.first())
    return visits(x >= before - NEAR * width, x < before - AWAY * width)


def path_efficiency(rows: pl.Expr) -> pl.Expr:
    """Last close less first open over the length of the path of closes between them, in [-1, 1] (Kaufman 1995)."""
    path = _close.filter(rows)
    start = _open.filter(rows).first()
    return ratio(path.last() - start, (path.first() - start).abs() + path.diff().abs().sum())


def straightness(rows: pl.Expr) -> pl.Expr:
    """Correlation of the closes with the minutes, in [-1, 1]; null where the price did not move."""
    price = _close.filter(rows)
    found = finite(pl.corr(pl.col("minutes").cast(pl.Float64).filter(rows), price))
    return pl.when(price.max() > price.min()).then(found.clip(-1.0, 1.0))


def minutes_since(side: str, rows: pl.Expr) -> pl.Expr:
    """Minutes from the end of the first bar that made the extreme of `rows` to the end of the last bar."""
    x = (_high if side == "high" else -1.0 * _low).filter(rows)
    minutes = pl.col("minutes").cast(pl.Float64).filter(rows)
    return minutes.last() - minutes.get(x.arg_max(), null_on_oob=True)


def share_above_average(rows: pl.Expr) -> pl.Expr:
    """Share of bars that closed above the volume-weighted price up to them."""
    value, traded = (_typical * _volume).filter(rows).cum_sum(), _volume.filter(rows).cum_sum()
    return (_close.filter(rows) > ratio(value, traded)).cast(pl.Float64).mean()


#: Of regular hours up to the cut-off: open, last close, extremes, volume and volume-weighted price.
regular_open = early("regular_open", _open.filter(regular).first())
price = early("price", _close.filter(regular).last())
window_high = early("window_high", _high.filter(regular).max())
window_low = early("window_low", _low.filter(regular).min())
window_volume = early("window_volume", sum_of(_volume, regular))
window_average = early("window_average", volume_weighted_price(regular))
#: Extremes and volume of the hours before the regular open.
overnight_high = early("overnight_high", _high.filter(overnight).max())
overnight_low = early("overnight_low", _low.filter(overnight).min())
overnight_volume = early("overnight_volume", sum_of(_volume, overnight))
#: Extremes of the opening range.
opening_high = early("opening_high", _high.filter(opening).max())
opening_low = early("opening_low", _low.filter(opening).min())

prev_open, prev_high, prev_low, prev_close, prev_volume = (
    pl.col(f"prev_{name}") for name in ("open", "high", "low", "close", "volume")
)
#: Wilder's average true range of 14 days, up to the session before; and in percent of that range.
atr = atr_14


def in_atr(x: pl.Expr) -> pl.Expr:
    """`x` in average true ranges of the days before."""
    return ratio(x, atr)


def sessions_since_extreme(side: str, window: int) -> pl.Expr:
    """Sessions since the highest high or lowest low of the last `window` days before, 1 for yesterday.

    The newest of several; null where one of the days is missing.
    """
    x = pl.col("high") if side == "high" else -1.0 * pl.col("low")
    top = x.rolling_max(window)
    ages = [pl.when(x.shift(age) >= top).then(float(age + 1)) for age in range(window)]
    return pl.when(top.is_not_null()).then(pl.min_horizontal(*ages))
