"""What a proposed order can make and lose, against hand-worked values and against brute force."""

import datetime as dt
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.core.ticket import STRATEGIES, OrderType, Status, Ticket, TicketLeg
from openbell.core.types import Right, Side
from openbell.quant.ticket_profile import checked, instruction, legs_of, profile_of, risk_reward
from openbell.quant.ticket_shapes import check_shape

DAY, LATER = dt.date(2025, 5, 22), dt.date(2025, 6, 20)
CALL, PUT = Right.CALL, Right.PUT

#: S1.17: action, strategy, option type, strikes, premium -> risk, reward, breakevens.
REFERENCE = [
    ("BUY", "Butterfly", "CALL", (5905, 5855, 5805), 24.82, 2482.0, 2518.0, (5829.82, 5880.18)),
    ("SELL", "Iron Condor", None, (5905, 5910, 5780, 5775), 0.63, 437.0, 63.0, (5779.37, 5905.63)),
    ("SELL", "Vertical", "CALL", (6000, 6005), 0.50, 450.0, 50.0, (6000.50,)),
    ("SELL", "Vertical", "PUT", (5950, 5945), 0.50, 450.0, 50.0, (5949.50,)),
    ("BUY", "Vertical", "PUT", (5945, 5950), 2.0, 200.0, 300.0, (5948.0,)),
    ("BUY", "Butterfly", "CALL", (6000, 6010, 6030), 1.5, 1150.0, 850.0, (6001.50, 6018.50)),
]


def ticket(strategy, legs, premium, side=Side.BUY, **more) -> Ticket:
    return Ticket("SPX", side, 1, strategy, tuple(TicketLeg(*leg) for leg in legs), premium, **more)


@pytest.mark.parametrize(
    ("action", "strategy", "kind", "strikes", "premium", "risk", "reward", "breakevens"), REFERENCE
)
def test_reference_values_to_the_cent_whatever_the_order_of_the_strikes(
    action, strategy, kind, strikes, premium, risk, reward, breakevens
):
    """S1.17, check 18. Kills: a vertical whose side follows the order of its strikes, debit taken for credit."""
    for given_strikes in itertools.permutations(strikes):
        found = risk_reward(instruction("SPX", strategy, given_strikes, premium, action, 1, kind))
        assert found.risk_usd == pytest.approx(risk, abs=1e-9)
        assert found.reward_usd == pytest.approx(reward, abs=1e-9)
        assert found.breakevens == pytest.approx(breakevens, abs=1e-9)
        assert found.ratio == pytest.approx(reward / risk)
        assert not found.risk_unlimited
        assert not found.reward_unlimited


def test_the_reference_ratio_and_the_size_of_the_order():
    """RR 1.0145 of S1.17; ten units risk ten times as much. Kills: a quantity or multiplier left out."""
    ten = risk_reward(instruction("SPX", "butterfly", [5905, 5855, 5805], 24.82, "bot", 10, "call"))
    assert round(ten.ratio, 4) == 1.0145
    assert (ten.risk_usd, ten.reward_usd) == (24_820.0, 25_180.0)
    future = instruction("/ESZ26", "Vertical", [6000, 6005], 2.0, "BUY", 3, "CALL", multiplier=50.0)
    assert risk_reward(future).risk_usd == 300.0


@pytest.mark.parametrize("kind", ["CALL", "PUT"])
@pytest.mark.parametrize("action", ["BUY", "SELL"])
def test_a_vertical_is_bought_for_a_debit_and_sold_for_a_credit(action, kind):
    """Kills: the put vertical with the signs of the call vertical."""
    legs = {leg.strike: leg.ratio for leg in instruction("SPX", "Vertical", [110, 100], 3.0, action, 1, kind).legs}
    long_low = (action == "BUY") == (kind == "CALL")
    assert legs == ({100.0: 1, 110.0: -1} if long_low else {100.0: -1, 110.0: 1})


def test_unequal_wings_of_an_iron_condor_risk_the_wider_one():
    found = risk_reward(instruction("NVDA", "Iron Condor", [210, 207.5, 197.5, 192.5], 1.30, "SELL", 2))
    assert (found.risk_usd, found.reward_usd) == (740.0, 260.0)
    assert found.breakevens == (196.2, 208.8)


