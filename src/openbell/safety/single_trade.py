"""No single trade is too large for the account."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict


@check()
def single_trade(decision: Decision, book: Book, market: Market, *, max_trade_pct: float = 0.10) -> Verdict:
    """Each trade is at most this fraction of the account; a larger one is shrunk to the whole shares that fit."""
    value = book.value_usd
    trades = decision.trades.with_columns((pl.col("notional") / value).alias("fraction"))
    largest = float(trades["fraction"].max() or 0.0)  # type: ignore[arg-type]
    measured = {"largest": largest, "limit": max_trade_pct}
    over = trades.filter(pl.col("fraction") > max_trade_pct + 1e-9)
    if not over.height:
        why = f"The largest trade is {largest:.2%} of the account; the limit is {max_trade_pct:.2%}."
        return Verdict("single_trade", Outcome.ALLOW, why, measured=measured)
    # Whole shares that fit, over those wanted: the regenerated trade then holds the limit exactly.
    fitting = (max_trade_pct * value / pl.col("price")).floor() / pl.col("shares")
    by_symbol = dict(over.select("symbol", fitting).rows())
    why = f"Shrunk to {max_trade_pct:.2%} of the account each: {', '.join(by_symbol)}."
    return Verdict("single_trade", Outcome.SHRINK, why, by_symbol=by_symbol, measured=measured)
