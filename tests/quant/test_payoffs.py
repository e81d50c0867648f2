"""Payoffs against brute force, against numbers worked by hand, and against what they must not depend on."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from openbell.core.errors import BadInput
from openbell.quant import payoffs
from openbell.quant.legs import CALL, PUT, UNDERLYING, Legs, netted
from openbell.quant.refinement import chord_gaps, refined
from openbell.quant.structure_checks import check_premium, check_structure

NEAR, FAR = "2024-01-19", "2024-02-16"


def legs_of(*legs: tuple) -> Legs:
    """(right, strike, ratio[, expiry]) each; the near expiry by default."""
    return Legs(
        np.array([leg[0] for leg in legs], dtype=np.int8),
        np.array([leg[1] for leg in legs], dtype=np.float64),
        np.array([leg[2] for leg in legs], dtype=np.int64),
        np.array([leg[3] if len(leg) > 3 else NEAR for leg in legs], dtype="datetime64[D]"),
    )


def black_scholes(spots, right, strike, years, sigma=0.2, rate=0.03, paid=0.0):
    """A second formula for the value of the far leg."""
    with np.errstate(divide="ignore"):
        d1 = np.log(spots * np.exp((rate - paid) * years) / strike) / (sigma * years**0.5) + sigma * years**0.5 / 2
    d2 = d1 - sigma * years**0.5
    worth = spots * np.exp(-paid * years) * norm.cdf(right * d1) - strike * np.exp(-rate * years) * norm.cdf(right * d2)
    return right * worth


BUY_BUTTERFLY = legs_of((CALL, 5905, 1), (CALL, 5855, -2), (CALL, 5805, 1))
CONDOR = legs_of((CALL, 5905, -1), (CALL, 5910, 1), (PUT, 5780, -1), (PUT, 5775, 1))
BROKEN_WING = legs_of((CALL, 6000, 1), (CALL, 6010, -2), (CALL, 6030, 1))


@pytest.mark.parametrize(
    ("legs", "premium", "reward", "risk", "breakevens"),
    [
        (BUY_BUTTERFLY, 24.82, 2518.0, 2482.0, (5829.82, 5880.18)),
        (CONDOR, -0.63, 63.0, 437.0, (5779.37, 5905.63)),
        (legs_of((CALL, 6000, -1), (CALL, 6005, 1)), -0.5, 50.0, 450.0, (6000.5,)),
        (legs_of((PUT, 5950, -1), (PUT, 5945, 1)), -0.5, 50.0, 450.0, (5949.5,)),
        (legs_of((PUT, 5945, -1), (PUT, 5950, 1)), 2.0, 300.0, 200.0, (5948.0,)),
        (BROKEN_WING, 1.5, 850.0, 1150.0, (6001.5, 6018.5)),
    ],
)
def test_reference_values(legs, premium, reward, risk, breakevens) -> None:
    """S1.17, to the cent and to the last digit of each breakeven."""
    found = payoffs.profile(legs, premium)
    assert round(100 * found.max_profit, 6) == reward
    assert round(100 * found.max_loss, 6) == risk
    assert tuple(round(each, 9) for each in found.breakevens) == breakevens
    assert not found.max_profit_unlimited
    assert not found.max_loss_unlimited
    assert found.error == 0.0


def test_reward_to_risk_of_the_reference_butterfly() -> None:
    """S1.17: 1.0145."""
    assert round(payoffs.profile(BUY_BUTTERFLY, 24.82).reward_to_risk, 4) == 1.0145


def test_unlimited_is_said_by_a_flag() -> None:
    """A short call loses without end, a long one gains; a put's bounds lie at a price of 0 (check 23)."""
    short_call = payoffs.profile(legs_of((CALL, 100, -1)), -2.0)
    assert (short_call.max_loss_unlimited, short_call.max_loss, short_call.max_profit) == (True, math.inf, 2.0)
    assert short_call.breakevens == (102.0,)
    long_call = payoffs.profile(legs_of((CALL, 100, 1)), 2.0)
    assert (long_call.max_profit_unlimited, long_call.max_profit, long_call.max_loss) == (True, math.inf, 2.0)
    long_put = payoffs.profile(legs_of((PUT, 100, 1)), 3.25)
    assert (long_put.max_profit, long_put.max_loss, long_put.max_profit_unlimited) == (96.75, 3.25, False)
    assert math.isnan(payoffs.profile(legs_of((CALL, 100, 2), (PUT, 100, -1)), -9.0).reward_to_risk) is False