def test_an_iron_butterfly_written_as_an_iron_condor():
    """Annex F: 4450/4460/4450/4440 @9.60, wings of 10: 0.40 at risk."""
    found = risk_reward(instruction("SPX", "IRON CONDOR", [4450, 4460, 4450, 4440], 9.60, "SELL", 2))
    assert (found.risk_usd, found.reward_usd, found.breakevens) == (80.0, 1920.0, (4440.4, 4459.6))


def test_unlimited_is_none_and_never_a_large_number():
    naked = risk_reward(instruction("SPX", "Single", [100], 2.0, "SELL", 1, "CALL"))
    assert naked.risk_unlimited
    assert (naked.risk_usd, naked.reward_usd, naked.ratio) == (None, 200.0, 0.0)
    bought = risk_reward(instruction("SPX", "Strangle", [90, 110], 2.0, "BUY"))
    assert (bought.risk_usd, bought.reward_usd, bought.ratio) == (200.0, None, None)
    assert bought.breakevens == (88.0, 112.0)


def brute(ticket: Ticket) -> tuple[float, float]:
    """Largest and smallest profit on a fine grid, by the definition of each leg."""
    strikes = [leg.strike for leg in ticket.legs]
    grid = np.unique(np.concatenate([np.linspace(0, 2 * max(strikes), 201), strikes]))
    total = np.full(grid.shape, -ticket.premium)
    for leg in ticket.legs:
        total += leg.ratio * np.maximum((grid - leg.strike) if leg.right is CALL else (leg.strike - grid), 0.0)
    return float(total.max()), float(total.min())


#: What a buyer holds at the rising strikes: written here again, by hand.
BOUGHT = {
    "Butterfly": [(1, None), (-2, None), (1, None)],
    "Condor": [(1, None), (-1, None), (-1, None), (1, None)],
    "Iron Condor": [(-1, PUT), (1, PUT), (1, CALL), (-1, CALL)],
    "Sonar": [(-1, PUT), (1, PUT), (1, CALL), (-1, CALL)],
    "Strangle": [(1, PUT), (1, CALL)],
}


def unchecked(symbol, strategy, strikes, premium, action, quantity, kind) -> Ticket:
    """The same order without a look at its price."""
    pattern = [(1, None), (-1, None)] if kind == "CALL" else [(-1, None), (1, None)]
    way = 1 if action == "BUY" else -1
    legs = [
        (way * ratio, own or Right(kind), strike)
        for (ratio, own), strike in zip(BOUGHT.get(strategy, pattern), sorted(strikes), strict=True)
    ]
    return ticket(strategy.upper(), legs, way * premium)


def drawn(random: np.random.Generator) -> tuple:
    """One order in the API form with random, unequal strikes, and a premium that may be impossible."""
    strategy = str(random.choice(["Butterfly", "Iron Condor", "Vertical", "Sonar", "Condor", "Strangle"]))
    count = {"Butterfly": 3, "Vertical": 2, "Strangle": 2}.get(strategy, 4)
    strikes = random.choice(np.arange(50, 150) / 2.0, size=count, replace=False).tolist()
    kind = None if strategy in ("Iron Condor", "Sonar", "Strangle") else str(random.choice(["CALL", "PUT"]))
    premium = round(float(random.uniform(0.01, 12.0)), 2)
    return "SPX", strategy, strikes, premium, str(random.choice(["BUY", "SELL"])), int(random.integers(1, 20)), kind


