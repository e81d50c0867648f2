"""The odds of a price: against the house's other formula, by derivative, by hand, and every way to have none."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant.black import prices
from openbell.quant.distributions import Lognormal
from openbell.quant.legs import Legs
from openbell.quant.odds import probability_of_profit
from openbell.quant.payoffs import profile
from openbell.quant.price_odds import EXPECTED_MOVE, MARKET_VOLATILITY, NOTHING, PREMIUM, QUOTES, price_odds

SPOT = 5_000.0
YEARS = 1 / 252


def one(legs, premium, *, cost=0.0, price=SPOT, mid=None, move=None, years=None, market=None):
    """The odds of one trade; legs are (right, strike, ratio)."""
    right, strike, ratio = (np.array([part], dtype=float) for part in zip(*legs, strict=True))
    arrays = [None if x is None else np.array([x], dtype=float) for x in (move, years, market)]
    return price_odds(
        right, strike, ratio, np.array([float(premium)]), np.array([float(cost)]), np.array([float(price)]),
        mid=None if mid is None else np.array([mid], dtype=float),
        expected_move=arrays[0], years=arrays[1], market_volatility=arrays[2],
    )  # fmt: skip


def worth(legs, deviation, forward=SPOT):
    return sum(q * float(prices(r, forward, k, 1.0, deviation)) for r, k, q in legs)


CONDOR = [(1, 5_050, -1), (1, 5_060, 1), (-1, 4_950, -1), (-1, 4_940, 1)]
FLY = [(1, 5_060, 1), (1, 5_030, -2), (1, 5_000, 1)]
PUT_CREDIT = [(-1, 4_960, -1), (-1, 4_955, 1)]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([-1, 1]), st.integers(85, 115), st.sampled_from([-3, -2, -1, 1, 2])), min_size=1,
             max_size=4),
    st.integers(-900, 900), st.integers(0, 50), st.floats(0.004, 0.3),
)  # fmt: skip
def test_any_structure_against_the_formula_of_profiles(legs, premium, cost, deviation):
    """Kills: a stretch forgotten, costs on the wrong side, the wrong end of an interval, legs that share a strike."""
    legs, premium, cost = [(r, 50.0 * k, q) for r, k, q in legs], premium / 100.0, cost / 100.0
    right, strike, ratio = zip(*legs, strict=True)
    found = one(legs, premium, cost=cost, move=deviation * SPOT)
    days = np.full(len(legs), np.datetime64("2025-01-03"))
    try:
        exact = profile(Legs(np.array(right), np.array(strike), np.array(ratio), days), premium + cost)
    except BadInput:  # the legs cancel each other: a constant loss or gain
        assert found.probability[0] == float(-premium - cost > 1e-9) or abs(premium + cost) < 1e-9
        return
    assert found.basis[0] == EXPECTED_MOVE
    wanted = probability_of_profit(exact, Lognormal(SPOT, deviation))
    assert found.probability[0] == pytest.approx(wanted, abs=1e-9)


def test_order_of_the_legs_leaves_no_trace():
    """Check 18: any permutation of a condor's strikes gives the same odds."""
    mid = [float(prices(r, SPOT, k, 1.0, 0.01)) for r, k, _ in CONDOR]
    premium = worth(CONDOR, 0.01)
    first = one(CONDOR, premium, mid=mid)
    for order in ((3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)):
        other = one([CONDOR[i] for i in order], premium, mid=[mid[i] for i in order])
        assert other.probability[0] == pytest.approx(first.probability[0], rel=1e-12)
        assert other.breakeven_low[0] == pytest.approx(first.breakeven_low[0], rel=1e-14)


