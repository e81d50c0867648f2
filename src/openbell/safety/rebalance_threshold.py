"""Small drifts are left alone."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict
from openbell.quant.exposures import exposures


@check()
def rebalance_threshold(
    decision: Decision, book: Book, market: Market, *, rebalance_threshold: float = 0.05
) -> Verdict:
    """Below this drift from the targets nothing is traded: hold.

    Drift is half the sum of absolute differences between held and target weights, cash included: the part of the
    account that would change hands. Trims that a cap demands are not held back (they are listed in the decision's
    details as ``cap_trims`` once the rest has been).
    """
    name = "rebalance_threshold"
    rows = exposures(decision, book, market.names)
    change = rows["target_weight"] - rows["held_weight"]
    drift = 0.5 * (float(change.abs().sum()) + abs(float(change.sum())))
    measured = {"drift": drift, "limit": rebalance_threshold}
    if drift >= rebalance_threshold:
        why = f"The book is {drift:.2%} away from its targets; the threshold is {rebalance_threshold:.2%}."
        return Verdict(name, Outcome.ALLOW, why, measured=measured)
    trims = set(decision.details.get("cap_trims", ()))
    if trims.issuperset(decision.trades.filter(pl.col("side") == "SELL")["symbol"]) and not _buys(decision):
        why = f"The book is {drift:.2%} away from its targets: nothing is traded" + (
            f" but the trims that the caps demand: {', '.join(sorted(trims))}." if decision.trades.height else "."
        )
        return Verdict(name, Outcome.ALLOW, why, measured=measured)
    why = (
        f"Hold: the book is only {drift:.2%} away from its targets; below {rebalance_threshold:.2%} nothing is traded."
    )
    return Verdict(name, Outcome.SHRINK, why, scale=0.0, measured=measured)


def _buys(decision: Decision) -> bool:
    return bool((decision.trades["side"] == "BUY").any())
