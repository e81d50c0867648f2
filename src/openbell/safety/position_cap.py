"""No name weighs too much."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict
from openbell.quant.exposures import exposures

#: Weights are compared to this: below it lies the rounding of floating point.
ROUNDING = 1e-9


@check()
def position_cap(decision: Decision, book: Book, market: Market, *, max_position_pct: float = 0.15) -> Verdict:
    """No name is aimed or bought above its cap.

    A name that the market carried above the cap does not block the decision that brings it down, or that leaves it
    alone: blocking would keep it there.
    """
    rows = exposures(decision, book, market.names)
    limit = max_position_pct + ROUNDING
    aimed = pl.col("target_weight")
    raised = (aimed > limit) & (aimed > pl.col("held_weight") + ROUNDING)
    bought = (pl.col("after_weight") > limit) & (pl.col("traded_shares") > 0)
    broken = rows.filter(raised | bought)
    heavy = rows.select(pl.max_horizontal("target_weight", "after_weight").max()).item() or 0.0
    measured = {"largest": float(heavy), "limit": max_position_pct}
    if broken.height:
        worst = ", ".join(
            f"{symbol} {weight:.2%}"
            for symbol, weight in broken.select("symbol", pl.max_horizontal("target_weight", "after_weight")).rows()
        )
        why = f"A name may weigh at most {max_position_pct:.2%}; these are aimed above it: {worst}."
        return Verdict("position_cap", Outcome.BLOCK, why, measured=measured)
    carried = rows.filter(pl.max_horizontal("target_weight", "after_weight") > limit)["symbol"].to_list()
    why = f"The largest name weighs {heavy:.2%}; the cap is {max_position_pct:.2%}."
    if carried:
        why = f"Carried above the cap of {max_position_pct:.2%} by the market, and not raised: {', '.join(carried)}."
    return Verdict("position_cap", Outcome.ALLOW, why, measured=measured)
