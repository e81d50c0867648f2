"""Positions walked to their exit: against a slow second implementation, and by hand to the cent."""

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant import option_paths as paths
from openbell.quant.listing import expiries
from openbell.quant.option_paths import Costs, Exits, Positions, positions, simulate
from openbell.quant.parameter_grids import grid
from openbell.quant.snapping import snapped
from openbell.quant.structures import STRUCTURES

sys.path.insert(0, str(Path(__file__).parent))
from option_toys import half_spread, surfaces, value, weekdays

NO_EXITS = Exits(None, None, None, None)
FREE = np.array([-40.0, 0.5, 0.0, 0.0, -40.0, 1.0, 1e-12, 1e-12, 3.0])


def one(entry, strike, right, ratio, expiry, **more) -> Positions:
    """A single position."""
    return Positions(
        np.array([entry]), np.array([strike], float), np.array([right]), np.array([ratio]), np.array([expiry]),
        **{name: np.array([each]) for name, each in more.items()},
    )  # fmt: skip


def quotes(of, held, p, leg, t, american):
    """Value and half-spread of one leg at the close of session t."""
    years = float((of.sessions[held.expiry[p, leg]] - of.sessions[t]).astype(int)) / 365
    strike, right = held.strike[p, leg], held.right[p, leg]
    worth = float(value(of, t, right, strike, years))
    if american:
        worth = max(worth, right * (of.spot[t] - strike))
    return worth, float(half_spread(of, t, worth, strike, years))


def slow(of, held, p, exits, costs, american=False):
    """One position, day by day in plain Python: (pnl, exit, reason, premium, max loss, max profit)."""
    legs = [leg for leg in range(held.ratio.shape[1]) if held.ratio[p, leg] != 0]
    entry, near = held.entry[p], min(held.expiry[p, leg] for leg in legs)
    share, fee = costs.spread_fraction, costs.commission_usd
    premium, contracts = 0.0, 0
    for leg in legs:
        worth, half = quotes(of, held, p, leg, entry, american)
        if not worth - half > 0:
            return math.nan, -1, -4, math.nan, math.nan, math.nan
        ratio = held.ratio[p, leg]
        premium += ratio * (worth + half * share) if ratio > 0 else ratio * (worth - half * share)
        contracts += abs(ratio)
    paid = fee * contracts
    loss, profit = bounds_by_brute_force(of, held, p, legs, near, premium, american)
    loss, profit = loss * costs.multiplier + paid, profit * costs.multiplier - paid
    if held.due is not None and held.due[p] * premium >= 0 and held.due[p] != 0:
        return math.nan, -1, -6 if held.due[p] > 0 else -7, premium, math.nan, math.nan
    if loss - paid <= 0:
        return math.nan, -1, -8, premium, loss, profit
    if profit <= 0:
        return math.nan, -1, -9, premium, loss, profit
    credit = premium < 0
    target = exits.profit_target_credit if credit else exits.profit_target_debit
    stop = exits.stop_credit if credit else exits.stop_debit
    for t in range(entry + 1, len(of.sessions)):
        total, closing = 0.0, 0
        for leg in legs:
            ratio, strike, right = held.ratio[p, leg], held.strike[p, leg], held.right[p, leg]
            if held.expiry[p, leg] == t:
                morning = held.am is not None and held.am[p, leg]
                payoff = max(right * ((of.settle if morning else of.spot)[t] - strike), 0.0)
                total += ratio * payoff
                closing += abs(ratio) if payoff > 0 else 0
            else:
                worth, half = quotes(of, held, p, leg, t, american)
                total += ratio * (max(worth - half * share, 0.0) if ratio > 0 else worth + half * share)
                closing += abs(ratio)
        gain = total - premium
        left = int((of.sessions[near] - of.sessions[t]).astype(int))
        reason = paths.OPEN
        if t == near:
            reason = paths.EXPIRY
        elif target is not None and gain >= target * abs(premium):
            reason = paths.TARGET
        elif stop is not None and gain <= -stop * abs(premium):
            reason = paths.STOP
        elif exits.exit_days_before_expiry is not None and left <= exits.exit_days_before_expiry:
            reason = paths.TIME
        if reason != paths.OPEN:
            return gain * costs.multiplier - paid - fee * closing, t, reason, premium, loss, profit
    return math.nan, -1, paths.OPEN, premium, loss, profit


