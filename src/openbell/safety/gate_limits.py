"""What a trade may rest on before the gate lets it pass. Every check looks at the decision as it would be ordered."""

from __future__ import annotations

from openbell.core.assessment import Offer
from openbell.core.declare import check
from openbell.core.types import Book, Decision, Outcome, Verdict


def _nothing(name: str, decision: Decision) -> Verdict | None:
    """The verdict on a decision that trades nothing."""
    return None if decision.targets else Verdict(name, Outcome.ALLOW, "Nothing is traded.")


@check(desks=("gate",))
def gate_risk(decision: Decision, book: Book, market: Offer, *, max_gate_risk_pct: float = 0.05) -> Verdict:
    """The loss of the order is bounded and at most this fraction of the account, with costs."""
    name = "gate_risk"
    quiet = _nothing(name, decision)
    if quiet is not None:
        return quiet
    if market.payoff.max_loss_usd is None:
        return Verdict(name, Outcome.BLOCK, "The loss of the order has no bound.")
    unit = market.payoff.max_loss_usd + market.payoff.cost_usd
    share = unit * decision.details["units"] / book.value_usd
    measured = {"value": share, "limit": max_gate_risk_pct}
    if share <= max_gate_risk_pct + 1e-9:
        why = f"It risks {share:.2%} of the account; the limit is {max_gate_risk_pct:.2%}."
        return Verdict(name, Outcome.ALLOW, why, measured=measured)
    why = f"It risks {share:.2%} of the account, above the limit of {max_gate_risk_pct:.2%}."
    return Verdict(name, Outcome.SHRINK, why, scale=max_gate_risk_pct / share, measured=measured)


@check(desks=("gate",))
def gate_market_age(decision: Decision, book: Book, market: Offer, *, max_market_seconds: float = 300.0) -> Verdict:
    """The market it is judged on was seen at most so many seconds of trading before the question."""
    name = "gate_market_age"
    quiet = _nothing(name, decision)
    if quiet is not None:
        return quiet
    state, age = market.asked.market, market.market_age_seconds
    if state is None or age is None:
        return Verdict(name, Outcome.BLOCK, "There is no market to judge it on.")
    measured = {"value": age, "limit": max_market_seconds}
    why = (
        f"The market of {state.symbol} from {state.source} has moved on for {age:,.0f} s since it was seen; the limit "
        f"is {max_market_seconds:,.0f} s."
    )
    return Verdict(name, Outcome.BLOCK if age > max_market_seconds else Outcome.ALLOW, why, measured=measured)


@check(desks=("gate",))
def gate_expiry(decision: Decision, book: Book, market: Offer) -> Verdict:
    """Every leg has an expiry, and it is not over when the trade is proposed."""
    name = "gate_expiry"
    quiet = _nothing(name, decision)
    if quiet is not None:
        return quiet
    if market.last_moment is None:
        return Verdict(name, Outcome.BLOCK, "A leg has no expiry, so nobody knows when it ends.")
    if market.asked.at >= market.last_moment:
        return Verdict(name, Outcome.BLOCK, f"A leg ended at {market.last_moment.isoformat()}.")
    return Verdict(name, Outcome.ALLOW, f"The first leg ends at {market.last_moment.isoformat()}.")


@check(desks=("gate",))
def gate_features(decision: Decision, book: Book, market: Offer, *, max_missing_share: float = 0.5) -> Verdict:
    """At most this share of what the model was given is missing."""
    name = "gate_features"
    quiet = _nothing(name, decision)
    if quiet is not None:
        return quiet
    total = len(market.features)
    missing = sum(value is None for value in market.features.values())
    share = missing / total if total else 1.0
    measured = {"value": share, "limit": max_missing_share}
    why = f"{missing} of {total} features are missing; at most {max_missing_share:.0%} may be."
    return Verdict(name, Outcome.BLOCK if share > max_missing_share else Outcome.ALLOW, why, measured=measured)