def test_stock_covers_a_call() -> None:
    """Bought at 98 and a 105 call sold at 3: paid 95, at most 10 to gain, all of it to lose, even at 95."""
    found = payoffs.profile(legs_of((UNDERLYING, 0, 1, "NaT"), (CALL, 105, -1)), 98.0 - 3.0)
    assert (found.max_profit, found.max_loss, found.breakevens) == (10.0, 95.0, (95.0,))
    assert not found.max_profit_unlimited
    short_stock = payoffs.profile(legs_of((UNDERLYING, 0, -1, "NaT")), -98.0)
    assert (short_stock.max_profit, short_stock.max_loss_unlimited, short_stock.breakevens) == (98.0, True, (98.0,))


def test_stretches_of_zero() -> None:
    """A free call earns nothing below its strike: one breakeven where that ends, and the stretch by itself."""
    free = payoffs.profile(legs_of((CALL, 100, 1)), 0.0)
    assert (free.breakevens, free.flat, free.max_loss) == ((100.0,), ((0.0, 100.0),), 0.0)
    dear = payoffs.profile(legs_of((CALL, 100, 1), (CALL, 110, -1)), 10.0)
    assert (dear.breakevens, dear.flat) == ((110.0,), ((110.0, math.inf),))
    between = payoffs.profile(legs_of((PUT, 90, 1), (CALL, 110, 1)), 0.0)
    assert (between.breakevens, between.flat) == ((90.0, 110.0), ((90.0, 110.0),))
    touching = payoffs.profile(legs_of((CALL, 90, 1), (CALL, 100, -2), (CALL, 110, 1)), 10.0)
    assert (touching.breakevens, touching.flat) == ((100.0,), ())
    at_zero = payoffs.profile(legs_of((UNDERLYING, 0, 1, "NaT")), 0.0)
    assert (at_zero.breakevens, at_zero.flat) == ((0.0,), ())


def test_a_loss_that_cannot_happen_is_below_zero() -> None:
    """Nothing is clipped: a vertical sold for more than its width gains at least 1 whatever happens (trap 6)."""
    found = payoffs.profile(legs_of((CALL, 100, -1), (CALL, 105, 1)), -6.0)
    assert (found.max_loss, found.max_profit, found.breakevens) == (-1.0, 6.0, ())


def _random_structures(n: int, seed: int = 4) -> tuple[np.ndarray, ...]:
    """(n, 6) legs of any right and ratio on a coarse grid of strikes, padded; with a premium."""
    rng = np.random.default_rng(seed)
    right = rng.choice([CALL, PUT, UNDERLYING], size=(n, 6), p=[0.48, 0.48, 0.04])
    strike = np.where(right == UNDERLYING, 0.0, rng.integers(10, 60, size=(n, 6)) * 2.5)
    ratio = rng.integers(-3, 4, size=(n, 6)) * (rng.random((n, 6)) < 0.7)
    ratio[:, 0] = np.where(ratio[:, 0] == 0, 1, ratio[:, 0])
    return right, strike, ratio, np.round(rng.normal(0, 6, n), 2)


def _brute(right, strike, ratio, premium, spots):
    """Profit of each structure on a grid (m,), written down as the definition says: (n, m)."""
    total = np.repeat(-premium[:, None], len(spots), axis=1)
    for leg in range(right.shape[1]):
        side, k, q = (each[:, leg, None].astype(float) for each in (right, strike, ratio))
        total += q * np.where(side == UNDERLYING, spots, np.maximum(side * (spots - k), 0.0))
    return total


