"""The gate's desk: every reason against a trade alone stops it, and the budget alone makes it smaller."""

from dataclasses import replace

import pytest
from tests.offers import AT, CONTRACTS, WORD, offer

from openbell.core.assessment import Payoff, PriceOdds
from openbell.core.types import Book
from openbell.desks import gate
from openbell.safety import gate_limits

BOOK = Book(AT, 100_000.0)
decide = gate.decide[0].decide


def test_a_trade_that_everything_speaks_for_is_taken_whole() -> None:
    """Kills: an expected value with the price's odds, which is 11.40 here, and costs taken twice."""
    made = decide(offer(quantity=3), BOOK)
    assert made.targets == {key: 3.0 * each for key, each in CONTRACTS.items()}
    assert made.details["expected_usd"] == pytest.approx(0.95 * 46 - 0.05 * 300)
    assert made.why[0] == "ACCEPT SELL 3 Vertical on SPX."


@pytest.mark.parametrize(
    ("changes", "settings", "words"),
    [
        ({"word": None, "silent": "No training is on record."}, {}, "No model speaks: No training is on record."),
        ({"word": WORD}, {}, "expected to make -92.40 USD"),
        ({"word": replace(WORD, probability=0.95, threshold=0.96)}, {}, "under the threshold of 96.0%"),
        ({}, {"min_win_probability": 0.96}, "under the threshold of 96.0%"),
        ({}, {"min_expected_value_usd": 28.7}, "must be above +28.70"),
        ({"word": replace(WORD, probability=0.95, proven=False)}, {}, "not been shown to know more than the price"),
        ({"odds": PriceOdds(0.9, 0.9)}, {}, "not known"),
        ({"payoff": Payoff(None, 50.0, (6000.5,), 2.6)}, {}, "no bound"),
    ],
)
def test_every_reason_against_it_alone_stops_it(changes, settings, words) -> None:
    made = decide(offer(**changes), BOOK, **settings)
    assert not made.targets
    assert made.details["units"] == 0
    assert made.why[0].startswith("REFUSE")
    assert any(words in each for each in made.why), made.why


def test_an_unproven_model_may_be_allowed_by_whoever_owns_the_account() -> None:
    assert decide(offer(word=replace(WORD, probability=0.95, proven=False)), BOOK, require_edge=False).targets


@pytest.mark.parametrize(("fraction", "units"), [(0.02, 4), (0.018104, 4), (0.0181, 3), (0.004, 0)])
def test_the_budget_counts_whole_units_with_their_costs(fraction, units) -> None:
    """One unit risks 452.60 with commissions. Kills: rounding up, and a budget without the costs."""
    made = decide(offer(quantity=10), BOOK, gate_risk_fraction=fraction)
    assert made.details["units"] == units
    assert made.why[0].startswith("REDUCE SELL 10 Vertical on SPX to" if units else "REFUSE")


def test_the_desk_s_own_limit_is_inside_that_of_safety() -> None:
    """What the desk allows by its default budget, its check passes."""
    made = decide(offer(quantity=50), BOOK)
    check = gate_limits.gate_risk[0]
    assert check.run(made, BOOK, offer(quantity=50)).outcome.value == "ALLOW"
