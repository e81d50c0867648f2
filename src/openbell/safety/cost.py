"""The trades do not cost too much."""

from __future__ import annotations

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict


@check()
def cost(decision: Decision, book: Book, market: Market, *, max_cost_pct: float = 0.005) -> Verdict:
    """Commission and slippage of all trades stay within a fraction of the account; more blocks.

    It blocks rather than shrinks: at the declared basis points it cannot be reached, so reaching it means that the
    costs, the prices or the account are not what they should be.
    """
    total = float(decision.trades["total_cost_est"].sum())
    fraction = total / book.value_usd
    measured = {"cost_usd": total, "fraction": fraction, "limit": max_cost_pct}
    why = f"The trades cost {total:,.2f} USD, {fraction:.3%} of the account; the limit is {max_cost_pct:.3%}."
    # Written so that a NaN blocks.
    outcome = Outcome.ALLOW if fraction <= max_cost_pct else Outcome.BLOCK
    return Verdict("cost", outcome, why, measured=measured)