GRID = np.concatenate([np.arange(0.0, 160.0, 1.25), [1e4, 2e4]])


def test_ten_thousand_structures_equal_brute_force() -> None:
    """Check 17: over a grid that holds every kink, 0 and points far out."""
    right, strike, ratio, premium = _random_structures(10_000)
    found = payoffs.profiles(right, strike, ratio, premium)
    for part in np.array_split(np.arange(10_000), 10):
        profit = _brute(right[part], strike[part], ratio[part], premium[part], GRID)
        rises = profit[:, -1] - profit[:, -2]
        np.testing.assert_array_equal(found.max_profit_unlimited[part], rises > 1e-6)
        np.testing.assert_array_equal(found.max_loss_unlimited[part], rises < -1e-6)
        best = np.where(rises > 1e-6, np.inf, profit.max(axis=1))
        worst = np.where(rises < -1e-6, np.inf, -profit.min(axis=1))
        np.testing.assert_allclose(found.max_profit[part], best, atol=1e-9)
        np.testing.assert_allclose(found.max_loss[part], worst, atol=1e-9)


def test_one_by_one_equals_many_and_breakevens_equal_brute_force() -> None:
    """Check 17: the profile of one has the bounds of the kernel, and its breakevens part every sign on the grid."""
    right, strike, ratio, premium = _random_structures(250, seed=5)
    many = payoffs.profiles(right, strike, ratio, premium)
    profit = _brute(right, strike, ratio, premium, GRID)
    compared = 0
    for row in range(250):
        kept = ratio[row] != 0
        try:
            one = payoffs.profile(
                legs_of(*zip(right[row][kept], strike[row][kept], ratio[row][kept], strict=True)), premium[row]
            )
        except BadInput:  # the legs cancel
            continue
        compared += 1
        assert one.max_profit == pytest.approx(many.max_profit[row], abs=1e-12)
        assert one.max_loss == pytest.approx(many.max_loss[row], abs=1e-12)
        np.testing.assert_allclose(one.profit(GRID), profit[row], atol=1e-8)
        np.testing.assert_allclose(one.profit(np.array(one.breakevens)), 0.0, atol=1e-9)
        # Between neighbouring grid points of opposite sign lies exactly an odd number of crossings; without, none.
        sign = np.sign(np.where(np.abs(profit[row]) < 1e-9, 0.0, profit[row]))
        changes = np.flatnonzero(sign[:-1] * sign[1:] < 0)
        roots = np.array(one.breakevens)
        for at in changes:
            assert np.sum((roots > GRID[at]) & (roots < GRID[at + 1])) % 2 == 1
        same = np.flatnonzero(sign[:-2] * sign[1:-1] > 0)  # grid steps hold no kink inside
        assert not any(np.any((roots > GRID[at]) & (roots < GRID[at + 1])) for at in same)
    assert compared > 230


def test_the_order_of_the_legs_leaves_no_trace() -> None:
    """Check 18, to the last bit: in the profile, the payoff and the kernel."""
    right, strike, ratio, premium = _random_structures(2_000, seed=6)
    strike = strike * 1.1  # strikes that no float holds exactly
    rng = np.random.default_rng(1)
    order = np.argsort(rng.random(ratio.shape), axis=1)
    shuffled = [np.take_along_axis(each, order, axis=1) for each in (right, strike, ratio)]
    plain, mixed = payoffs.profiles(right, strike, ratio, premium), payoffs.profiles(*shuffled, premium)
    for name in ("max_profit", "max_loss", "max_profit_unlimited", "max_loss_unlimited"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(mixed, name))
    spot = rng.uniform(0, 160, 2_000)
    np.testing.assert_array_equal(
        payoffs.settlement_values(right, strike, ratio, spot), payoffs.settlement_values(*shuffled, spot)
    )
    for row in range(100):
        sides = []
        for a, b, c in ((right, strike, ratio), shuffled):
            kept = c[row] != 0
            legs = legs_of(*zip(a[row][kept], b[row][kept], c[row][kept], strict=True))
            sides.append((payoffs.payoff(legs, GRID), payoffs.profile(legs, premium[row])))
        assert sides[0][0].tobytes() == sides[1][0].tobytes()
        assert (sides[0][1].breakevens, sides[0][1].flat) == (sides[1][1].breakevens, sides[1][1].flat)