def bounds_by_brute_force(of, held, p, legs, near, premium, american):
    """Check 17: extremes of the payoff over a grid of spots, infinite where its ends still move."""
    spots = np.unique(np.r_[np.linspace(0.0, 12000.0, 2401), [held.strike[p, leg] for leg in legs]])
    payoff = sum(
        held.ratio[p, leg] * np.maximum(held.right[p, leg] * (spots - held.strike[p, leg]), 0.0) for leg in legs
    )
    rising = payoff[-1] - payoff[-2]
    far = [leg for leg in legs if held.expiry[p, leg] > near]
    endless = rising < -1e-9 or any(held.ratio[p, leg] < 0 for leg in far)
    loss = math.inf if endless else premium - payoff.min()
    if not far:
        return loss, math.inf if rising > 1e-9 else payoff.max() - premium
    best = -math.inf
    for chosen in (leg for leg in legs if leg not in far):
        spot, total = held.strike[p, chosen], 0.0
        for leg in legs:
            ratio, right, strike = held.ratio[p, leg], held.right[p, leg], held.strike[p, leg]
            worth = max(right * (spot - strike), 0.0)
            if leg in far:
                years = float((of.sessions[held.expiry[p, leg]] - of.sessions[near]).astype(int)) / 365
                worth = max(float(value(of, held.entry[p], right, strike, years, spot)), worth if american else 0.0)
            total += ratio * worth
        best = max(best, total)
    return loss, best - premium


@pytest.fixture(scope="module")
def market():
    return surfaces(90, seed=3)


def random_positions(of, count, seed) -> Positions:
    """Positions of 1 to 4 legs at one or two expiries, some beyond their life, in any order of the legs."""
    random = np.random.default_rng(seed)
    legs = random.integers(1, 5, count)
    entry = random.integers(0, 60, count)
    near = entry + random.integers(1, 26, count)
    strike = 5.0 * np.round(of.spot[entry][:, None] * random.uniform(0.93, 1.07, (count, 4)) / 5.0)
    far = random.random((count, 4)) < 0.3
    far[:, 0] = False
    two = random.random(count) < 0.4
    expiry = np.where(far & two[:, None], near[:, None] + 8, near[:, None])
    expiry = np.minimum(expiry, len(of.sessions) - 1)
    ratio = np.where(np.arange(4) < legs[:, None], random.choice([-2, -1, 1, 2], (count, 4)), 0)
    right = random.choice([-1, 1], (count, 4))
    am = random.random((count, 4)) < 0.2
    return Positions(entry, strike, right, ratio, expiry, am=am)


@pytest.mark.parametrize(
    ("exits", "costs", "american"),
    [
        (Exits(), Costs(), False),
        (Exits(0.25, 0.3, 0.5, 0.4, 5), Costs(1.1, 0.4, 50.0), True),
        (NO_EXITS, Costs(0.0, 0.0), False),
    ],
)
def test_the_compiled_walk_is_the_slow_one(market, exits, costs, american):
    """The oracle prices by its own formulas; it also fails on a kernel compiled from an older surface or spread."""
    held = random_positions(market, 150, 5)
    fast = simulate(market, held, exits, costs, american=american)
    expected = [slow(market, held, p, exits, costs, american) for p in range(len(held))]
    pnl, exit_, reason, premium, loss, profit = (np.array(each) for each in zip(*expected, strict=True))
    assert fast.reason.tolist() == reason.tolist()
    assert fast.exit.tolist() == exit_.tolist()
    np.testing.assert_allclose(fast.pnl_usd, pnl, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fast.premium, premium, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fast.max_loss_usd, loss, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fast.max_profit_usd, profit, rtol=1e-9, atol=1e-9)
    assert len(set(reason.tolist())) >= (4 if exits is not NO_EXITS else 3)


@pytest.fixture(scope="module")
def flat():
    """Six sessions of a still market whose surface is flat and quotes cost 0.10 points of half-spread everywhere."""
    n = 6
    spread = np.array([-60.0, 0.5, 0.0, 0.0, -60.0, 1.0, 0.10, 0.10, 3.0])
    spot = np.array([100.0, 100.0, 100.0, 93.0, 104.0, 108.0])
    # rho 0 and a tiny eta: every strike has the volatility of the money, 40 % a year.
    parameters = np.tile([0.16, 0.16, 1.0, 0.0, 1e-9, 0.5], (n, 1))
    return surfaces(
        n, spot=spot, rate=np.zeros(n), dividend_yield=np.zeros(n), parameters=parameters, spread=spread,
        settle=np.array([100.0, 100.0, 100.0, 93.0, 104.0, 97.5]), increment=np.ones(n),
    )  # fmt: skip


