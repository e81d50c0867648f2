"""The gate: take a proposed option trade, take less of it, or leave it."""

from __future__ import annotations

import math
from typing import Any

from openbell.core.assessment import Answer, Offer, Word
from openbell.core.declare import desk
from openbell.core.types import Book, Decision


@desk(
    name="gate",
    label="trade_win",
    candidates=("hierarchy", "simple", "no_pooling", "fallback"),
    families=("trade_prices", "trade_predictions", "trade_times", "trade_market"),
    rebalance_sessions=1,
)
def decide(
    offer: Offer,
    book: Book,
    *,
    gate_risk_fraction: float = 0.02,
    min_win_probability: float = 0.0,
    min_expected_value_usd: float = 0.0,
    require_edge: bool = True,
) -> Decision:
    """As much of the offered trade as its odds and the account allow; nothing where anything speaks against it.

    Pure. It is refused where no model speaks, where the calibrated probability of a win is under the threshold of its
    symbol and strategy or under `min_win_probability`, where the expected value of a unit after costs is not above
    `min_expected_value_usd`, or, with `require_edge`, where the walk-forward of the model never knew more than the
    price. It is reduced to the units whose maximum loss is within `gate_risk_fraction` of the account. `targets` are
    signed contracts.
    """
    expected = offer.odds.expected_usd(offer.word.probability if offer.word else offer.odds.probability)
    against = _against(offer, expected, min_win_probability, min_expected_value_usd, require_edge)
    asked = offer.asked.ticket.quantity
    units, limits = _units(offer, book.value_usd * gate_risk_fraction)
    allowed = 0 if against else units
    answer = Answer.REFUSE if allowed == 0 else Answer.ACCEPT if allowed == asked else Answer.REDUCE
    return Decision(
        desk="gate",
        session=offer.session,
        as_of=offer.asked.at,
        targets={key: float(each * allowed) for key, each in offer.contracts.items()} if allowed else {},
        cash_weight=1.0,
        why=(_head(offer, answer, allowed), *_odds(offer, expected), *against, *limits, *offer.notes),
        details=_details(offer, expected, allowed),
    )


def _against(
    offer: Offer, expected: float | None, min_probability: float, min_value_usd: float, require_edge: bool
) -> list[str]:
    """Every reason against the trade that more or fewer units would not change."""
    word = offer.word
    if word is None:
        return [f"No model speaks: {offer.silent or 'there is none'} Without one the gate takes nothing."]
    found = []
    threshold = max(word.threshold, min_probability)
    if word.probability < threshold:
        found.append(f"A win has a probability of {word.probability:.1%}, under the threshold of {threshold:.1%}.")
    if expected is None:
        found.append("What a win and a loss are worth is not known, so neither is the expected value.")
    elif not expected > min_value_usd:
        found.append(
            f"One unit is expected to make {expected:+,.2f} USD after costs; it must be above {min_value_usd:+,.2f}."
        )
    if require_edge and not word.proven:
        found.append(f"The model {word.version} has not been shown to know more than the price.")
    return found


def _units(offer: Offer, budget_usd: float) -> tuple[int, list[str]]:
    """Units of the order that the budget holds."""
    asked, risk = offer.asked.ticket.quantity, offer.payoff.max_loss_usd
    if risk is None:
        return 0, ["Its loss has no bound, so no number of units is within the budget."]
    if not risk + offer.payoff.cost_usd > 0:
        return asked, []
    units = math.floor(budget_usd / (risk + offer.payoff.cost_usd) + 1e-9)
    if units >= asked:
        return asked, []
    each = f"One unit risks {risk + offer.payoff.cost_usd:,.2f} USD with costs, and the budget is {budget_usd:,.2f} USD"
    return units, [f"{each}: {units} of the {asked} are allowed."]


def _head(offer: Offer, answer: Answer, allowed: int) -> str:
    ticket = offer.asked.ticket
    what = f"{ticket.side} {ticket.quantity} {offer.strategy} on {ticket.underlying}"
    if answer is Answer.REDUCE:
        return f"REDUCE {what} to {allowed}."
    return f"{answer} {what}."


def _odds(offer: Offer, expected: float | None) -> list[str]:
    odds, said = offer.odds, []
    if odds.probability is not None:
        said.append(f"The price itself says {odds.probability:.1%} for a win after costs ({odds.basis}).")
    if offer.word is not None:
        said.append(_spoken(offer.word))
    if expected is not None:
        whose = "the model's odds" if offer.word else "the odds of the price"
        said.append(f"At {whose} one unit is expected to make {expected:+,.2f} USD after costs.")
    return said


def _spoken(word: Word) -> str:
    return (
        f"The model says {word.probability:.1%}; {word.level} speaks, with {word.effective_n:,.0f} effective trades "
        "behind it."
    )


def _details(offer: Offer, expected: float | None, allowed: int) -> dict[str, Any]:
    per_unit, odds, word = offer.payoff, offer.odds, offer.word
    return {
        "units": allowed,
        "asked": offer.asked.ticket.quantity,
        "max_loss_usd": per_unit.max_loss_usd,
        "max_profit_usd": per_unit.max_profit_usd,
        "cost_usd": per_unit.cost_usd,
        "expected_usd": expected,
        "fair_probability": odds.fair_probability,
        "price_probability": odds.probability,
        "win_probability": word.probability if word else None,
        "model": word.version if word else None,
    }
