"""Nothing is sold that is not held."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict
from openbell.quant.exposures import exposures


@check()
def long_only(decision: Decision, book: Book, market: Market) -> Verdict:
    """No target weight is negative and no sale exceeds what is held."""
    rows = exposures(decision, book, market.names)
    negative = rows.filter(pl.col("target_weight") < 0)["symbol"].to_list()
    short = rows.filter(pl.col("after_shares") < 0)["symbol"].to_list()
    lowest = {"lowest_weight": float(rows["target_weight"].min() or 0.0)}  # type: ignore[arg-type]
    if negative:
        why = f"The target weight of {', '.join(negative)} is negative; the desk is long only."
        return Verdict("long_only", Outcome.BLOCK, why, measured=lowest)
    if short:
        why = f"More of {', '.join(short)} would be sold than is held; the desk is long only."
        return Verdict("long_only", Outcome.BLOCK, why, measured=lowest)
    return Verdict(
        "long_only", Outcome.ALLOW, "Every weight is 0 or more and no sale exceeds what is held.", measured=lowest
    )