CONDOR = ([90.0, 95.0, 105.0, 110.0], [-1, -1, 1, 1], [1, -1, -1, 1], [5, 5, 5, 5])


def black(right, spot, strike, days):
    deviation = 0.4 * math.sqrt(days / 365)
    d1 = math.log(spot / strike) / deviation + deviation / 2
    cdf = lambda x: 0.5 * math.erfc(-x / math.sqrt(2))  # noqa: E731
    return right * (spot * cdf(right * d1) - strike * cdf(right * (d1 - deviation)))


def test_an_iron_condor_by_hand_to_the_cent(flat):
    """Sold on Tuesday with 6 days to go, held over Thursday's fall to 93, settled on Monday at 108 (PM) or 97.5 (AM).

    Premium: the shorts at value less 0.10, the wings at value plus 0.10. At 108 the short call pays 3 and nothing
    else is worth anything: four commissions on the way in, one on the way out.
    """
    wide = dataclasses.replace(flat, spread=np.array([-60.0, 0.5, 0.0, 0.0, -60.0, 1.0, 1e-3, 1e-3, 3.0]))
    strikes, rights, ratios, _ = CONDOR
    worth = [black(right, 100.0, strike, 6) for strike, right in zip(strikes, rights, strict=True)]
    premium = sum(r * (v + math.copysign(1e-3, r)) for r, v in zip(ratios, worth, strict=True))
    made = simulate(wide, one(1, *CONDOR), NO_EXITS, Costs(0.65))
    assert made.premium[0] == pytest.approx(premium, abs=1e-9)
    assert made.reason[0] == paths.EXPIRY
    assert made.pnl_usd[0] == pytest.approx((-3.0 - premium) * 100 - 4 * 0.65 - 1 * 0.65, abs=0.005)
    assert made.max_loss_usd[0] == pytest.approx((5.0 + premium) * 100 + 4 * 0.65, abs=0.005)
    assert made.max_profit_usd[0] == pytest.approx(-premium * 100 - 4 * 0.65, abs=0.005)
    assert made.held_sessions[0] == 4
    morning = simulate(wide, one(1, *CONDOR, am=[True] * 4), NO_EXITS, Costs(0.65))
    # At 97.5 everything expires worthless, and pays no commission for it.
    assert morning.pnl_usd[0] == pytest.approx(-premium * 100 - 4 * 0.65, abs=0.005)


def test_a_condor_is_stopped_at_what_closing_costs(flat):
    """On Thursday at 93 closing costs more than twice the credit; the loss is that of the quotes, not the stop's."""
    wide = dataclasses.replace(flat, spread=np.array([-60.0, 0.5, 0.0, 0.0, -60.0, 1.0, 1e-3, 1e-3, 3.0]))
    strikes, rights, ratios, _ = CONDOR
    made = simulate(wide, one(1, *CONDOR), Exits(None, None, 1.0, None), Costs(0.65))
    worth = [black(right, 93.0, strike, 4) for strike, right in zip(strikes, rights, strict=True)]
    close = sum(
        r * (max(v - 1e-3, 0.0) if r > 0 else v + 1e-3) for r, v in zip(ratios, worth, strict=True)
    )  # fmt: skip
    assert made.reason[0] == paths.STOP
    assert made.exit[0] == 3
    assert made.pnl_usd[0] == pytest.approx((close - made.premium[0]) * 100 - 8 * 0.65, abs=0.005)
    assert made.pnl_usd[0] < made.premium[0] * 100 < 0


