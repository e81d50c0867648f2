"""Weights and cash make up the whole account."""

from __future__ import annotations

import math

import polars as pl

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict


@check()
def weights_and_cash(decision: Decision, book: Book, market: Market, *, weight_tolerance: float = 0.01) -> Verdict:
    """Target weights and explicit cash sum to 1, and cash is not negative after the trades and their costs."""
    name = "weights_and_cash"
    weights = (*decision.targets.values(), decision.cash_weight)
    if not all(math.isfinite(weight) for weight in weights):
        return Verdict(name, Outcome.BLOCK, "A target weight or the cash weight is not a finite number.")
    total = math.fsum(weights)
    cash = _cash_after(decision, book)
    measured = {"sum": total, "cash_weight": decision.cash_weight, "cash_after_usd": cash, "limit": weight_tolerance}
    if abs(total - 1.0) > weight_tolerance:
        why = f"Weights and cash must sum to 1 within {weight_tolerance:.2%}; they sum to {total:.4f}."
        return Verdict(name, Outcome.BLOCK, why, measured=measured)
    if decision.cash_weight < -weight_tolerance:
        why = f"The cash weight is {decision.cash_weight:.2%}: the decision would borrow."
        return Verdict(name, Outcome.BLOCK, why, measured=measured)
    # Half a cent is rounding; an account that is already overdrawn may sell its way out, but not buy.
    if cash < min(-0.005, book.cash_usd - 0.005):
        why = f"Cash would be {cash:,.2f} USD after the trades and their costs; it must not fall below 0."
        return Verdict(name, Outcome.BLOCK, why, measured=measured)
    why = f"Weights and cash sum to {total:.4f}; cash is {decision.cash_weight:.2%}, {cash:,.2f} USD after the trades."
    return Verdict(name, Outcome.ALLOW, why, measured=measured)


def _cash_after(decision: Decision, book: Book) -> float:
    sign = pl.when(pl.col("side") == "SELL").then(1.0).otherwise(-1.0)
    flows = decision.trades.select((sign * pl.col("notional") - pl.col("total_cost_est")).sum()).item()
    return book.cash_usd + float(flows or 0.0)
