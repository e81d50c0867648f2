"""Orders from a judged decision."""

from __future__ import annotations

from openbell.core.errors import Refused
from openbell.core.types import Decision, Order, Outcome, Side


def orders(decision: Decision) -> tuple[Order, ...]:
    """One order for each trade, sales first; a decision that is blocked, or that no check has judged, is refused."""
    if not decision.verdicts:
        raise Refused(
            f"No safety check has judged the decision of the desk `{decision.desk}` for {decision.session}; "
            "it cannot become orders."
        )
    blocks = [verdict for verdict in decision.verdicts if verdict.outcome is Outcome.BLOCK]
    if blocks:
        reasons = " ".join(f"[{verdict.check}] {verdict.why}" for verdict in blocks)
        raise Refused(f"The decision of the desk `{decision.desk}` for {decision.session} is blocked: {reasons}")
    key = decision.key
    rows = decision.trades.sort("side", "symbol", descending=[True, False]).select("symbol", "side", "shares").rows()
    return tuple(
        Order(key, decision.desk, decision.session, symbol, Side(side), shares) for symbol, side, shares in rows
    )
