"""Company changes no answer: not the order of the questions, not their number, not who asks beside."""

import datetime as dt
from dataclasses import replace

import pytest

from openbell.app.gate import Gate
from openbell.app.home import Home
from openbell.core.assessment import Asked
from openbell.core.ticket import MarketState, Prophecy
from openbell.quant.ticket_profile import instruction

pytestmark = pytest.mark.xdist_group("gate")

AT = dt.datetime(2019, 1, 2, 15, 35, tzinfo=dt.UTC)


def question(number: int) -> Asked:
    """A condor, a butterfly, a vertical or a naked call, each with strikes, premium and moment of its own."""
    middle = 2_480.0 + 5 * (number % 9)
    name, strikes, premium, action, right = (
        ("IRON CONDOR", [middle + 25, middle + 30, middle - 25, middle - 30], 1.0, "SELL", None),
        ("BUTTERFLY", [middle - 20, middle, middle + 20], 5.0, "BUY", "CALL"),
        ("VERTICAL", [middle + 10, middle + 15], 1.5, "SELL", "CALL"),
        ("SINGLE", [middle], 9.0, "BUY", "PUT"),
    )[number % 4]
    day = dt.date(2019, 1, 2 + number % 5 // 4)
    ticket = instruction("SPX", name, strikes, premium + 0.01 * number, action, 1 + number % 3, right, day)
    at = AT + dt.timedelta(seconds=7 * number)
    state = MarketState("SPX", 2_490.0 + number / 10, at, "made by hand", 0.28)
    said = Prophecy("SPX", predicted_close=2_495.0 + number / 7, short_term=2_492.0, target1=2_510.0)
    return Asked(ticket, at, state, said, arm=(None, "control", "test")[number % 3])


def test_a_hundred_together_are_answered_as_each_alone(gate_home) -> None:
    """Check 35, to the last bit. Kills: features or odds that another path computes where there are many."""
    gate = Gate.open(Home.open(gate_home.path), AT)
    asked = [question(number) for number in range(120)]
    together = gate.assess(asked)
    assert together[::3] == [gate.assess([each])[0] for each in asked[::3]]
    assert together[::-1] == gate.assess(asked[::-1])
    hashes = {each.features_hash for each in together}
    assert len(hashes) == 120
    assert gate.assess([asked[0], replace(asked[0], prophecy=asked[1].prophecy)])[1] != together[0]
