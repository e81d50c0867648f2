"""The options desk: what it trades, how much of it, and every reason for trading nothing."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from openbell.core.errors import LeakFound
from openbell.core.outlook import Outlook, quantile_columns
from openbell.core.proposal import OptionMarket, Proposal
from openbell.core.types import Book, Instrument, Kind, Leg, Right, Structure
from openbell.desks import options
from openbell.quant.structures import STRUCTURES

AS_OF = dt.datetime(2023, 9, 15, 13, 0, tzinfo=dt.UTC)
SESSION = AS_OF.date()
decide = options.decide[0].decide
NAMES = tuple(STRUCTURES)


def outlook(utilities: dict[str, float], *, proven: bool = True, **probability: float) -> Outlook:
    """An outlook with these expected utilities, the rest far below 0, and equal probabilities unless told."""
    rows = [
        {
            "structure": name,
            "expected_utility": utilities.get(name, -1.0),
            **dict.fromkeys(quantile_columns(), 0.0),
            "probability": probability.get(name, 0.1),
        }
        for name in NAMES
    ]
    return Outlook(AS_OF, SESSION, "SPX", pl.DataFrame(rows), "lightgbm@2023-09-15#1f3a", proven, False)


def vertical(name: str = "BULL_CALL_SPREAD", **changes: Any) -> Proposal:
    """A call spread that risks 500 USD and may make 1,000 USD, with live quotes."""
    legs = tuple(
        Leg(
            Instrument(f"SPXW  231020C0{strike}000", Kind.OPTION, 100.0, underlying="SPX", expiry=dt.date(2023, 10, 20),
                       strike=float(strike), right=Right.CALL),
            ratio,
        )
        for strike, ratio in ((4500, 1), (4515, -1))
    )  # fmt: skip
    given: dict[str, Any] = {
        "tested": pl.DataFrame({"n": [30]}),
        "similar": pl.DataFrame({"session": [dt.date(2020, 1, day) for day in range(1, 31)]}),
        "parameters": {"long_strike": 4500.0, "short_strike": 4515.0, "dte": 35},
        "structure_legs": Structure(legs),
        "quotes": pl.DataFrame({"bid": [80.0, 74.0], "ask": [81.0, 75.0]}),
        "premium": 5.0,
        "max_loss_usd": 500.0,
        "max_profit_usd": 1_000.0,
        "margin_usd": 500.0,
        "settles_on": dt.date(2023, 10, 20),
    }
    return Proposal(name, **{**given, **changes})


def refused(name: str, why: str = "no contract has a live quote.") -> Proposal:
    """A structure that cannot be traded today."""
    return Proposal(name, pl.DataFrame(), pl.DataFrame({"session": []}), refused=why)


def decided(said: Outlook, *proposals: Proposal, capital: float = 100_000.0, **settings: Any):
    """The decision of the desk with this capital."""
    around = OptionMarket(AS_OF, SESSION, "SPX", 4505.0, dt.date(2023, 9, 14), dt.date(2023, 9, 14), False)
    return decide(said, {each.structure: each for each in proposals}, Book(AS_OF, capital), around, **settings)


def test_it_trades_the_largest_expected_utility_with_the_budget_of_its_risk() -> None:
    """2 % of 100,000 are 2,000 USD: four contracts of 500. Kills: sizing by premium, by margin, or rounded up."""
    made = decided(outlook({"BULL_CALL_SPREAD": 0.2, "LONG_CALL": 0.1}), vertical(), vertical("LONG_CALL"))
    assert made.details["structure"] == "BULL_CALL_SPREAD"
    assert made.targets == {"SPXW  231020C04500000": 4.0, "SPXW  231020C04515000": -4.0}
    assert made.details["parameters"] == {"long_strike": 4500.0, "short_strike": 4515.0, "dte": 35, "contracts": 4}
    assert made.details["risk_usd"] == 2_000.0
    assert made.details["risk_reward"] == 2.0
    assert made.details["against"] == []


@pytest.mark.parametrize(("capital", "contracts"), [(24_999.0, 0), (25_000.0, 1), (49_999.0, 1), (1e7, 10)])
def test_zero_contracts_where_one_is_too_many_and_never_more_than_ten(capital: float, contracts: int) -> None:
    """check 21. Kills: the original's minimum of one contract, and an unbounded number."""
    made = decided(outlook({"BULL_CALL_SPREAD": 0.2}), vertical(), capital=capital)
    assert made.details["contracts"] == contracts
    assert bool(made.targets) == (contracts > 0)


