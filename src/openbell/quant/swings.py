"""Swing highs and lows: the prices at which a move turned, as seen from a later row."""

from __future__ import annotations

import polars as pl

from openbell.quant.expressions import close, high, low, ratio, shared
from openbell.quant.indicators import atr_14

#: A swing is the extreme of five bars, so it is known two bars after it happened.
PIVOT_ROWS = 5
#: How many rows back a swing still counts.
SWING_ROWS = 60


def _swing_highs(x: pl.Expr) -> pl.Expr:
    """The swing confirmed on this row or one of the two before it, else null; swings are at least three rows apart."""
    turned = (x.shift(2) >= x.rolling_max(PIVOT_ROWS)) & (x.shift(2) > x.rolling_max(2))
    confirmed = pl.when(turned).then(x.shift(2))
    return pl.coalesce(confirmed, confirmed.shift(1), confirmed.shift(2))


def _nearest_above(name: str, x: pl.Expr, price: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    found = shared(f"swing_{name}", _swing_highs(x))
    # Two swings are at least three rows apart, so one look every three rows meets each of them once.
    levels = [found.shift(rows) for rows in range(0, SWING_ROWS, 3)]
    first = shared(f"{name}_1", pl.min_horizontal(*(pl.when(level > price).then(level) for level in levels)))
    second = shared(f"{name}_2", pl.min_horizontal(*(pl.when(level > first).then(level) for level in levels)))
    return first, second


#: The nearest and the second nearest swing high above the close among the last 60 rows, in adjusted dollars.
#: A swing high is the highest of five bars (not below the two bars before it, above the two after it). Null where there
#: is no such swing: a price at its 60-session high has no resistance above it.
resistance_1, resistance_2 = _nearest_above("resistance", high, close)
_below_1, _below_2 = _nearest_above("support", -1.0 * low, -1.0 * close)
#: The nearest and the second nearest swing low below the close among the last 60 rows.
support_1, support_2 = -1.0 * _below_1, -1.0 * _below_2

#: A level where the swings of 60 rows have none is projected: two average true ranges beyond the one before it. The
#: projection is in logarithms, so that a support stays positive.
_step = shared("projected_step", 1.0 + 2.0 * ratio(atr_14, close))
#: Resistances and supports that exist on every row with an average true range: the swings, then projections.
#: ``support_level_2 < support_level_1 < close < resistance_level_1 < resistance_level_2``.
resistance_level_1 = shared("resistance_level_1", pl.coalesce(resistance_1, close * _step))
resistance_level_2 = shared("resistance_level_2", pl.coalesce(resistance_2, resistance_level_1 * _step))
support_level_1 = shared("support_level_1", pl.coalesce(support_1, close / _step))
support_level_2 = shared("support_level_2", pl.coalesce(support_2, support_level_1 / _step))
