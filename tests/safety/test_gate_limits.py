"""Limits of proposed trades, each driven to both sides."""

import pytest
from tests.offers import AT, CONTRACTS, DAY, END, offer

from openbell.core.assessment import Payoff
from openbell.core.types import Book, Decision, Outcome
from openbell.safety import gate_limits

ALLOW, SHRINK, BLOCK = Outcome.ALLOW, Outcome.SHRINK, Outcome.BLOCK
BOOK = Book(AT, 100_000.0)
CHECKS = {each[0].name: each[0] for each in vars(gate_limits).values() if isinstance(each, tuple)}


def decision(units: int = 1) -> Decision:
    targets = {key: float(each * units) for key, each in CONTRACTS.items()} if units else {}
    return Decision("gate", DAY, AT, targets, 1.0, (), {"units": units})


def said(name, made, units=1, **limit):
    return CHECKS[name].run(decision(units), BOOK, made, **limit)


def test_no_trade_passes_every_limit() -> None:
    idle = offer(payoff=Payoff(None, None, (), 0.0), last_moment=None, features={}, age_seconds=9e9)
    assert {said(name, idle, units=0).outcome for name in CHECKS} == {ALLOW}


def test_the_risk_is_shrunk_to_its_share_and_never_without_a_bound() -> None:
    """One unit risks 452.60 with costs. Kills: a scale that is the limit itself, and costs left out."""
    assert said("gate_risk", offer(), units=11).outcome is ALLOW
    over = said("gate_risk", offer(), units=12)
    assert over.outcome is SHRINK
    assert over.scale == pytest.approx(5_000 / (12 * 452.6))
    assert said("gate_risk", offer(payoff=Payoff(None, 50.0, (), 2.6))).outcome is BLOCK


@pytest.mark.parametrize(("age", "outcome"), [(300.0, ALLOW), (300.5, BLOCK)])
def test_an_old_market_blocks(age, outcome) -> None:
    assert said("gate_market_age", offer(age_seconds=age)).outcome is outcome


def test_without_a_market_nothing_passes() -> None:
    from dataclasses import replace

    made = offer()
    assert said("gate_market_age", replace(made, asked=replace(made.asked, market=None))).outcome is BLOCK


def test_what_is_over_or_has_no_end_blocks() -> None:
    from dataclasses import replace

    made = offer()
    assert said("gate_expiry", made).outcome is ALLOW
    assert said("gate_expiry", replace(made, last_moment=AT)).outcome is BLOCK
    assert said("gate_expiry", replace(made, last_moment=None)).outcome is BLOCK
    assert END > AT


@pytest.mark.parametrize(("values", "outcome"), [([1.0, None], ALLOW), ([1.0, None, None], BLOCK), ([], BLOCK)])
def test_too_many_missing_features_block(values, outcome) -> None:
    """Check 38. Kills: a share over the features that are there."""
    made = offer(features={f"f{i}": each for i, each in enumerate(values)})
    assert said("gate_features", made).outcome is outcome