@pytest.mark.parametrize(
    ("utility", "change", "settings", "sentence"),
    [
        (-0.01, {}, {}, "worth more than no trade"),
        (0.0, {}, {}, "worth more than no trade"),
        (0.2, {"max_profit_usd": 250.0}, {}, "The reward is 0.50 of the risk; it must be above 0.50"),
        (0.2, {}, {"min_confidence": 0.7}, "under 70%"),
        (0.2, {"statistics": {"expected_return": 0.0}}, {}, "returned +0.000 of their risk on average"),
        (0.2, {"statistics": {"expected_return": 0.04}}, {"min_expected_return": 0.05}, "it must be above +0.050"),
    ],
)
def test_every_reason_against_a_trade_is_said(
    utility: float, change: dict[str, Any], settings: dict[str, Any], sentence: str
) -> None:
    made = decided(outlook({"BULL_CALL_SPREAD": utility}), vertical(**change), **settings)
    assert made.targets == {}
    assert made.details["contracts"] == 0
    assert any(sentence in each for each in made.why)


def test_reward_without_a_bound_is_enough() -> None:
    """Kills: a long call refused because its reward is unknown."""
    assert decided(outlook({"LONG_CALL": 0.2}), vertical("LONG_CALL", max_profit_usd=None)).details["contracts"] == 4


def test_without_a_proven_edge_nothing_is_traded_unless_that_is_asked_for() -> None:
    said = outlook({"BULL_CALL_SPREAD": 0.2}, proven=False)
    made = decided(said, vertical())
    assert made.targets == {}
    assert any("has not earned more than no trade" in each for each in made.why)
    assert made.details["structure"] == "BULL_CALL_SPREAD", "what it would have been is still told"
    assert decided(said, vertical(), require_edge=False).details["contracts"] == 4


def test_a_structure_that_cannot_be_traded_gives_way_to_the_next() -> None:
    """check 22: another structure, never another expiry or a strike that is not there."""
    said = outlook({"IRON_CONDOR": 0.3, "BULL_CALL_SPREAD": 0.2})
    made = decided(said, refused("IRON_CONDOR"), vertical())
    assert made.details["structure"] == "BULL_CALL_SPREAD"
    assert any("IRON_CONDOR was passed over: no contract" in each for each in made.why)


def test_where_nothing_can_be_traded_it_says_why_and_trades_nothing() -> None:
    made = decided(outlook({"IRON_CONDOR": 0.3}), refused("IRON_CONDOR"), refused("LONG_PUT", "no expiry near 7 days."))
    assert made.targets == {}
    assert made.details["against"] == ["IRON_CONDOR cannot be traded: no contract has a live quote."]
    assert any("LONG_PUT was passed over" in each for each in made.why)


def test_the_three_likeliest_are_sorted_and_confidence_is_that_of_the_choice() -> None:
    said = outlook({"LONG_PUT": 0.2}, IRON_CONDOR=0.4, LONG_PUT=0.2, LONG_CALL=0.15)
    made = decided(said, vertical("LONG_PUT"))
    assert [name for name, _ in made.details["top3"]] == ["IRON_CONDOR", "LONG_PUT", "LONG_CALL"]
    assert made.details["confidence"] == 0.2


def test_an_outlook_of_the_future_is_a_leak() -> None:
    around = OptionMarket(
        AS_OF - dt.timedelta(days=1), SESSION, "SPX", 4505.0, dt.date(2023, 9, 13), dt.date(2023, 9, 13), False
    )
    with pytest.raises(LeakFound, match="after the market"):
        decide(outlook({"LONG_PUT": 0.2}), {"LONG_PUT": vertical("LONG_PUT")}, Book(AS_OF, 1e5), around)
