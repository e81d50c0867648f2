"""The vocabulary of features of proposed trades: expressions over one row of `core.trade_rows` and its facts."""

from __future__ import annotations

import math

import polars as pl

from openbell.core.ticket import Scale

price = pl.col("price")
#: One standard deviation of the underlying to the expiry, points; never 0.
implied_move = pl.col("implied_move")

#: A level lies within these multiples of the price; a score lies between -1 and 1, where no price of ours does.
LEVEL_LOW, LEVEL_HIGH, SCORE_MOST = 0.5, 2.0, 1.0


def within_moves(points: pl.Expr) -> pl.Expr:
    """`points` in implied moves."""
    return points / implied_move


def as_level(column: str) -> pl.Expr:
    """The value of `column` where it is a price level, from half to twice the price and above 1; else null."""
    x = pl.col(column)
    return pl.when((x >= LEVEL_LOW * price) & (x <= LEVEL_HIGH * price) & (x > SCORE_MOST)).then(x)


def as_score(column: str) -> pl.Expr:
    """The value of `column` where it is a score from -1 to 1; else null."""
    x = pl.col(column)
    return pl.when(x.abs() <= SCORE_MOST).then(x)


def scale(column: str) -> pl.Expr:
    """What the value of `column` is, `Scale.LEVEL` or `Scale.SCORE`; null where it is neither."""
    level = pl.when(as_level(column).is_not_null()).then(pl.lit(Scale.LEVEL.value))
    return level.when(as_score(column).is_not_null()).then(pl.lit(Scale.SCORE.value))


def margin(level: pl.Expr) -> pl.Expr:
    """How far `level` lies inside the stretch where the trade wins, in implied moves; below 0 outside of it.

    The distance to the nearer breakeven. Where the trade wins outside of its two breakevens the sign is turned. Null
    without breakevens.
    """
    inside = pl.min_horizontal(level - pl.col("breakeven_low"), pl.col("breakeven_high") - level)
    between = pl.col("wins_between")
    return within_moves(pl.when(between).then(inside).when(between.is_not_null()).then(-inside))


_ROOT_OF_TWO_PI = math.sqrt(2.0 * math.pi)


def _density(breakeven: str) -> pl.Expr:
    """Standard normal density at a breakeven, under the lognormal of the price; 0 where there is none."""
    deviation = pl.col("deviation")
    z = (pl.col(breakeven) / price).log() / deviation + 0.5 * deviation
    return pl.when(z.is_not_null()).then((z * z * -0.5).exp() / _ROOT_OF_TWO_PI).otherwise(0.0)


def tilt(level: pl.Expr) -> pl.Expr:
    """What a mean of the underlying at `level`, in place of the price, adds to the log-odds of a win, to first order.

    The shift in implied moves times the slope of the log-odds in the mean: the difference of the density at the two
    breakevens over ``p (1 - p)``, p the probability that the price implies. One sign for every structure: above 0 the
    level speaks for the trade. Null without breakevens, and where the price leaves no doubt.
    """
    p, between = pl.col("price_probability"), pl.col("wins_between")
    slope = (_density("breakeven_low") - _density("breakeven_high")) / (p * (1.0 - p))
    signed = pl.when(between).then(slope).when(between.is_not_null()).then(-slope)
    ends = pl.col("breakeven_low").is_not_null() | pl.col("breakeven_high").is_not_null()
    known = ends & pl.col("deviation").is_not_null() & (p > 0.0) & (p < 1.0)
    return within_moves(level - price) * pl.when(known).then(signed)