@pytest.mark.parametrize(
    ("legs", "premium", "low", "high", "between"),
    [
        ([(1, 5905, 1), (1, 5855, -2), (1, 5805, 1)], 24.82, 5829.82, 5880.18, 1),
        ([(1, 5905, -1), (1, 5910, 1), (-1, 5780, -1), (-1, 5775, 1)], -0.63, 5779.37, 5905.63, 1),
        ([(1, 6000, -1), (1, 6005, 1)], -0.50, None, 6000.50, 1),
        ([(-1, 5950, -1), (-1, 5945, 1)], -0.50, 5949.50, None, 1),
        ([(-1, 5945, -1), (-1, 5950, 1)], 2.0, None, 5948.0, 1),
        ([(1, 6000, 1), (1, 6010, -2), (1, 6030, 1)], 1.5, 6001.50, 6018.50, 1),
        ([(1, 6000, 1), (-1, 6000, 1)], 50.0, 5950.0, 6050.0, 0),
    ],
)  # fmt: skip
def test_breakevens_of_the_reference(legs, premium, low, high, between):
    """S1.17, and a straddle, which wins outside. Breakevens are before costs, whatever the costs are."""
    found = one(legs, premium, cost=0.026, price=5_900.0, move=40.0)
    ends = (found.breakeven_low[0], found.breakeven_high[0])
    for got, wanted in zip(ends, (low, high), strict=True):
        assert math.isnan(got) if wanted is None else got == pytest.approx(wanted, abs=1e-9)
    assert found.wins_between[0] == between


def test_flat_quotes_give_back_their_deviation():
    mid = [float(prices(r, SPOT, k, 1.0, 0.012)) for r, k, _ in CONDOR]
    found = one(CONDOR, worth(CONDOR, 0.012), mid=mid, move=200.0, market=9.0, years=YEARS)
    assert found.basis[0] == QUOTES, "the quotes speak before the expected move"
    assert found.deviation[0] == pytest.approx(0.012, abs=1e-12)
    assert found.leg_deviation[0] == pytest.approx(np.full(4, 0.012), abs=1e-12)
    assert found.probability[0] == pytest.approx(one(CONDOR, worth(CONDOR, 0.012), move=0.012 * SPOT).probability[0])


def test_the_skew_has_its_term():
    """P(S < K) is the slope of the put in its strike, by numerical derivative. Kills: N(-d2) without ds/dk."""

    def deviation(strike):
        return 0.010 - 0.08 * math.log(strike / SPOT)

    def put(strike):
        return float(prices(-1, SPOT, strike, 1.0, deviation(strike)))

    legs = [(-1, 4_960, -1), (-1, 4_940, 1)]
    premium = put(4_940) - put(4_960)
    found = one(legs, premium, mid=[put(4_960), put(4_940)])
    breakeven = 4_960 + premium
    # The smile between two quotes is straight in log-moneyness, and so is this one.
    slope = (put(breakeven + 0.01) - put(breakeven - 0.01)) / 0.02
    assert found.probability[0] == pytest.approx(1 - slope, abs=1e-6)
    flat = one(legs, premium, move=deviation(breakeven) * SPOT).probability[0]
    assert abs(found.probability[0] - flat) > 0.02


def test_put_call_parity_gives_the_forward():
    """An iron butterfly has both rights at its body; two strikes of another moment are not believed."""
    fly = [(1, 5_000, -1), (-1, 5_000, -1), (1, 5_050, 1), (-1, 4_950, 1)]
    mid = [float(prices(r, 5_012.0, k, 1.0, 0.01)) for r, k, _ in fly]
    found = one(fly, -30.0, mid=mid, price=5_000.0)
    assert found.forward[0] == pytest.approx(5_012.0, abs=1e-9)
    assert found.deviation[0] == pytest.approx(0.01, abs=1e-9)
    stale = one(fly, -30.0, mid=mid, price=4_900.0, move=50.0)
    assert stale.basis[0] == EXPECTED_MOVE
    assert stale.forward[0] == 4_900.0


def test_quotes_that_give_no_density_are_not_used():
    """A wing dearer than the strike nearer the price, and a leg without a volatility: the next source speaks."""
    for mid in ([1.0, 3.0], [1.0, 0.0], [1.0, math.nan], [-1.0, 0.5]):
        assert one(PUT_CREDIT, -1.5, mid=mid, move=40.0).basis[0] == EXPECTED_MOVE, mid
        assert one(PUT_CREDIT, -1.5, mid=mid).basis[0] == NOTHING, mid


