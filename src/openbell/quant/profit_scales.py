"""Profit scales: how far the profits of one contract of each symbol and strategy spread, in one unit.

Definitions of S1.02 and S1.03. Grouping by range makes sense only in one unit: the profits of SPX butterflies, read as
USD where they were points, made them "small" with an average of $9.67 beside trades a hundred times smaller.
"""

from __future__ import annotations

from enum import StrEnum

import polars as pl

from openbell.core.errors import BadInput, DataMissing

#: Ranges in USD per contract above which a pair is large, or medium; the boundaries belong to the group below.
LARGE_ABOVE_USD, MEDIUM_ABOVE_USD = 1000.0, 100.0
#: The quantiles between which the robust range lies.
LOW_QUANTILE, HIGH_QUANTILE = 0.01, 0.99


class Scale(StrEnum):
    """How far the profits of a pair reach: above 1000, above 100, or not above 100 USD per contract."""

    LARGE = "Large"
    MEDIUM = "Medium"
    SMALL = "Small"


def scale_of(range_usd: float) -> Scale:
    """The group of a range: above 1000 large, above 100 up to 1000 medium, up to 100 small.

    Parameters
    ----------
    range_usd : largest less smallest profit, USD per contract, not negative.
    """
    if not range_usd >= 0 or range_usd == float("inf"):
        raise BadInput(f"A range is a finite number from 0 on; was {range_usd}.")
    if range_usd > LARGE_ABOVE_USD:
        return Scale.LARGE
    return Scale.MEDIUM if range_usd > MEDIUM_ABOVE_USD else Scale.SMALL


def unit_of(trades: pl.DataFrame) -> tuple[str, float]:
    """The one unit and the one multiplier of the rows that have a profit; several are refused.

    Parameters
    ----------
    trades : ``unit`` (``points`` or ``usd``), ``multiplier`` (USD per point) and ``profit``.

    Raises
    ------
    BadInput : the rows have several units or multipliers, or none, or a unit that is no unit.
    """
    rows = trades.filter(pl.col("profit").is_not_null())
    units = rows.group_by("unit", "multiplier").len().sort("unit", "multiplier", nulls_last=True)
    found = ", ".join(f"{n:,} rows in {unit} × {multiplier}" for unit, multiplier, n in units.iter_rows())
    if units.height != 1:
        raise BadInput(
            f"Profits are compared in one unit, and these rows have {units.height}: {found}. Bring them to one first; "
            "a range over points and USD makes the larger contract look like the smaller."
        )
    unit, multiplier, _ = units.row(0)
    if unit not in ("points", "usd") or multiplier is None or not multiplier > 0:
        raise BadInput(f"Profits are in `points` or in `usd`, with a multiplier above 0; these rows have {found}.")
    return str(unit), float(multiplier)


def profit_scales(trades: pl.DataFrame) -> pl.DataFrame:
    """The profit scale of each symbol and strategy.

    Parameters
    ----------
    trades : ``symbol``, ``strategy``, ``profit`` (per one unit of the structure, null while unknown), ``unit`` and
        ``multiplier``, one row per trade, in any order.

    Returns
    -------
    Sorted by ``key`` (``SYMBOL_Strategy``): ``symbol``, ``strategy``, ``trades``, ``count`` (those with a profit),
    ``missing``; in USD per contract ``average``, ``least``, ``greatest``, ``deviation`` (n - 1 in the denominator;
    null under two), ``range_raw`` (greatest less least), ``range_robust`` (1 % to 99 % quantile, linear between
    neighbours); ``group_raw`` and ``group_robust`` (`Scale`); ``unit`` and ``multiplier`` of the rows. A pair without
    any known profit has counts and nulls.

    Raises
    ------
    BadInput : several units or multipliers, or a profit that is no finite number. DataMissing : no profit is known.

    References
    ----------
    S1.02 (range = greatest less least), S1.03 (groups). Hyndman and Fan (1996), American Statistician 50, 361-365,
    type 7 for the quantiles.
    """
    if trades["profit"].null_count() == trades.height:
        raise DataMissing(f"None of {trades.height:,} trades has a profit yet, so there is no scale to tell.")
    unit, multiplier = unit_of(trades)
    wrong = trades.filter(pl.col("profit").is_not_null() & ~pl.col("profit").is_finite()).height
    if wrong:
        raise BadInput(f"{wrong:,} profits are not finite numbers. A missing profit is null.")
    usd = pl.col("profit") * (multiplier if unit == "points" else 1.0)
    table = trades.with_columns(usd.alias("usd")).group_by("symbol", "strategy").agg(_measures())
    named = table.with_columns(
        pl.concat_str("symbol", "strategy", separator="_").alias("key"),
        *(_group(f"range_{kind}").alias(f"group_{kind}") for kind in ("raw", "robust")),
        pl.lit(unit).alias("unit"),
        pl.lit(multiplier).alias("multiplier"),
    )
    return named.select("key", pl.exclude("key")).sort("key")


def _measures() -> list[pl.Expr]:
    usd = pl.col("usd")
    robust = usd.quantile(HIGH_QUANTILE, "linear") - usd.quantile(LOW_QUANTILE, "linear")
    return [
        pl.len().cast(pl.Int64).alias("trades"),
        usd.count().cast(pl.Int64).alias("count"),
        usd.null_count().cast(pl.Int64).alias("missing"),
        usd.mean().alias("average"),
        usd.min().alias("least"),
        usd.max().alias("greatest"),
        usd.std().alias("deviation"),
        (usd.max() - usd.min()).alias("range_raw"),
        robust.alias("range_robust"),
    ]


def _group(name: str) -> pl.Expr:
    """`scale_of` for a column."""
    column = pl.col(name)
    return (
        pl.when(column > LARGE_ABOVE_USD)
        .then(pl.lit(Scale.LARGE.value))
        .when(column > MEDIUM_ABOVE_USD)
        .then(pl.lit(Scale.MEDIUM.value))
        .when(column.is_not_null())
        .then(pl.lit(Scale.SMALL.value))
    )