def test_settlement_values_and_what_is_missing() -> None:
    right, strike = np.array([[1, -1], [1, 0]]), np.array([[100.0, 100.0], [100.0, np.nan]])
    paid = payoffs.settlement_values(right, strike, np.array([[1, 2], [-1, 0]]), np.array([90.0, 130.0]))
    assert paid.tolist() == [20.0, -30.0]
    found = payoffs.profiles(right, np.array([[np.nan, 100.0], [100.0, 0.0]]), np.ones((2, 2)), np.array([1.0, np.nan]))
    assert np.isnan(found.max_profit).all()
    assert np.isnan(found.max_loss).all()
    with pytest.raises(BadInput, match=r"one shape \(positions, legs\)"):
        payoffs.profiles(right, strike[0], right, np.zeros(2))


def test_contracts_are_netted() -> None:
    twice = netted(legs_of((CALL, 100, 1), (PUT, 100, 2), (CALL, 100, 1), (CALL, 110, 1), (CALL, 110, -1)))
    assert twice.right.tolist() == [PUT, CALL]
    assert twice.strike.tolist() == [100.0, 100.0]
    assert twice.ratio.tolist() == [2, 2]
    with pytest.raises(BadInput, match="cancel each other"):
        netted(legs_of((CALL, 100, 1), (CALL, 100, -1)))
    other_day = netted(legs_of((CALL, 100, 1), (CALL, 100, -1, FAR)))
    assert other_day.ratio.tolist() == [1, -1]


# --- several expiries ------------------------------------------------------------------------------------------------


CALENDAR = legs_of((CALL, 4500, -1), (CALL, 4500, 1, FAR))


def test_a_calendar_has_numbers() -> None:
    """Check 23: its best is at the strike, its worst where both are worth the same, its breakevens are roots."""
    found = payoffs.profile_by_valuation(CALENDAR, 50.0, black_scholes)
    years = 28 / 365
    best = float(black_scholes(np.array([4500.0]), 1, 4500.0, years)[0]) - 50.0
    assert found.max_profit == pytest.approx(best, abs=1e-9)
    assert found.max_loss == pytest.approx(50.0, abs=1e-9)  # at a price of 0 all that was paid is gone
    assert not found.max_profit_unlimited
    assert not found.max_loss_unlimited
    low, high = found.breakevens
    for root in (low, high):
        worth = black_scholes(np.array([root]), 1, 4500.0, years)[0] - max(root - 4500.0, 0.0) - 50.0
        assert worth == pytest.approx(0.0, abs=1e-8)
    assert low < 4500.0 < high
    assert 0.0 < found.error <= 1e-7 * 4500.0
    assert found.highest == 9000.0


def test_the_search_of_a_double_diagonal_is_as_exact_as_it_says() -> None:
    """Far legs sold and bought: no value of a fine grid lies above the best, below the worst, or off the line."""
    legs = legs_of((CALL, 4600, -2), (PUT, 4400, -1), (CALL, 4650, 3, FAR), (PUT, 4300, 1, FAR), (CALL, 4800, -1, FAR))
    found = payoffs.profile_by_valuation(legs, 12.0, black_scholes)
    spots = np.linspace(3800.0, 5400.0, 40_001)
    far = [(CALL, 4650.0, 3), (PUT, 4300.0, 1), (CALL, 4800.0, -1)]
    truth = sum(q * black_scholes(spots, r, k, 28 / 365) for r, k, q in far) - 12.0
    truth = truth - 2 * np.maximum(spots - 4600.0, 0) - np.maximum(4400.0 - spots, 0)
    assert np.abs(found.profit(spots) - truth).max() <= found.error + 1e-9
    assert truth.max() <= found.max_profit + found.error
    assert -truth.min() <= found.max_loss + found.error
    changes = np.flatnonzero(np.sign(truth[:-1]) * np.sign(truth[1:]) < 0)
    roots = [each for each in found.breakevens if 3800 < each < 5400]
    assert len(roots) == len(changes)
    assert all(spots[at] <= root <= spots[at + 1] for at, root in zip(changes, roots, strict=True))