def test_a_calendar_closes_at_its_near_expiry(flat):
    """The near call settles on the close, the far one is sold at the bid of that close; three commissions."""
    calendar = one(0, [100.0, 100.0], [1, 1], [-1, 1], [4, 5])
    made = simulate(flat, calendar, NO_EXITS, Costs(0.65))
    near, far = black(1, 100.0, 100.0, 4), black(1, 100.0, 100.0, 7)
    premium = far + 0.1 - (near - 0.1)
    sold = black(1, 104.0, 100.0, 3) - 0.1
    assert made.premium[0] == pytest.approx(premium, abs=1e-9)
    assert made.exit[0] == 4
    assert made.pnl_usd[0] == pytest.approx((sold - 4.0 - premium) * 100 - 4 * 0.65, abs=0.005)
    assert made.max_loss_usd[0] == pytest.approx(premium * 100 + 2 * 0.65, abs=0.005)
    peak = black(1, 100.0, 100.0, 3) - premium
    assert made.max_profit_usd[0] == pytest.approx(peak * 100 - 2 * 0.65, abs=0.005)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_legs_in_any_order_make_the_same(structure, market):
    """Check 18."""
    asked = grid(structure)
    rows = np.arange(0, 40, 8)
    listed = expiries(weekdays(200))
    placed = snapped(asked, listed, market.sessions[rows], market.spot[rows], market.increment[rows],
                     market.sessions[rows + 1])  # fmt: skip
    held = positions(asked, placed, rows + 1)
    turned = {
        name: getattr(held, name)[:, ::-1] for name in ("strike", "right", "ratio", "expiry", "expiry_date", "am")
    }
    first, second = simulate(market, held), simulate(market, dataclasses.replace(held, **turned))
    np.testing.assert_allclose(first.pnl_usd, second.pnl_usd, rtol=1e-12, atol=1e-9)
    assert np.array_equal(first.reason, second.reason)
    began = np.isfinite(first.max_loss_usd) & (first.reason >= 0)
    assert (first.max_loss_usd[began] > 0).all()
    assert (np.sign(first.premium[began]) == (-1 if structure in paths.CREDITS else 1)).all()


def test_a_second_thread_changes_nothing(market):
    held = random_positions(market, 101, 9)
    first, second = simulate(market, held, marks=True), simulate(market, held, marks=True, jobs=2)
    for name in ("pnl_usd", "premium", "exit", "reason", "marks"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_marks_lead_to_the_outcome_and_end_there(market):
    held = random_positions(market, 60, 2)
    made = simulate(market, held, marks=True)
    for p in np.flatnonzero(made.exit >= 0):
        steps = made.held_sessions[p]
        assert made.marks[p, steps] == made.pnl_usd[p]
        assert np.isfinite(made.marks[p, : steps + 1]).all()
        assert np.isnan(made.marks[p, steps + 1 :]).all()


def test_what_lies_after_the_exit_changes_nothing(market):
    """Burn the future: kills a walk that looks at a later session, or fills at a price of the decision's own past."""
    held = random_positions(market, 80, 4)
    whole = simulate(market, held)
    cut = 55
    names = ("sessions", "spot", "settle", "rate", "dividend_yield", "parameters", "increment", "modelled")
    short = dataclasses.replace(market, **{name: getattr(market, name)[:cut] for name in names})
    dates = market.sessions[held.expiry]
    part = simulate(short, dataclasses.replace(held, expiry_date=dates))
    done = (whole.exit >= 0) & (whole.exit < cut)
    np.testing.assert_array_equal(part.pnl_usd[done], whole.pnl_usd[done])
    assert (part.reason[(whole.exit >= cut)] == paths.OPEN).all()
    assert np.isnan(part.pnl_usd[whole.exit >= cut]).all()


def test_a_day_without_a_surface_is_counted_and_never_filled(market):
    """A missing VIX day: no entry, no exit on it, and a calendar that had to be closed then has no price."""
    parameters = market.parameters.copy()
    parameters[20] = np.nan
    holed = dataclasses.replace(market, parameters=parameters)
    spot = 5 * round(market.spot[10] / 5)
    held = Positions(
        np.array([20, 10, 10]),
        np.full((3, 2), float(spot)),
        np.ones((3, 2), dtype=int),
        np.array([[1, 0], [1, 0], [-1, 1]]),
        np.array([[30, 30], [30, 30], [20, 30]]),
    )
    made = simulate(holed, held, NO_EXITS, Costs())
    assert made.reason.tolist() == [paths.UNPRICED, paths.EXPIRY, paths.UNPRICED]
    assert made.unmarked.tolist() == [0, 1, 0]
    assert np.isnan(made.pnl_usd[[0, 2]]).all()
    assert made.counted() == {"UNPRICED": 2, "EXPIRY": 1}


def test_reasons_of_positions_that_cannot_begin(market):
    """Check 20: a credit that is none; an expiry on the fill; a leg without a bid; nothing to win; nothing known."""
    spot = 5.0 * np.round(market.spot[10] / 5)
    n = len(market.sessions)
    strikes = np.array([[spot, spot], [spot, spot], [spot * 1.6, spot], [spot, spot + 5], [spot, spot], [spot, spot]])
    made = simulate(
        dataclasses.replace(market, spread=np.array([-60, 0.5, 0, 0, -60, 1.0, 0.5, 5.0, 3.0])),
        Positions(
            entry=np.array([10, 10, 10, 10, 10, n]),
            strike=strikes,
            right=np.ones((6, 2), dtype=int),
            ratio=np.array([[1, 0], [1, 0], [1, 0], [1, -1], [1, 0], [1, 0]]),
            expiry=np.array([[20, 20], [10, 10], [20, 20], [20, 20], [20, 20], [n + 5, n + 5]]),
            expiry_date=market.sessions[0] + np.array([[28, 28]] * 6),
            due=np.array([1, 0, 0, -1, 0, 0]),
            refused=np.array([0, 0, 0, 0, -2, 0]),
        ),
    )
    assert [paths.NAMES[int(each)] for each in made.reason] == [
        "NO_CREDIT", "NO_EXPIRY", "NO_QUOTE", "NO_PROFIT", "ZERO_WIDTH", "OPEN",
    ]  # fmt: skip
    assert np.isnan(made.pnl_usd).all()
    assert (made.exit == -1).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.floats(0.0, 2.0))
