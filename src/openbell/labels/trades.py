"""Whether a proposed option trade won."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import label


@label(reads="trades", unit="probability", name="trade_win", over={"horizon": [1]})
def trade_win(horizon: int) -> pl.Expr:
    """Whether the profit of the trade, after costs, is above 0; null where the profit is missing, never a loss."""
    return pl.col("profit") > 0
