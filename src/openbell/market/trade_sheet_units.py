"""In which unit the profits of a sheet are: points like its premiums, or USD per contract."""

from __future__ import annotations

from typing import Literal

import polars as pl

#: USD per point of every contract in the sheets: American equity and index options.
MULTIPLIER = 100.0
Unit = Literal["auto", "points", "usd"]
#: Half of the rows that can tell decide for their sheet.
MAJORITY = 0.5
#: A structure cannot pay more than its width but for rounding: cents in the sheet, 5 % for slippage of the fill.
_SLACK, _CENTS = 1.05, 0.05


def width() -> pl.Expr:
    """Points between the strikes that bound a structure's payoff, from its legs; null without enough of them.

    Vertical: between its two strikes. Butterfly: between the outer ones. Iron condor: its wider wing.
    """
    strike = [pl.col(f"strike{leg}") for leg in range(1, 5)]
    count = pl.sum_horizontal(each.is_not_null().cast(pl.Int64) for each in strike)
    outer = pl.max_horizontal(strike) - pl.min_horizontal(strike)
    # Of two sorted pairs, the lower two of all four are the least and the next; the upper two likewise.
    low, high = (pl.min_horizontal(pair) for pair in (strike[:2], strike[2:]))
    top, other = (pl.max_horizontal(pair) for pair in (strike[:2], strike[2:]))
    between = pl.max_horizontal(low, high), pl.min_horizontal(top, other)
    second, third = pl.min_horizontal(between), pl.max_horizontal(between)
    wings = pl.max_horizontal(second - pl.min_horizontal(strike), pl.max_horizontal(strike) - third)
    condor = pl.col("strategy").is_in(["Iron Condor", "Sonar"])
    return pl.when(condor & (count == 4)).then(wings).when(~condor & (count >= 2)).then(outer)


def bound() -> pl.Expr:
    """Most that a row can gain or lose, in points; from the legs, else from premium, risk and reward; else null."""
    credit = pl.col("strategy") != "Butterfly"
    risk, reward = (pl.when(pl.col(name) > 0).then(pl.col(name)) for name in ("risk", "reward"))
    told = pl.when(credit).then(pl.col("premium").abs() + risk).otherwise(risk + reward)
    return pl.coalesce(width() + pl.col("premium").abs().fill_null(0.0), told) * _SLACK + _CENTS


def in_points(rows: pl.DataFrame, unit: Unit) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`rows` with every profit in points, and what each profit sheet was found to be in.

    A profit beyond all that its structure can pay in points, but not in USD, is a vote for USD; `unit` other than
    ``auto`` goes before the votes. Rows need ``profit_file``.

    Returns
    -------
    The rows, with ``beyond`` where the profit is more than its structure can pay in the unit found, and per sheet
    ``profit_file``, ``unit``, ``profits``, ``telling`` (rows with a bound) and ``votes_usd``.
    """
    profit = pl.col("profit").abs()
    told = rows.with_columns(bound().alias("bound"))
    beyond = (profit > pl.col("bound")) & (profit <= pl.col("bound") * MULTIPLIER)
    sheets = (
        told.filter(pl.col("profit_file").is_not_null())
        .group_by("profit_file", maintain_order=True)
        .agg(
            pl.col("profit").count().cast(pl.Int64).alias("profits"),
            ((profit > 0) & pl.col("bound").is_not_null()).sum().cast(pl.Int64).alias("telling"),
            beyond.sum().cast(pl.Int64).alias("votes_usd"),
        )
    )
    usd = (pl.col("votes_usd") > MAJORITY * pl.col("telling")) if unit == "auto" else pl.lit(unit == "usd")
    sheets = sheets.with_columns(pl.when(usd).then(pl.lit("usd")).otherwise(pl.lit("points")).alias("unit"))
    joined = told.join(sheets.select("profit_file", "unit"), on="profit_file", how="left", maintain_order="left")
    value = pl.when(pl.col("unit") == "usd").then(pl.col("profit") / MULTIPLIER).otherwise("profit")
    changed = joined.with_columns(value.alias("profit")).with_columns(
        (profit > pl.col("bound")).fill_null(False).alias("beyond")
    )
    return changed.drop("bound", "unit"), sheets.select("profit_file", "unit", "profits", "telling", "votes_usd")
