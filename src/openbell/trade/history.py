"""The account day by day beside its benchmark: the rows of ``performance_history.csv``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

HISTORY_SCHEMA: Mapping[str, Any] = {
    "session": pl.Date,
    "equity_usd": pl.Float64,
    "cash_usd": pl.Float64,
    "flow_usd": pl.Float64,
    "costs_usd": pl.Float64,
    "return": pl.Float64,
    "benchmark_return": pl.Float64,
    "drawdown": pl.Float64,
    "benchmark_drawdown": pl.Float64,
}


def performance_history(equity: pl.DataFrame, benchmark: pl.DataFrame) -> pl.DataFrame:
    """Daily returns and drawdowns of the account and of its benchmark, both total return.

    Parameters
    ----------
    equity : `trade.positions.EQUITY_SCHEMA`, one row per session.
    benchmark : columns ``session`` and ``close``: total-return closes (dividends reinvested), also of the session
        before the first.

    Returns
    -------
    DataFrame of `HISTORY_SCHEMA`, by session
        ``return``: equity over the equity of the session before plus what was paid in since, less 1; dividends are
        in the account's cash, so it is a total return after costs. The first is over the opening cash.
        ``benchmark_return``: close to close between the same two sessions; null where a close is missing.
        ``drawdown``: wealth compounded from the returns over its highest so far (the start counts), less 1: never
        positive. A benchmark without a return on a day stands still in ``benchmark_drawdown``.
    """
    closes = benchmark.select("session", pl.col("close").alias("benchmark_close")).sort("session")
    value, flow = pl.col("equity_usd"), pl.col("flow_usd")
    rows = (
        equity.sort("session")
        .join(closes, on="session", how="left")
        .with_columns(pl.col("session").shift(1).alias("before"))
        .join(closes.rename({"session": "before", "benchmark_close": "close_before"}), on="before", how="left")
        .with_columns(
            (value / (value.shift(1).fill_null(0.0) + flow) - 1.0).alias("return"),
            (pl.col("benchmark_close") / _close_before(equity, closes) - 1.0).alias("benchmark_return"),
        )
    )
    return rows.with_columns(
        _drawdown("return").alias("drawdown"), _drawdown("benchmark_return").alias("benchmark_drawdown")
    ).select(pl.col(name).cast(kind) for name, kind in HISTORY_SCHEMA.items())


def _close_before(equity: pl.DataFrame, closes: pl.DataFrame) -> pl.Expr:
    """The benchmark's close of the account's session before; for its first, the last close before that."""
    first = equity.select(pl.col("session").min()).item()
    before = closes.filter(pl.col("session") < first)["benchmark_close"] if first is not None else closes.head(0)
    start = before[-1] if len(before) else None
    return pl.when(pl.col("before").is_null()).then(pl.lit(start, dtype=pl.Float64)).otherwise(pl.col("close_before"))


def _drawdown(column: str) -> pl.Expr:
    wealth = (1.0 + pl.col(column).fill_null(0.0)).cum_prod()
    return wealth / wealth.cum_max().clip(lower_bound=1.0) - 1.0