def test_costs_only_take(seed, fraction, commission):
    """Held to expiry, every bit of spread and commission is a loss; without both the value of a buyer is a seller's."""
    of = surfaces(90, seed=3)
    held = random_positions(of, 8, seed)
    free = simulate(of, held, NO_EXITS, Costs(0.0, 0.0))
    paid = simulate(of, held, NO_EXITS, Costs(commission, fraction))
    both = (free.exit >= 0) & (paid.exit >= 0)
    assert (paid.pnl_usd[both] <= free.pnl_usd[both] + 1e-9).all()
    sold = simulate(of, dataclasses.replace(held, ratio=-held.ratio), NO_EXITS, Costs(0.0, 0.0))
    both = (free.exit >= 0) & (sold.exit >= 0)
    np.testing.assert_allclose(sold.pnl_usd[both], -free.pnl_usd[both], atol=1e-8)


def test_a_market_on_a_clock_is_priced_by_the_clock(market):
    """A displaced lognormal whose variance is a difference of the clock, whatever the surface says."""
    n = len(market.sessions)
    clock = np.cumsum(np.full(n + 40, 1e-4))
    clocked = dataclasses.replace(market, displacement=500.0, clock=clock, spread=FREE,
                                  parameters=np.full((n, 6), np.nan))  # fmt: skip
    strike = 5.0 * np.round(market.spot[10] / 5)
    made = simulate(clocked, one(10, [strike], [1], [1], [30]), NO_EXITS, Costs(0.0))
    days = float((market.sessions[30] - market.sessions[10]).astype(int)) / 365
    forward = market.spot[10] * math.exp(0.015 * days)
    deviation = math.sqrt(clock[30] - clock[10])
    d1 = math.log((forward + 500) / (strike + 500)) / deviation + deviation / 2
    cdf = lambda x: 0.5 * math.erfc(-x / math.sqrt(2))  # noqa: E731
    expected = math.exp(-0.03 * days) * ((forward + 500) * cdf(d1) - (strike + 500) * cdf(d1 - deviation))
    assert made.premium[0] == pytest.approx(expected, rel=1e-9)
    beyond = one(10, [strike], [1], [1], [n + 60], expiry_date=[market.sessions[-1] + 100])
    assert simulate(clocked, beyond).reason[0] == paths.UNPRICED


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"expiry": np.array([[200]])}, "beyond the 90 sessions"),
        ({"right": np.array([[0]])}, "Only options"),
        ({"strike": np.array([[-5.0]])}, "above 0"),
        ({"ratio": np.array([[0]])}, "at least one leg"),
        ({"ratio": np.array([[1, 1]])}, "shape of `strike`"),
        ({"entry": np.array([-1])}, "entry row of 0 or more"),
    ],
)
def test_what_is_no_position_is_refused(market, change, match):
    with pytest.raises(BadInput, match=match):
        simulate(market, dataclasses.replace(one(5, [4000.0], [1], [1], [20]), **change))


@pytest.mark.parametrize("bad", [{"spread_fraction": 1.5}, {"commission_usd": -1.0}, {"multiplier": 0.0}])
def test_costs_that_pay_are_refused(bad):
    with pytest.raises(BadInput):
        Costs(**bad)


def test_a_target_of_nothing_is_refused():
    with pytest.raises(BadInput, match="must be above 0, or left out; was 0"):
        Exits(profit_target_credit=0.0)