def test_a_naked_near_call_is_unlimited_though_a_far_one_is_held() -> None:
    legs = legs_of((CALL, 4500, -2), (CALL, 4500, 1, FAR))
    found = payoffs.profile_by_valuation(legs, -10.0, black_scholes)
    assert (found.max_loss_unlimited, found.max_loss) == (True, math.inf)
    assert found.max_profit < math.inf


def test_with_one_expiry_valuation_is_the_exact_profile() -> None:
    found = payoffs.profile_by_valuation(CONDOR, -0.63, black_scholes)
    assert found.breakevens == payoffs.profile(CONDOR, -0.63).breakevens
    assert found.error == 0.0


def test_the_order_of_legs_of_a_diagonal_leaves_no_trace() -> None:
    """Check 18 with two expiries."""
    a = legs_of((CALL, 4550, -1), (CALL, 4500, 1, FAR), (PUT, 4400, -1))
    one = payoffs.profile_by_valuation(a, 70.0, black_scholes)
    two = payoffs.profile_by_valuation(a.take(np.array([2, 1, 0])), 70.0, black_scholes)
    assert (one.max_profit, one.max_loss, one.breakevens) == (two.max_profit, two.max_loss, two.breakevens)


def test_values_that_are_missing_or_jump_are_refused() -> None:
    with pytest.raises(BadInput, match=r"expire on 2 days \(2024-01-19, 2024-02-16\)"):
        payoffs.profile(CALENDAR, 50.0)
    with pytest.raises(BadInput, match="no finite value at"):
        payoffs.profile_by_valuation(CALENDAR, 50.0, lambda s, *_: np.where(s > 4000, np.nan, 0.0))
    with pytest.raises(BadInput, match=r"`highest` must lie above the largest strike 4500; was 4000\."):
        payoffs.profile_by_valuation(CALENDAR, 50.0, black_scholes, highest=4000.0)
    with pytest.raises(BadInput, match="must be a number of points"):
        payoffs.profile(CONDOR, math.nan)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0.05, 4)), min_size=1, max_size=5), st.floats(0.05, 1))
def test_gaps_bound_every_convex_function(bends: list[tuple[float, float]], step: float) -> None:
    """The bound on the distance to the chord holds for sums of smooth convex bends, whatever the grid."""
    total = sum(weight for _, weight in bends)

    def convex(x: np.ndarray) -> np.ndarray:
        return sum(w * np.logaddexp(0.0, x - c) for c, w in bends)[None, :] / total

    points = np.arange(-60.0, 60.0, 4 * step)
    gap = chord_gaps(points, convex(points))[0]
    inside = points[:-1, None] + np.linspace(0, 1, 21) * np.diff(points)[:, None]
    chord = np.interp(inside.ravel(), points, convex(points)[0])
    below = (chord - convex(inside.ravel())[0]).reshape(inside.shape)
    assert np.all(below.max(axis=1) <= gap + 1e-12)


def test_refinement_refuses_a_jump() -> None:
    with pytest.raises(BadInput, match="it jumps somewhere"):
        refined(lambda x: np.sin(1e7 * x)[None, :], np.array([0.0, 1.0]), np.array([1.0]), 1e-6)


# --- what a structure may be and cost --------------------------------------------------------------------------------