def test_the_premium_gives_the_deviation_it_is_worth():
    for legs, deviation in ((CONDOR, 0.011), (PUT_CREDIT, 0.007), ([(1, 5_010, 1)], 0.02)):
        found = one(legs, worth(legs, deviation), years=YEARS, market=deviation / math.sqrt(YEARS))
        assert found.basis[0] == PREMIUM
        assert found.deviation[0] == pytest.approx(deviation, rel=1e-9)
        assert not found.ambiguous[0]


def test_of_two_deviations_the_one_near_the_market():
    """A butterfly beside the money is worth its premium at two; without a market the larger one, and it is said."""
    small = 0.004
    premium = worth(FLY, small)
    ends = [one(FLY, premium, years=YEARS, market=v / math.sqrt(YEARS)).deviation[0] for v in (0.003, 0.05)]
    assert ends[0] == pytest.approx(small, rel=1e-9)
    assert ends[1] > 1.5 * small
    for each in ends:
        assert worth(FLY, each) == pytest.approx(premium, abs=1e-9)
    alone = one(FLY, premium, years=YEARS)
    assert alone.deviation[0] == pytest.approx(ends[1], rel=1e-12)
    assert alone.ambiguous[0]
    assert not one(FLY, premium, years=YEARS, market=0.1).ambiguous[0]


def test_two_roots_between_two_points_of_the_grid_are_found():
    """A premium just under the largest worth of a butterfly: kills a search that only looks for changes of sign."""
    at = np.exp(np.linspace(math.log(1e-3), math.log(0.15), 20_000))
    value = np.array(
        prices(1, SPOT, 5_060, 1.0, at) - 2 * prices(1, SPOT, 5_030, 1.0, at) + prices(1, SPOT, 5_000, 1.0, at)
    )
    found = one(FLY, value.max() - 1e-4, years=YEARS)
    assert found.basis[0] == PREMIUM
    assert found.ambiguous[0]
    assert one(FLY, value.max() + 1e-4, years=YEARS).basis[0] == NOTHING


def test_the_market_speaks_last_and_nothing_is_no_half():
    dear = one(FLY, 29.9, years=YEARS, market=0.2)
    assert dear.basis[0] == MARKET_VOLATILITY
    assert dear.deviation[0] == pytest.approx(0.2 * math.sqrt(YEARS))
    for lacking in (
        one(FLY, 29.9, years=YEARS), one(FLY, 8.0), one(FLY, 8.0, market=0.2), one(FLY, math.nan, move=50.0),
        one(FLY, 8.0, move=50.0, price=math.nan), one([(1, math.nan, 1)], 8.0, move=50.0),
        one([(1, 5_000, math.nan)], 8.0, move=50.0), one([(0, 5_000, 1)], 8.0, move=50.0),
        one([(1, 5_000, 0)], 8.0, move=50.0),
    ):  # fmt: skip
        assert lacking.basis[0] == NOTHING
        assert math.isnan(lacking.probability[0])
        assert math.isnan(lacking.deviation[0])


def test_costs_take_from_the_odds_and_may_take_all():
    free, dear, hopeless = (one(CONDOR, -1.0, cost=cost, move=50.0).probability[0] for cost in (0.0, 0.5, 1.0))
    assert free > dear > hopeless == 0.0
    assert math.isnan(one(CONDOR, -1.0, cost=math.nan, move=50.0).probability[0])


def test_shapes_that_do_not_fit_are_refused():
    two = np.ones((2, 4))
    with pytest.raises(BadInput, match="one shape"):
        price_odds(two, two, np.ones((2, 3)), np.ones(2), np.ones(2), np.ones(2))
    with pytest.raises(BadInput, match=r"shape \(2,\)"):
        price_odds(two, two, two, np.ones(3), np.ones(2), np.ones(2))
