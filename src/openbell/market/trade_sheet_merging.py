"""Sheets of the same trades become one row each: what one says, no other takes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from openbell.core.trade_rows import SHEET
from openbell.market.trade_sheet_rows import KEY, set_aside

#: A delta row speaks for trades of its symbol in its own minute and so many after it.
DELTA_TOLERANCE = "5m"
#: Numbers that differ by less, relatively, are the same.
SAME = 1e-9
_PLACE = ("file", "line", "shown", "generation", "session", "exact_at", "unread")
_FLAGS = ("from_raw", "managed_only", "body_doubled")
_DELTA = ("call_delta", "put_delta", "predicted_delta", "short_term", "long_term", "closing_delta")


@dataclass(frozen=True, eq=False)
class Merged:
    """One row per trade; what contradicted it, value by value; and which rows of each sheet found their like.

    conflicts : ``symbol``, ``strategy``, ``minute``, ``column``, ``kept`` (the profit sheet's), ``other``.
    matched : rows by source that stand in a row with another source.
    """

    rows: pl.DataFrame
    conflicts: pl.DataFrame
    matched: dict[str, int]


def differs(left: pl.Expr, right: pl.Expr, numeric: bool) -> pl.Expr:
    """Whether both say something, and not the same."""
    other = (left - right).abs() > SAME * pl.max_horizontal(left.abs(), right.abs()) if numeric else left != right
    return other.fill_null(False)


def deduplicated(source: str, rows: pl.DataFrame, key: Sequence[str] = KEY) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One row per key, and the later ones set aside.

    The earliest row (by folder, then line) stays. A later one that contradicts it in nothing fills its gaps and is a
    ``duplicate``; one that does contradict it changes nothing and is a ``duplicate_differs``.
    """
    rows = rows.with_row_index("at")
    several = rows.filter(pl.len().over(key) > 1)
    if several.is_empty():
        return rows.drop("at"), set_aside(source, rows.clear().with_columns(pl.lit("").alias("rule")))
    values = [name for name in rows.columns if name not in {*key, *_PLACE, *_FLAGS, "at"}]
    first = [pl.col(name).first().over(key) for name in values]
    numeric = [rows.schema[name].is_numeric() for name in values]
    contradicts = pl.any_horizontal(
        differs(pl.col(name), own, kind) for name, own, kind in zip(values, first, numeric, strict=True)
    )
    told = several.with_columns(
        contradicts.alias("other"), (pl.col("at") != pl.col("at").min().over(key)).alias("later")
    )
    gaps = told.filter(~pl.col("other")).group_by(key).agg(pl.col(name).drop_nulls().first() for name in values)
    once = rows.join(told.filter("later").select("at"), on="at", how="anti", maintain_order="left")
    filled = once.join(gaps, on=list(key), how="left", suffix="_more", maintain_order="left").with_columns(
        pl.coalesce(name, f"{name}_more").alias(name) for name in values
    )
    rule = pl.when("other").then(pl.lit("duplicate_differs")).otherwise(pl.lit("duplicate")).alias("rule")
    return filled.select(once.columns).drop("at"), set_aside(source, told.filter("later").with_columns(rule))


def merged(profit: pl.DataFrame, trades: pl.DataFrame, delta: pl.DataFrame) -> Merged:
    """Profit and trades rows of the same key in one row, and the delta row of the same symbol beside each."""
    both = profit.join(trades, on=list(KEY), how="full", suffix="_trades", coalesce=True)
    shared = [name for name in profit.columns if name in trades.columns and name not in KEY]
    values = [name for name in shared if name not in _PLACE and name != "trade_description"]
    conflicts = pl.concat([_conflict(both, name) for name in values])
    matched = int(both.select((pl.col("file").is_not_null() & pl.col("file_trades").is_not_null()).sum()).item())
    source = pl.concat_str(
        pl.when(pl.col("file").is_not_null()).then(pl.lit("profit")),
        pl.when(pl.col("file_trades").is_not_null()).then(pl.lit("trades")),
        separator=",",
        ignore_nulls=True,
    )
    rows = both.with_columns(
        source.alias("source_file"),
        pl.col("file").alias("profit_file"),
        pl.max_horizontal("exact_at", "exact_at_trades").alias("exact_at"),
        (pl.col("unread").fill_null(0) + pl.col("unread_trades").fill_null(0)).alias("unread_cells"),
        pl.coalesce("generation", "generation_trades").alias("format_year"),
        *(pl.coalesce(name, f"{name}_trades").alias(name) for name in (*values, "trade_description", "session")),
        *(pl.col(name).fill_null(False) for name in _FLAGS),
    ).drop(f"{name}_trades" for name in shared)
    spoken, used = _with_delta(rows.sort("minute", "symbol", "strategy"), delta)
    return Merged(spoken, conflicts, {"profit": matched, "trades": matched, "delta": used})


def _conflict(both: pl.DataFrame, name: str) -> pl.DataFrame:
    other = differs(pl.col(name), pl.col(f"{name}_trades"), both.schema[name].is_numeric())
    return both.filter(other).select(
        *KEY,
        pl.lit(name).alias("column"),
        pl.col(name).cast(pl.Float64).alias("kept"),
        pl.col(f"{name}_trades").cast(pl.Float64).alias("other"),
    )


def _with_delta(rows: pl.DataFrame, delta: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The latest delta row of the symbol in the minute of the trade or at most five before; how many were used.

    Sheets write the minute of a trade and the second of a delta: both are compared by the minute, and the trade is
    known from the later of the two on. A price of the underlying that no other sheet gave is the delta row's of the
    same minute.
    """
    told = delta.sort("minute").select(
        "symbol",
        "minute",
        pl.col("minute").alias("delta_minute"),
        pl.col("exact_at").alias("delta_at"),
        pl.col("price").alias("delta_price"),
        pl.col("unread").alias("unread_delta"),
        *_DELTA,
    )
    joined = rows.join_asof(
        told, on="minute", by="symbol", strategy="backward", tolerance=DELTA_TOLERANCE, check_sortedness=False
    )
    found = pl.col("delta_at").is_not_null()
    now = pl.when(pl.col("delta_minute") == pl.col("minute")).then("delta_price")
    used = joined.filter(found).select("symbol", "delta_minute").n_unique()
    source = pl.when(found).then(pl.col("source_file") + ",delta").otherwise("source_file").alias("source_file")
    return joined.with_columns(
        source,
        pl.max_horizontal("exact_at", "delta_at").alias("exact_at"),
        (pl.col("price").is_null() & now.is_not_null()).alias("price_from_delta"),
        pl.coalesce("price", now).alias("price"),
        (pl.col("unread_cells") + pl.col("unread_delta").fill_null(0)).alias("unread_cells"),
    ).drop("delta_minute", "delta_price", "unread_delta"), used


def missing_columns(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with every column of `SHEET` that no sheet has as null, but the clock, which follows later."""
    lacking = [name for name in SHEET if name not in (*rows.columns, "date", "time", "timestamp", "win")]
    return rows.with_columns(pl.lit(None).cast(SHEET[name]).alias(name) for name in lacking)