IC = legs_of((PUT, 5775, 1), (PUT, 5780, -1), (CALL, 5905, -1), (CALL, 5910, 1))
GOOD = [
    ("IRON_CONDOR", IC, -0.63),
    ("IRON_BUTTERFLY", legs_of((PUT, 90, 1), (PUT, 100, -1), (CALL, 100, -1), (CALL, 112, 1)), -6.0),
    ("LONG_CALL", legs_of((CALL, 100, 1)), 3.0),
    ("LONG_PUT", legs_of((PUT, 100, 1)), 3.0),
    ("BULL_CALL_SPREAD", legs_of((CALL, 100, 1), (CALL, 105, -1)), 2.0),
    ("BEAR_PUT_SPREAD", legs_of((PUT, 100, 1), (PUT, 95, -1)), 2.0),
    ("LONG_STRADDLE", legs_of((CALL, 100, 1), (PUT, 100, 1)), 6.0),
    ("LONG_STRANGLE", legs_of((PUT, 95, 1), (CALL, 105, 1)), 3.0),
    ("CALENDAR_SPREAD", legs_of((CALL, 100, -1), (CALL, 100, 1, FAR)), 1.0),
    ("DIAGONAL_SPREAD", legs_of((CALL, 105, -1), (CALL, 100, 1, FAR)), 4.0),
    ("BUTTERFLY", BROKEN_WING, 1.5),
    ("BUTTERFLY", legs_of((PUT, 3645, 1), (PUT, 3630, -2), (PUT, 3600, 1)), -0.4),
    ("VERTICAL", legs_of((CALL, 6000, -1), (CALL, 6005, 1)), -0.5),
    ("VERTICAL", legs_of((PUT, 5945, -1), (PUT, 5950, 1)), 2.0),
]


@pytest.mark.parametrize(("name", "legs", "premium"), GOOD)
def test_sound_structures_pass_in_any_order(name: str, legs: Legs, premium: float) -> None:
    check_structure(name, legs, premium)
    check_structure(name, legs.take(np.arange(len(legs.right))[::-1]), premium)


