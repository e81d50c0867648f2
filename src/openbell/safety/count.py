"""Not too many trades in one session."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict


@check()
def count(decision: Decision, book: Book, market: Market, *, max_daily_trades: int = 50) -> Verdict:
    """At most this many trades; of more, the largest sale, the largest purchase and so on in turn, and the others wait.

    In turn, because sales alone would leave the account in cash, and purchases alone could not be paid.

    It shrinks rather than blocks: the wish to exchange every name of a large book would otherwise come back, and be
    blocked, every day.
    """
    trades = decision.trades
    measured = {"trades": float(trades.height), "limit": float(max_daily_trades)}
    if trades.height <= max_daily_trades:
        why = f"There are {trades.height} trades; the limit is {max_daily_trades}."
        return Verdict("count", Outcome.ALLOW, why, measured=measured)
    turn = pl.col("notional").rank("ordinal", descending=True).over("side")
    ordered = trades.sort("symbol").with_columns(turn.alias("turn")).sort("turn", pl.col("side") == "BUY")
    waiting = sorted(ordered["symbol"][max_daily_trades:].to_list())
    why = f"There are {trades.height} trades and the limit is {max_daily_trades}; these wait: {', '.join(waiting)}."
    return Verdict("count", Outcome.SHRINK, why, by_symbol=dict.fromkeys(waiting, 0.0), measured=measured)
