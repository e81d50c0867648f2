"""The options desk: the structure with the largest expected utility, at the strikes that similar days speak for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from openbell.core.declare import desk
from openbell.core.errors import LeakFound
from openbell.core.outlook import Outlook, quantile_columns
from openbell.core.proposal import OptionMarket, Proposal
from openbell.core.types import Book, Decision


@desk(
    name="options",
    label="structure_utility",
    candidates=("random_forest", "lightgbm", "catboost"),
    families=(),
    rebalance_sessions=1,
)
def decide(
    outlook: Outlook,
    proposals: Mapping[str, Proposal],
    book: Book,
    market: OptionMarket,
    *,
    risk_fraction: float = 0.02,
    max_contracts: int = 10,
    min_risk_reward: float = 0.5,
    min_confidence: float = 0.0,
    min_expected_return: float = 0.0,
    require_edge: bool = True,
) -> Decision:
    """The first structure, by expected utility, that can be traded; zero contracts where anything speaks against it.

    Pure. `proposals` hold stage 2 for the structures in the order in which they were asked for. A structure that
    cannot be traded today gives way to the next with a positive expected utility. Nothing is traded where no structure
    is worth more than no trade, one contract risks more than the budget, the reward is under `min_risk_reward` of the
    risk, the probability is under `min_confidence`, the contracts returned no more than `min_expected_return` of their
    risk on similar days, or, with `require_edge`, the walk-forward of the model never earned more than no trade.
    `targets` are signed contracts by OCC symbol.
    """
    if outlook.as_of > market.as_of:
        raise LeakFound(
            f"The outlook is of {outlook.as_of.isoformat()}, after the market it is used on "
            f"({market.as_of.isoformat()}). Forecast again as of the decision."
        )
    chosen, passed_over = _chosen(outlook, proposals)
    row = outlook.of(chosen.structure)
    contracts, against = _size(
        outlook, chosen, row, book.value_usd * risk_fraction, max_contracts, min_risk_reward, min_confidence
    )
    returned = chosen.statistics.get("expected_return")
    if returned is not None and not returned > min_expected_return:
        lost = f"On similar days these contracts returned {returned:+.3f} of their risk on average"
        contracts, against = 0, [*against, f"{lost}; it must be above {min_expected_return:+.3f}."]
    if require_edge and not outlook.proven:
        contracts, against = 0, [*against, f"The model {outlook.model} has not earned more than no trade."]
    return Decision(
        desk="options",
        session=market.session,
        as_of=market.as_of,
        targets=_targets(chosen, contracts),
        cash_weight=1.0,
        why=(*_sentences(outlook, chosen, row, contracts), *against, *passed_over, *outlook.why),
        details=_details(outlook, chosen, row, contracts, market, against),
    )


def _chosen(outlook: Outlook, proposals: Mapping[str, Proposal]) -> tuple[Proposal, list[str]]:
    """The best structure that can be traded, and a sentence for each better one that cannot."""
    ranked = [name for name in outlook.ranked if name in proposals]
    passed: list[str] = []
    for name in ranked:
        if proposals[name].executable:
            return proposals[name], passed
        passed.append(f"{name} was passed over: {proposals[name].refused}")
    return proposals[ranked[0]], passed[1:]


def _size(
    outlook: Outlook,
    chosen: Proposal,
    row: Mapping[str, float],
    budget_usd: float,
    max_contracts: int,
    min_risk_reward: float,
    min_confidence: float,
) -> tuple[int, list[str]]:
    """Contracts the budget allows, and every reason against a trade; with one there are none."""
    against = []
    if not chosen.executable:
        return 0, [f"{chosen.structure} cannot be traded: {chosen.refused}"]
    if not row["expected_utility"] > 0:
        against.append(
            f"No structure is expected to be worth more than no trade after costs; the best, {chosen.structure}, is at "
            f"{row['expected_utility']:+.4f} per unit of risk."
        )
    reward = risk_reward(chosen)
    if reward is not None and reward <= min_risk_reward:
        against.append(f"The reward is {reward:.2f} of the risk; it must be above {min_risk_reward:.2f}.")
    if row["probability"] < min_confidence:
        against.append(f"The probability of {row['probability']:.0%} is under {min_confidence:.0%}.")
    contracts = min(math.floor(budget_usd / chosen.max_loss_usd + 1e-9), max_contracts)
    if contracts < 1:
        against.append(
            f"One contract risks {chosen.max_loss_usd:,.2f} USD, more than the budget of {budget_usd:,.2f} USD."
        )
    return (0 if against else contracts), against


def risk_reward(proposal: Proposal) -> float | None:
    """Maximum profit over maximum loss; None where the profit has no bound."""
    if proposal.max_profit_usd is None:
        return None
    return proposal.max_profit_usd / proposal.max_loss_usd


def _targets(chosen: Proposal, contracts: int) -> dict[str, float]:
    if contracts == 0 or chosen.structure_legs is None:
        return {}
    return {leg.instrument.key: float(leg.ratio * contracts) for leg in chosen.structure_legs.legs}


def _sentences(outlook: Outlook, chosen: Proposal, row: Mapping[str, float], contracts: int) -> list[str]:
    kind = " (modelled quotes)" if outlook.modelled or chosen.modelled else ""
    head = (
        f"Trade {contracts} x {chosen.structure}" if contracts else f"No trade; the first choice is {chosen.structure}"
    )
    said = [
        f"{head}: expected utility {row['expected_utility']:+.4f} per unit of risk{kind}, half of the results between "
        f"{row['q25']:+.2f} and {row['q75']:+.2f} of the maximum loss; probability {row['probability']:.0%} of being "
        "the best in hindsight."
    ]
    if chosen.flagged:
        said.append(
            f"Only {chosen.similar.height} similar days were found; under 30 the parameters are weakly founded."
        )
    return said


def _details(
    outlook: Outlook,
    chosen: Proposal,
    row: Mapping[str, float],
    contracts: int,
    market: OptionMarket,
    against: list[str],
) -> dict[str, Any]:
    legs = [] if chosen.structure_legs is None else [
        {
            "contract": leg.instrument.key,
            "right": str(leg.instrument.right),
            "strike": leg.instrument.strike,
            "expiry": leg.instrument.expiry.isoformat() if leg.instrument.expiry else None,
            "ratio": leg.ratio,
            "multiplier": leg.instrument.multiplier,
            "bid": quote["bid"],
            "ask": quote["ask"],
        }
        for leg, quote in zip(chosen.structure_legs.legs, chosen.quotes.iter_rows(named=True), strict=True)
    ]  # fmt: skip
    return {
        "underlying": outlook.underlying,
        "structure": chosen.structure,
        "contracts": contracts,
        "parameters": {**chosen.parameters, "contracts": contracts},
        "legs": legs,
        "premium": chosen.premium,
        "risk_usd": chosen.max_loss_usd * contracts,
        "margin_usd": chosen.margin_usd * contracts,
        "max_loss_usd": chosen.max_loss_usd,
        "max_profit_usd": chosen.max_profit_usd,
        "breakevens": list(chosen.breakevens),
        "risk_reward": risk_reward(chosen) if chosen.executable else None,
        "confidence": row["probability"],
        "expected_utility": row["expected_utility"],
        "quantiles": {name: row[name] for name in quantile_columns()},
        "top3": [list(each) for each in outlook.likeliest],
        "statistics": dict(chosen.statistics),
        "similar_days": chosen.similar.height,
        "flagged": chosen.flagged,
        "settles_on": chosen.settles_on.isoformat() if chosen.settles_on else None,
        "model": outlook.model,
        "proven": outlook.proven,
        "modelled": outlook.modelled or chosen.modelled,
        "against": against,
        "spot": market.spot,
        "chain_session": market.chain_session.isoformat(),
    }
