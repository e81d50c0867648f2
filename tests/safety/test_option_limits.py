"""Limits of option positions, each driven to both sides."""

import datetime as dt
from typing import Any

import pytest

from openbell.core.declare import ROOMS, Check, collect
from openbell.core.proposal import OptionMarket
from openbell.core.types import Book, Decision, Outcome, Verdict

ALLOW, BLOCK = Outcome.ALLOW, Outcome.BLOCK
AS_OF = dt.datetime(2023, 9, 15, 13, 0, tzinfo=dt.UTC)
LEG = {"contract": "SPXW  231020C04500000", "ratio": 1, "multiplier": 100.0, "bid": 50.0, "ask": 51.0}


@pytest.fixture(scope="module")
def limits() -> dict[str, Check]:
    """The checks of the options desk alone, found as the start finds them."""
    import importlib
    import pkgutil

    room = importlib.import_module(ROOMS["checks"][0])
    found = [importlib.import_module(f"{room.__name__}.{each.name}") for each in pkgutil.iter_modules(room.__path__)]
    return {name: each for name, each in collect(found, Check).items() if "options" in each.desks}


def decision(targets: dict[str, float] | None = None, **details: Any) -> Decision:
    """A decision to buy one call that risks 1,000 USD, unless told otherwise."""
    given = {"risk_usd": 1_000.0, "margin_usd": 1_000.0, "contracts": 1, "legs": [LEG], **details}
    wanted = {LEG["contract"]: 1.0} if targets is None else targets
    return Decision("options", AS_OF.date(), AS_OF, wanted, 1.0, (), given)


def market(**changes: Any) -> OptionMarket:
    """A market whose chain is that of the last session."""
    given = {"chain_session": dt.date(2023, 9, 14), "last_session": dt.date(2023, 9, 14), "modelled": False}
    return OptionMarket(AS_OF, AS_OF.date(), "SPX", 4505.0, **{**given, **changes})


def said(check: Check, made: Decision, around: OptionMarket | None = None, **limit: float) -> Verdict:
    """The verdict for an account of 100,000 USD."""
    return check.run(made, Book(AS_OF, 100_000.0), around or market(), **limit)


def test_the_desk_has_its_own_limits_and_the_kill_switch(limits) -> None:
    """Kills: a check that no desk asks, and the stocks' weight checks asked of signed contracts."""
    assert set(limits) == {
        "option_risk", "option_total_risk", "option_margin", "option_quotes", "option_chain_age", "daily_loss",
    }  # fmt: skip


def test_no_trade_passes_every_limit(limits) -> None:
    idle = decision({}, risk_usd=0.0, contracts=0, legs=[])
    assert {said(each, idle).outcome for name, each in limits.items() if name != "option_chain_age"} == {ALLOW}


@pytest.mark.parametrize(
    ("risk", "outcome"), [(2_000.0, ALLOW), (2_000.1, BLOCK), (float("inf"), BLOCK), (None, BLOCK)]
)
def test_the_risk_of_one_position(limits, risk: float | None, outcome: Outcome) -> None:
    """Kills: a missing or boundless maximum loss that counts as none."""
    assert said(limits["option_risk"], decision(risk_usd=risk)).outcome is outcome


@pytest.mark.parametrize(("open_risk", "outcome"), [(19_000.0, ALLOW), (19_001.0, BLOCK)])
def test_the_risk_of_all_positions(limits, open_risk: float, outcome: Outcome) -> None:
    """Kills: forgetting what is open, and forgetting what is new."""
    around = market(open_risk_usd=open_risk, open_positions=9)
    assert said(limits["option_total_risk"], decision(), around).outcome is outcome


@pytest.mark.parametrize(("bound", "outcome"), [(49_000.0, ALLOW), (49_001.0, BLOCK)])
def test_the_margin_of_all_positions(limits, bound: float, outcome: Outcome) -> None:
    assert said(limits["option_margin"], decision(), market(margin_usd=bound)).outcome is outcome


@pytest.mark.parametrize("leg", [{"bid": 0.0}, {"bid": None}, {"bid": 51.0}, {"bid": 52.0}])
def test_a_leg_without_a_live_quote_blocks(limits, leg: dict[str, float]) -> None:
    """check 22: bid above 0 and below the ask, else there is nothing to trade against."""
    verdict = said(limits["option_quotes"], decision(legs=[{**LEG, **leg}]))
    assert verdict.outcome is BLOCK
    assert LEG["contract"] in verdict.why


@pytest.mark.parametrize(("ask", "outcome"), [(60.0, ALLOW), (60.1, BLOCK)])
def test_spreads_that_eat_the_risk_block(limits, ask: float, outcome: Outcome) -> None:
    """10 points of 100 USD on a risk of 1,000 USD are the whole of it."""
    assert said(limits["option_quotes"], decision(legs=[{**LEG, "ask": ask}])).outcome is outcome


@pytest.mark.parametrize(
    ("session", "outcome"),
    [(dt.date(2023, 9, 14), ALLOW), (dt.date(2023, 9, 13), BLOCK), (dt.date(2023, 9, 15), BLOCK)],
)
def test_a_chain_of_another_day_blocks(limits, session: dt.date, outcome: Outcome) -> None:
    """Kills: yesterday's chain traded as today's, and one from the future."""
    assert said(limits["option_chain_age"], decision(), market(chain_session=session)).outcome is outcome
