"""Not too much of the account is turned over in one session."""

from __future__ import annotations

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict
from openbell.quant import costs


@check()
def turnover(decision: Decision, book: Book, market: Market, *, max_turnover: float = 0.35) -> Verdict:
    """Turnover (S2.09) stays within its limit; a larger one is shrunk, so that a first build goes in stages."""
    measured_turnover = costs.turnover(decision.trades["notional"], book.value_usd)
    measured = {"turnover": measured_turnover, "limit": max_turnover}
    if measured_turnover <= max_turnover * (1.0 + 1e-9):
        why = f"Turnover is {measured_turnover:.2%}; the limit is {max_turnover:.2%}."
        return Verdict("turnover", Outcome.ALLOW, why, measured=measured)
    scale = max_turnover / measured_turnover
    why = (
        f"Turnover would be {measured_turnover:.2%}, above the limit of {max_turnover:.2%}: {scale:.1%} of the way is "
        "gone today, the rest in the next sessions."
    )
    return Verdict("turnover", Outcome.SHRINK, why, scale=scale, measured=measured)
