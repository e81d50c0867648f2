"""Corporate actions out of a raw and an adjusted close, one pair of rows at a time."""

from __future__ import annotations

import math

import polars as pl

from openbell.market.batch import ACTIONS, empty

#: Ratios of splits that occur, as factors on the price; the reverse of each occurs too.
SPLIT_RATIOS = (
    5 / 4,
    4 / 3,
    3 / 2,
    2.0,
    5 / 2,
    3.0,
    4.0,
    5.0,
    6.0,
    7.0,
    8.0,
    10.0,
    12.0,
    15.0,
    20.0,
    25.0,
    30.0,
    40.0,
    50.0,
)
#: How near to one of them a factor must be to be called a split and not a distribution.
SPLIT_TOLERANCE = 1e-3
#: Rounding to so many decimals is looked for; a price with more is taken as a binary number, one with fewer as cents.
DECIMALS = (2, 3, 4, 5, 6)
CENT = 0.005
#: Yahoo multiplies single-precision factors, so that its adjusted closes carry about 3e-6 of noise (measured).
NOISE = 4e-6


def factors(bars: pl.DataFrame) -> pl.DataFrame:
    """Factor that makes each row continuous with the row of the same symbol before it.

    ``factor_t = (adj_t / adj_{t-1}) / (close_t / close_{t-1})`` from rows t and t-1 alone, so that a later row
    changes nothing.

    Parameters
    ----------
    bars : columns ``symbol``, ``session``, ``close``, ``adj_close``, prices above 0, one row per symbol and session.

    Returns
    -------
    ``symbol``, ``session``, ``previous`` (session of the row before), ``factor`` and ``noise`` (the largest
    difference from 1 that the stored precision alone can make), sorted; the first row of a symbol has none.
    """
    rows = bars.filter(pl.col("adj_close").is_not_null()).sort("symbol", "session")
    before = [pl.col(name).shift(1).over("symbol").alias(f"{name}_before") for name in ("close", "adj_close")]
    rows = rows.with_columns(*before, pl.col("session").shift(1).over("symbol").alias("previous"))
    rows = rows.with_columns(*_rounding("close"), *_rounding("adj_close"))
    # A close in cents is the price itself; only beside adjusted closes in cents may it be a rounded one.
    exact = (pl.col("close_rounding") >= CENT) & (pl.col("adj_close_rounding") < CENT)
    rows = rows.with_columns(pl.when(exact).then(0.0).otherwise("close_rounding").alias("close_rounding"))
    relative = [
        pl.col(f"{name}_rounding") * (1 / pl.col(name) + 1 / pl.col(f"{name}_before"))
        for name in ("close", "adj_close")
    ]
    factor = (pl.col("adj_close") / pl.col("adj_close_before")) / (pl.col("close") / pl.col("close_before"))
    return rows.filter(pl.col("previous").is_not_null()).select(
        "symbol", "session", "previous", factor.alias("factor"), (NOISE + relative[0] + relative[1]).alias("noise")
    )


def _rounding(name: str) -> list[pl.Expr]:
    """Half a unit of the last decimal that `name` has shown so far in its symbol; 0 where it is no rounded number."""
    step = pl.lit(0.0)
    for decimals in reversed(DECIMALS):
        scaled = pl.col(name) * 10.0**decimals
        is_rounded = (scaled - scaled.round()).abs() <= 1e-9 * scaled.abs().clip(1.0)
        step = pl.when(is_rounded).then(0.5 * 10.0**-decimals).otherwise(step)
    # The precision of a symbol is the finest seen up to the row: 88.10 does not say that only one decimal is kept.
    return [step.cum_min().over("symbol").alias(f"{name}_rounding")]


def split_like(factor: pl.Expr, tolerance: float = SPLIT_TOLERANCE) -> pl.Expr:
    """Whether `factor` or its reverse is a simple split ratio within the relative `tolerance`."""
    size = factor.log().abs()
    return pl.any_horizontal((size - math.log(ratio)).abs() <= tolerance for ratio in SPLIT_RATIOS)


def derived_actions(bars: pl.DataFrame) -> pl.DataFrame:
    """Actions that `close` and `adj_close` of `bars` imply, beyond the noise of the stored precision."""
    if bars.is_empty() or bars["adj_close"].null_count() == bars.height:
        return empty(ACTIONS)
    return named(factors(bars).filter((pl.col("factor") - 1).abs() > pl.col("noise")))


def named(found: pl.DataFrame) -> pl.DataFrame:
    """`found` factors as actions: a simple ratio is a split, anything else a distribution."""
    kind = pl.when(split_like(pl.col("factor"))).then(pl.lit("split")).otherwise(pl.lit("distribution"))
    return found.select("symbol", "session", kind.alias("kind"), "factor")