@pytest.mark.parametrize("orders", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_random_orders_against_brute_force(orders):
    """Check 17. An order is refused exactly where the grid says that it could only win or only lose."""
    random, stood = np.random.default_rng(5), 0
    for _ in range(orders):
        terms = drawn(random)
        best, worst = brute(unchecked(*terms))
        if not best > 1e-9 > -1e-9 > worst:
            with pytest.raises(BadInput, match=r"pays at|can cost at most"):
                instruction(*terms)
            continue
        stood += 1
        found = profile_of(instruction(*terms))
        if not found.max_profit_unlimited:
            assert found.max_profit == pytest.approx(best, abs=1e-9)
        if not found.max_loss_unlimited:
            assert found.max_loss == pytest.approx(-worst, abs=1e-9)
        assert found.profit(np.array(found.breakevens)) == pytest.approx(0.0, abs=1e-9)
    assert orders / 2 < stood < orders


def test_what_is_refused_for_its_premium_could_not_win_or_not_lose():
    """The other half of check 17: no order that could both win and lose is refused. Kills: a bound of 0.05."""
    for premium in (0.01, 4.99):
        assert checked(instruction("SPX", "Vertical", [100, 105], premium, "BUY", 1, "CALL"))
        assert checked(instruction("SPX", "Vertical", [100, 105], premium, "SELL", 1, "PUT"))


BAD = [
    (("SPX", "Butterfly", [], 1.0, "BUY"), "has 3 strikes; 0 were given"),
    (("SPX", "Butterfly", [1, 2], 1.0, "BUY"), "has 3 strikes; 2 were given: 1, 2"),
    (("SPX", "Iron Condor", [1, 2, 3], 1.0, "SELL"), "An iron condor has 4 strikes; 3"),
    (("SPX", "Vertical", [100, 105, 110], 1.0, "SELL", 1, "CALL"), "has 2 strikes; 3"),
    (("SPX", "Vertical", [100, 105], 0, "SELL", 1, "CALL"), "above 0; was 0"),
    (("SPX", "Vertical", [100, 105], -1, "SELL", 1, "CALL"), "above 0; was -1"),
    (("SPX", "Vertical", [100, 105], math.nan, "SELL", 1, "CALL"), "above 0; was nan"),
    (("SPX", "Vertical", [100, 105], math.inf, "SELL", 1, "CALL"), "above 0; was inf"),
    (("SPX", "Vertical", [100, 105], True, "SELL", 1, "CALL"), "above 0; was True"),
    (("SPX", "Vertical", [100, 105], "1", "SELL", 1, "CALL"), "above 0; was '1'"),
    (
        ("SPX", "Vertical", [100, 105], 5, "SELL", 1, "CALL"),
        "a credit must be below that; the premium was a credit of 5",
    ),
    (("SPX", "Vertical", [100, 105], 5, "BUY", 1, "PUT"), "a debit must be below that; the premium was a debit of 5"),
    (("SPX", "Sonar", [90, 95, 105, 110], 5.5, "SELL"), "This sonar can cost at most 5 points"),
    (("SPX", "Butterfly", [90, 100, 110], 10, "BUY", 1, "CALL"), "pays at most 10 points"),
    (
        ("F", "Vertical", [17.2, 18.3], 1.1, "BUY", 1, "CALL"),
        "a debit must be below that; the premium was a debit of 1.1",
    ),
    (
        ("F", "Vertical", [17.2, 18.3], 1.1, "SELL", 1, "CALL"),
        "a credit must be below that; the premium was a credit of",
    ),
    (("SPX", "Vertical", [100, 100], 1, "BUY", 1, "CALL"), "has a width of 0: both strikes are 100"),
    (("SPX", "Butterfly", [100, 100, 110], 1, "BUY"), "lower wing of this butterfly has a width of 0"),
    (("SPX", "Iron Condor", [90, 100, 110, 110], 1, "SELL"), "call wing of this iron condor has a width of 0"),
    (("SPX", "Iron Condor", [90, 90, 110, 120], 1, "SELL"), "put wing of this iron condor has a width of 0"),
    (("SPX", "Vertical", [100, -5], 1, "BUY", 1, "CALL"), "above 0; among them was -5"),
    (("SPX", "Vertical", [100, math.nan], 1, "BUY", 1, "CALL"), "above 0; among them was nan"),
    (("SPX", "Vertical", [100, 2e7], 1, "BUY", 1, "CALL"), "is above the 10,000,000"),
    (("SPX", "Vertical", [100, 10**400], 1, "BUY", 1, "CALL"), "among them was a number of more than 15 digits"),
    (("SPX", "Vertical", [100, 105], 1, "HOLD", 1, "CALL"), "There is no action `HOLD`"),
    (("SPX", "Vertical", [100, 105], 1, "BUY", 0, "CALL"), "1 or more; was 0"),
    (("SPX", "Vertical", [100, 105], 1, "BUY", -3, "CALL"), "1 or more; was -3"),
    (("SPX", "Vertical", [100, 105], 1, "BUY", 1.5, "CALL"), "1 or more; was 1.5"),
    (("SPX", "Vertical", [100, 105], 1, "BUY", True, "CALL"), "1 or more; was True"),
    (("SPX", "Vertical", [100, 105], 1, "BUY", 10**5000, "CALL"), "more than 15 digits units is above the 1,000,000"),
    (("SPX", "Vertical", [100, 105], 1, "BUY"), "A vertical needs an option type: CALL or PUT"),
    (("SPX", "Vertical", [100, 105], 1, "BUY", 1, "CALL/PUT"), "all calls or all puts"),
    (("SPX", "Vertical", [100, 105], 1, "BUY", 1, "COLL"), "no option type `COLL`. Did you mean `CALL`"),
    (("SPX", "Iron Condor", [90, 95, 105, 110], 1, "SELL", 1, "CALL"), "has puts and calls; the option type was"),
    (("SPX", "Iron Candor", [90, 95, 105, 110], 1, "SELL"), "Did you mean `Iron Condor`"),
    (("SPX", "Calendar", [90], 1, "BUY"), "do not settle the legs of a calendar"),
    (("", "Vertical", [100, 105], 1, "BUY", 1, "CALL"), "is no symbol"),
    (("S P X", "Vertical", [100, 105], 1, "BUY", 1, "CALL"), "is no symbol"),
]


@pytest.mark.parametrize(("terms", "because"), BAD, ids=[f"{at}" for at in range(len(BAD))])
def test_what_cannot_be_is_refused_with_its_sentence(terms, because):
    """Checks 19 and 20: the original answered 200 or 500 to many of these."""
    with pytest.raises(BadInput) as refused:
        instruction(*terms)
    assert because in str(refused.value)
    assert str(refused.value).endswith((".", "?"))


def test_words_in_any_dress():
    """`iron_condor`, `IRON CONDOR` and `Iron-Condor` are one; BOT and SOLD are fills."""
    forms = {
        instruction("spx", word, [90, 95, 105, 110], 1.0, "sold")
        for word in ("iron_condor", " Iron-Condor", "IRONCONDOR")
    }
    assert len(forms) == 1
    assert forms.pop().status is Status.FILLED
    assert instruction("$SPX", "sonar", [90, 95, 105, 110], 1.0, "sell").strategy == "SONAR"


def test_a_butterfly_without_a_type_is_calls_and_says_so():
    """Equal wings pay the same in puts; unequal ones do not, and the flag says that."""
    for strikes, told in (([90, 100, 110], "puts pay the same"), ([90, 100, 120], "would pay otherwise")):
        asked = instruction("SPX", "Butterfly", strikes, 1.0, "BUY")
        assert {leg.right for leg in asked.legs} == {CALL}
        assert told in asked.flags[0]
    assert instruction("SPX", "Butterfly", [90, 100, 110], 1.0, "BUY", 1, "PUT").flags == ()


def test_a_broken_wing_bought_for_a_credit_stands_on_a_ticket():
    """A real order: 3645/3630/3600 puts for a credit of .40. By hand: best 15.4 at 3630, worst -14.6 below 3600."""
    asked = ticket("BUTTERFLY", [(1, PUT, 3645), (-2, PUT, 3630), (1, PUT, 3600)], -0.40)
    found = risk_reward(asked)
    assert (found.reward_usd, found.risk_usd, found.breakevens) == (1540.0, 1460.0, (3614.6,))


WRONG = [
    (ticket("VERTICAL", [(1, CALL, 100), (-1, PUT, 105)], 1), "is all calls or all puts"),
    (ticket("VERTICAL", [(1, CALL, 100), (1, CALL, 105)], 1), "buys one option and sells the other"),
    (ticket("VERTICAL", [(1, CALL, 100), (-2, CALL, 105)], 1), "which is a ratio spread"),
    (ticket("VERTICAL", [(1, CALL, 100, DAY), (-1, CALL, 105, LATER)], 1), "expire on one day; these do on 2025-05-22"),
    (ticket("VERTICAL", [(1, CALL, 100, DAY), (-1, CALL, 105)], 1), "and an unnamed day"),
    (ticket("VERTICAL", [(1, CALL, 100)], 1), "A vertical has 2 legs; 1 were given: +1 call 100"),
    (ticket("BUTTERFLY", [(1, CALL, 90), (2, CALL, 100), (1, CALL, 110)], 1), "on one side and its inner ones"),
    (ticket("BUTTERFLY", [(1, CALL, 90), (-2, CALL, 100), (-1, CALL, 110)], 1), "on one side and its inner ones"),
    (
        ticket("CONDOR", [(1, CALL, 90), (-1, CALL, 95), (-1, CALL, 95), (1, CALL, 99)], 1),
        "body of this condor has a width",
    ),
    (ticket("IRON CONDOR", [(1, CALL, 90), (-1, CALL, 95), (-1, CALL, 97), (1, PUT, 99)], 1), "two puts and two calls"),
    (
        ticket("IRON CONDOR", [(-1, PUT, 90), (1, PUT, 100), (1, CALL, 95), (-1, CALL, 105)], 1),
        "inner put 100 should not lie above the inner call 95",
    ),
    (
        ticket("IRON CONDOR", [(1, PUT, 90), (-1, PUT, 95), (1, CALL, 100), (-1, CALL, 105)], 1),
        "on one side and its inner ones",
    ),
    (
        ticket("IRON BUTTERFLY", [(-1, PUT, 90), (1, PUT, 95), (1, CALL, 100), (-1, CALL, 105)], 1),
        "which is an iron condor",
    ),
    (ticket("BACKRATIO", [(-1, CALL, 100), (1, CALL, 105)], 1), "which is a vertical"),
    (ticket("STRADDLE", [(1, PUT, 100), (1, CALL, 105)], 1), "has one; given were"),
    (ticket("STRANGLE", [(1, PUT, 100), (1, CALL, 100)], 1), "has two strikes; given were"),
    (ticket("STRADDLE", [(1, PUT, 100), (-1, CALL, 100)], 1), "a put and a call on the same side"),
    (ticket("CALENDAR", [(1, PUT, 100, LATER), (-1, PUT, 105, DAY)], 1), "which is a diagonal"),
    (ticket("CALENDAR", [(1, PUT, 100, DAY), (-1, PUT, 100, DAY)], 1), "expires on two days"),
    (ticket("COMBO", [(1, PUT, 100), (-1, PUT, 95)], 1), "is a put against a call"),
    (ticket("DOUBLE DIAGONAL", [(1, PUT, 100), (-1, PUT, 95)], 1), "A double diagonal has 4 legs"),
    (ticket("SINGLE", [(1, PUT, 100), (-1, PUT, 95)], 1), "A single option has 1 leg;"),
    (ticket("BUTTERFLIES", [(1, PUT, 100)], 1), "Did you mean `BUTTERFLY`"),
    (ticket("SINGLE", [(1, PUT, 100)], None, order_type=OrderType.MARKET), "has no limit price (MKT)"),
    (ticket("SINGLE", [(1, PUT, 100)], math.nan), "must be a number of points; was nan"),
    (ticket("SINGLE", [(1, PUT, 100)], -1.0), "Is its sign wrong?"),
    (ticket("SINGLE", [(1, PUT, 100)], 0.0), "must cost a debit"),
    (ticket("CALENDAR", [(1, PUT, 100, LATER), (-1, PUT, 100, DAY)], 200.0), "not below the sum of its strikes, 200"),
]


@pytest.mark.parametrize(("asked", "because"), WRONG, ids=[f"{at}" for at in range(len(WRONG))])
def test_a_ticket_whose_legs_are_not_its_strategy_is_refused(asked, because):
    """Checks 19, 20 on tickets of any dialect, and in every order of their legs."""
    for legs in itertools.permutations(asked.legs):
        with pytest.raises(BadInput) as refused:
            checked(Ticket("SPX", asked.side, 1, asked.strategy, legs, asked.premium, order_type=asked.order_type))
        assert because in str(refused.value) or len(asked.legs) > 1  # what is listed follows the order of the legs
    with pytest.raises(BadInput) as refused:
        checked(asked)
    assert because in str(refused.value)


STANDING = {
    "SINGLE": [(1, PUT, 100)],
    "VERTICAL": [(1, CALL, 100), (-1, CALL, 105)],
    "BUTTERFLY": [(1, CALL, 90), (-3, CALL, 100), (2, CALL, 110)],
    "CONDOR": [(1, PUT, 90), (-1, PUT, 95), (-1, PUT, 100), (1, PUT, 110)],
    "IRON CONDOR": [(-1, PUT, 90), (1, PUT, 95), (1, CALL, 100), (-1, CALL, 110)],
    "IRON BUTTERFLY": [(-1, PUT, 90), (1, PUT, 95), (1, CALL, 95), (-1, CALL, 110)],
    "SONAR": [(-1, PUT, 90), (1, PUT, 95), (1, CALL, 100), (-1, CALL, 110)],
    "CALENDAR": [(1, PUT, 100, LATER), (-1, PUT, 100, DAY)],
    "DIAGONAL": [(1, PUT, 95, LATER), (-1, PUT, 100, DAY)],
    "DOUBLE DIAGONAL": [(1, PUT, 90, LATER), (-1, PUT, 95, DAY), (-1, CALL, 100, DAY), (1, CALL, 105, LATER)],
    "DOUBLE CALENDAR": [(1, PUT, 95, LATER), (-1, PUT, 95, DAY), (-1, CALL, 100, DAY), (1, CALL, 100, LATER)],
    "STRADDLE": [(1, PUT, 100), (1, CALL, 100)],
    "STRANGLE": [(1, PUT, 95), (1, CALL, 100)],
    "BACKRATIO": [(-1, CALL, 100), (2, CALL, 105)],
    "RATIO": [(1, CALL, 100), (-2, CALL, 105)],
    "COLLAR": [(1, PUT, 95), (-1, CALL, 105)],
    "COMBO": [(-1, PUT, 95), (1, CALL, 95)],
    "CUSTOM": [(2, CALL, 100), (-1, CALL, 95)],
}


def test_every_strategy_has_a_shape_that_stands_bought_and_sold():
    """Kills: a strategy word without a shape, and one that refuses itself."""
    assert set(STANDING) == set(STRATEGIES)
    for strategy, legs in STANDING.items():
        for way in (1, -1):
            turned = [(way * leg[0], *leg[1:]) for leg in legs]
            check_shape(ticket(strategy, turned, 1.0))


def test_legs_are_what_the_ticket_says():
    arrays = legs_of(ticket("CALENDAR", [(2, PUT, 100, LATER), (-1, CALL, 95.5)], 1))
    assert arrays.right.tolist() == [-1, 1]
    assert arrays.ratio.tolist() == [2, -1]
    assert arrays.strike.tolist() == [100.0, 95.5]
    assert arrays.expiry[0] == np.datetime64(LATER)
    assert np.isnat(arrays.expiry[1])


def test_two_expiries_need_a_valuation():
    """Check 23: a calendar has no profile by its strikes alone, and one with an unnamed day none at all."""
    for days, because in (((LATER, DAY), "profile_by_valuation"), ((LATER, None), "have no expiry")):
        asked = ticket("CALENDAR", [(1, PUT, 100, days[0]), (-1, PUT, 100, days[1])], 1)
        with pytest.raises(BadInput, match=because):
            profile_of(asked)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 400), min_size=4, max_size=4, unique=True),
    st.integers(1, 999),
    st.sampled_from(["BUY", "SELL"]),
    st.permutations(range(4)),
)
def test_buying_and_selling_are_mirrors(strikes, cents, action, order):
    """Property: what the buyer may win the seller may lose, at every order of strikes; check 18."""
    other = {"BUY": "SELL", "SELL": "BUY"}[action]
    try:
        mine = risk_reward(instruction("SPX", "Iron Condor", strikes, cents / 100, action))
    except BadInput:
        with pytest.raises(BadInput):
            instruction("SPX", "Iron Condor", [strikes[at] for at in order], cents / 100, other)
        return
    theirs = risk_reward(instruction("SPX", "Iron Condor", [strikes[at] for at in order], cents / 100, other))
    assert (mine.risk_usd, mine.reward_usd) == (theirs.reward_usd, theirs.risk_usd)
    assert mine.breakevens == theirs.breakevens