@pytest.mark.parametrize(
    ("name", "legs", "premium", "sentence"),
    [
        ("IRON_CONDOR", IC, 0.63, r"sold for a credit, so its premium must be below 0; was a debit of 0\.63"),
        ("IRON_CONDOR", IC, 0.0, "below 0; was 0"),
        ("IRON_CONDOR", IC, -5.0, r"cost at most 5 points at expiry, so a credit must be below that; .* credit of 5"),
        ("IRON_CONDOR", legs_of((PUT, 5780, 1), (PUT, 5780, -1), (CALL, 5905, -1), (CALL, 5910, 1)), -0.6,
         "put wing of this iron condor has a width of 0: both strikes are 5780"),
        ("IRON_CONDOR", legs_of((PUT, 5775, 1), (PUT, 5780, -1), (CALL, 5905, -1), (CALL, 5905, 1)), -0.6,
         "call wing of this iron condor has a width of 0"),
        ("IRON_CONDOR", legs_of((PUT, 5785, 1), (PUT, 5780, -1), (CALL, 5905, -1), (CALL, 5910, 1)), -0.6,
         "put wing of this iron condor is the wrong way round"),
        ("IRON_CONDOR", legs_of((PUT, 5775, 1), (PUT, 5910, -1), (CALL, 5905, -1), (CALL, 5920, 1)), -0.6,
         "body of this iron condor is the wrong way round"),
        ("IRON_CONDOR", IC.take(np.array([0, 1, 2])), -0.63, "has 4 legs; 3 were given"),
        ("IRON_CONDOR", legs_of((PUT, 5775, 1), (PUT, 5780, -1), (CALL, 5905, -2), (CALL, 5910, 1)), -0.6,
         "given were"),
        ("IRON_CONDOR", legs_of((PUT, 5775, 1, FAR), (PUT, 5780, -1), (CALL, 5905, -1), (CALL, 5910, 1)), -0.6,
         "All legs of an iron condor expire on one day"),
        ("IRON_BUTTERFLY", IC, -0.63, "which is an iron condor"),
        ("BULL_CALL_SPREAD", legs_of((CALL, 100, 1), (CALL, 105, -1)), 5.0, "pays at most 5 points"),
        ("BULL_CALL_SPREAD", legs_of((CALL, 100, 1), (CALL, 105, -1)), -1.0, "bought for a debit"),
        ("BULL_CALL_SPREAD", legs_of((CALL, 105, 1), (CALL, 100, -1)), 2.0, "wrong way round"),
        ("BEAR_PUT_SPREAD", legs_of((PUT, 100, 1), (PUT, 100, -1)), 2.0, "width of 0"),
        ("LONG_PUT", legs_of((PUT, 100, 1)), 100.0, "pays at most 100 points"),
        ("LONG_PUT", legs_of((CALL, 100, 1)), 1.0, r"is \+1 put; given were \+1 call"),
        ("LONG_CALL", legs_of((CALL, 100, -1)), 1.0, r"given were -1 call"),
        ("LONG_STRADDLE", legs_of((CALL, 105, 1), (PUT, 95, 1)), 6.0, "which is a strangle"),
        ("LONG_STRANGLE", legs_of((CALL, 95, 1), (PUT, 105, 1)), 16.0, "wrong way round"),
        ("CALENDAR_SPREAD", legs_of((CALL, 100, -1), (CALL, 100, 1)), 1.0, "must expire after the sold one"),
        ("CALENDAR_SPREAD", legs_of((CALL, 100, -1), (CALL, 105, 1, FAR)), 1.0, "which is a diagonal"),
        ("CALENDAR_SPREAD", legs_of((CALL, 100, -1), (CALL, 100, 1, FAR)), -1.0, "bought for a debit"),
        ("DIAGONAL_SPREAD", legs_of((CALL, 100, -1), (CALL, 105, 1, FAR)), -5.0, "can cost at most 5 points"),
        ("BUTTERFLY", legs_of((CALL, 100, 1), (CALL, 105, -1), (CALL, 110, 1)), 1.0, "two of the same right"),
        ("BUTTERFLY", legs_of((CALL, 100, 1), (CALL, 100, -2), (CALL, 110, 1)), 1.0, "lower wing .* width of 0"),
        ("VERTICAL", legs_of((CALL, 6000, -1), (CALL, 6005, 1)), 0.5, "at most 0 points .* must bring in a credit"),
        ("VERTICAL", legs_of((CALL, 6000, -1), (PUT, 6005, 1)), 0.5, "of the same right sold"),
        ("VERTICAL", legs_of((PUT, 5945, -1), (PUT, 5950, 1)), -1.0, "pays at least 0 points"),
        ("IRON_CONDR", IC, -0.63, "Did you mean `IRON_CONDOR`"),
        ("IRON_CONDOR", IC, math.nan, "must be a number of points; was nan"),
        ("LONG_CALL", legs_of((UNDERLYING, 0, 1, "NaT")), 1.0, "one leg was the underlying"),
    ],
)  # fmt: skip
def test_what_is_refused_and_how_it_is_said(name: str, legs: Legs, premium: float, sentence: str) -> None:
    """Checks 19 and 20: width of zero, premium at or over the width, a debit for a credit, legs that do not fit."""
    with pytest.raises(BadInput, match=sentence):
        check_structure(name, legs, premium)


def test_a_ratio_of_zero_is_no_leg() -> None:
    """Check 19."""
    with pytest.raises(BadInput, match="ratio 0 is no leg"):
        legs_of((CALL, 100, 0))


@pytest.mark.parametrize("premium", [-0.01, -4.99])
def test_the_limits_of_a_premium_are_strict(premium: float) -> None:
    check_premium(IC, premium)
    for outside in (0.0, -5.0):
        with pytest.raises(BadInput):
            check_premium(IC, outside)
