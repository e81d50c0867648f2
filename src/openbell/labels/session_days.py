"""What kind of day it was, and which way it went: outcomes of a session, told by how it ended, not by how it began.

A value is the code of a class in the order of `core.session.CLASSES`. All are null where the session's regular hours
are not all there, and archetypes where its high equals its low.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import label
from openbell.core.session import CLASSES
from openbell.quant.expressions import position

_open, _high, _low, _close = (pl.col(f"day_{name}") for name in ("open", "high", "low", "close"))
#: Where the close lies in the range of the day.
_place = position(_close, _low, _high)
#: Beyond a third of the range from the ends a close lies in the middle.
UPPER, LOWER = 2.0 / 3.0, 1.0 / 3.0
#: A trend gives back at most so much of the day's range on its way.
MOST_RETRACEMENT = 0.5
#: So many returns to the extremes, or crossings of the middle, and a day that turned was no turn but a range.
RANGE_TESTS, RANGE_CROSSINGS = 2.0, 3.0


def _code(name: str, chosen: str) -> pl.Expr:
    return pl.lit(CLASSES[name].index(chosen), dtype=pl.Int8)


def _direction(name: str, start: pl.Expr) -> pl.Expr:
    both = start.is_not_null() & _close.is_not_null()
    return pl.when(both & (_close > start)).then(_code(name, "UP")).when(both).then(_code(name, "DOWN"))


@label(reads="session_outcomes", unit="class", name="archetype_by_range", over={"horizon": [1]})
def archetype_by_range(horizon: int) -> pl.Expr:
    """Where the day closed in its range: TREND_UP above two thirds, TREND_DOWN below one third, else RANGE.

    ``(close - low) / (high - low)`` of regular hours; exactly two thirds or one third is RANGE; null where the high
    equals the low.
    """
    name = "archetype_by_range"
    return (
        pl.when(_place > UPPER).then(_code(name, "TREND_UP"))
        .when(_place < LOWER).then(_code(name, "TREND_DOWN"))
        .when(_place.is_not_null()).then(_code(name, "RANGE"))
    )  # fmt: skip


@label(reads="session_outcomes", unit="class", name="archetype_by_structure", over={"horizon": [1]})
def archetype_by_structure(horizon: int) -> pl.Expr:
    """How the day went from its open to its close: one class of four, and always exactly one.

    With ``p = (close - low) / (high - low)``, and the retracement: the largest move against the sign of close - open
    within the day, as a part of its range (of an unchanged day the larger of its largest fall and its largest rise):

    - TREND_UP: ``p >= 2/3``, close > open, retracement at most 1/2: it opened in the lower half and gave back little.
    - TREND_DOWN: the mirror image, ``p <= 1/3``, close < open.
    - REVERSAL: it closed in an outer third, but only after a move the other way of more than half of the range: the
      extreme at the far end was made first. Unless it kept turning, as the next class says.
    - RANGE: it closed in the middle third; or it moved the other way by more than half of the range and came back to
      its extremes twice or more (`tests_high` + `tests_low`) or crossed the middle three times or more.

    Null where the high equals the low.
    """
    name = "archetype_by_structure"
    straight = pl.col("retracement") <= MOST_RETRACEMENT
    turning = (pl.col("tests_high") + pl.col("tests_low") >= RANGE_TESTS) | (pl.col("crossings") >= RANGE_CROSSINGS)
    up, down = (_place >= UPPER) & (_close > _open), (_place <= LOWER) & (_close < _open)
    end = (_place >= UPPER) | (_place <= LOWER)
    return (
        pl.when(up & straight).then(_code(name, "TREND_UP"))
        .when(down & straight).then(_code(name, "TREND_DOWN"))
        .when(end & ~turning).then(_code(name, "REVERSAL"))
        .when(_place.is_not_null()).then(_code(name, "RANGE"))
    )  # fmt: skip


@label(reads="session_outcomes", unit="class", name="direction_of_day", over={"horizon": [1]})
def direction_of_day(horizon: int) -> pl.Expr:
    """UP where the regular hours closed above their open, else DOWN; equal is DOWN.

    It holds the move before the cut-off, which its features have seen: a call of it is worth less than it looks, and
    no trade earns it. `direction_from_cutoff` is what a trade earns.
    """
    return _direction("direction_of_day", _open)


@label(reads="session_outcomes", unit="class", name="direction_from_cutoff", over={"horizon": [1]})
def direction_from_cutoff(horizon: int) -> pl.Expr:
    """UP where the regular hours closed above the entry after the cut-off, else DOWN; equal is DOWN.

    Null where no bar to enter at began within 30 minutes of the cut-off.
    """
    return _direction("direction_from_cutoff", pl.col("entry"))
