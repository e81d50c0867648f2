"""Looking is free: at all days together the error stays under alpha, and the fixed test's does not."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from openbell.core.errors import BadInput
from openbell.quant.sequential import asymptotic_mean, bounded_mean, log_capital

ALPHA = 0.05


def slowly(values: list[float], low: float, high: float, mean: float) -> tuple[float, float]:
    """The capital of both gamblers by the formulas of the paper, one observation after the other."""
    m = (mean - low) / (high - low)
    total, squares, variance, up, down = 0.5, 0.25, 0.25, 1.0, 1.0
    for t, value in enumerate(((each - low) / (high - low) for each in values), start=1):
        bet = math.sqrt(2 * math.log(2 / ALPHA) / (variance * t * math.log(1 + t)))
        up *= 1 + min(bet, 0.5 / m) * (value - m)
        down *= 1 - min(bet, 0.5 / (1 - m)) * (value - m)
        total += value
        squares += (value - total / (t + 1)) ** 2
        variance = squares / (t + 1)
    return up, down


@pytest.mark.parametrize("mean", [-0.7, 0.0, 0.2])
def test_the_capital_is_that_of_the_paper(mean):
    """An oracle of plain loops. Kills: a bet that has seen the observation it is placed on."""
    values = np.random.default_rng(1).uniform(-1, 1, 60) ** 3
    up, down = log_capital((values + 1) / 2, (mean + 1) / 2, alpha=ALPHA)
    for n in (1, 2, 60):
        assert (np.exp(up[n - 1]), np.exp(down[n - 1])) == pytest.approx(slowly(list(values[:n]), -1, 1, mean))


def test_a_bet_is_placed_before_its_observation():
    """A gambler gains in the mean nothing, whatever the next observation is worth, given those before."""
    before = [0.9, 0.1, 0.7]
    for mean, next_ones in ((0.25, ((1.0, 0.25), (0.0, 0.75))), (0.5, ((0.2, 0.5), (0.8, 0.5)))):
        owned = [log_capital(before, mean)[which][-1] for which in (0, 1)]
        expected = [
            sum(p * math.exp(log_capital([*before, value], mean)[which][-1]) for value, p in next_ones)
            for which in (0, 1)
        ]
        assert expected == pytest.approx(np.exp(owned))


def ever_wrong(draw, mean: float, runs: int, n: int) -> float:
    """Share of the runs in which the interval of some day missed the mean (unit observations)."""
    up, down = log_capital(draw((runs, n)), mean, alpha=ALPHA)
    return float((np.maximum(up, down).max(axis=1) >= math.log(2 / ALPHA)).mean())


NULLS = {
    "coin": (lambda rng, shape: rng.integers(0, 2, shape).astype(float), 0.5),
    "rare": (lambda rng, shape: (rng.random(shape) < 0.02).astype(float), 0.02),
    "beta": (lambda rng, shape: rng.beta(2.0, 5.0, shape), 2 / 7),
    "quiet": (lambda rng, shape: 0.5 + 0.01 * rng.uniform(-1, 1, shape), 0.5),
}


def most(runs: int) -> float:
    """The share of wrong runs that an error of alpha exceeds once in 10,000 times."""
    return binom.ppf(1 - 1e-4, runs, ALPHA) / runs


@pytest.mark.parametrize("name", NULLS)
def test_looking_every_day_keeps_the_error(name):
    draw, mean = NULLS[name]
    rng = np.random.default_rng(5)
    assert ever_wrong(lambda shape: draw(rng, shape), mean, 400, 250) <= most(400)


@pytest.mark.slow
@pytest.mark.parametrize("name", NULLS)
def test_looking_every_day_for_years_keeps_the_error(name):
    draw, mean = NULLS[name]
    rng = np.random.default_rng(6)
    assert ever_wrong(lambda shape: draw(rng, shape), mean, 4000, 2500) <= most(4000)


def test_a_volatility_that_depends_on_the_past_does_no_harm():
    """Days are not drawn alike: a wild one follows a wild one."""
    rng = np.random.default_rng(7)
    scale = np.full(400, 0.5)
    days = np.empty((400, 250))
    for at in range(250):
        days[:, at] = scale * rng.choice([-1.0, 1.0], 400)
        scale = np.where(rng.random(400) < 0.1, 1.0, np.maximum(0.02, 0.9 * np.abs(days[:, at])))
    assert ever_wrong(lambda _: (days + 1) / 2, 0.5, 400, 250) <= most(400)


def test_the_usual_test_looked_at_every_day_errs_far_more_often():
    """Why all this: without it the same market would be called better in a fifth of the runs and more."""
    values = np.random.default_rng(5).choice([-1.0, 1.0], (400, 250))
    t = np.arange(1, 251)
    z = np.abs(values.cumsum(axis=1)) / np.sqrt(t)
    assert (z[:, 20:].max(axis=1) > norm.ppf(1 - ALPHA / 2)).mean() > 4 * ALPHA


def test_a_difference_is_found_and_stays_found():
    values = np.random.default_rng(3).normal(0.1, 0.2, 300).clip(-1, 1)
    found = bounded_mean(values)
    assert found.decided == 1
    assert found.low > 0
    assert found.decided_at is not None
    before = bounded_mean(values[: found.decided_at - 1])
    assert (before.decided, before.decided_at) == (0, None)
    assert bounded_mean(values[: found.decided_at]).decided_at == found.decided_at
    turned = bounded_mean(np.concatenate([values, np.full(100, -0.3)]))
    assert (turned.decided, turned.decided_at) == (1, found.decided_at), "what was decided stays"
    mirrored = bounded_mean(-values)
    assert mirrored.decided == -1
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


@given(st.lists(st.floats(-1, 1), max_size=14), st.sampled_from([0.2, 0.5, 0.8]))
@settings(max_examples=30, deadline=None)
def test_the_interval_and_the_test_are_one(values, level):
    """0 lies outside of some day's interval exactly where the test has decided; the mean of the bets lies inside."""
    found = bounded_mean(values, level=level)
    assert found.n == len(values)
    assert -1 <= found.low <= found.high <= 1
    outside = [each for each in (bounded_mean(values[:n], level=level) for n in range(len(values) + 1))
               if each.low > 0 or each.high < 0]  # fmt: skip
    assert (found.decided != 0) == bool(outside)
    if outside:
        assert outside[0].n == found.decided_at
        assert found.decided == (1 if outside[0].low > 0 else -1)
    assert found.e_highest >= max(1.0, found.e_value * (1 - 1e-12))
    assert 0 < found.p_value <= 1


def test_bounds_scale_and_nothing_is_everything():
    values = np.random.default_rng(2).uniform(-1, 1, 50)
    one, four = bounded_mean(values), bounded_mean(4 * values, low=-4, high=4)
    assert (four.mean, four.low, four.high) == pytest.approx((4 * one.mean, 4 * one.low, 4 * one.high))
    assert four.e_value == pytest.approx(one.e_value)
    assert astuple(bounded_mean([])) == (0, None, -1.0, 1.0, 1.0, 1.0, 0, None, 0.95)
    assert bounded_mean([]).p_value == 1.0


@pytest.mark.parametrize(("values", "how", "sentence"), [
    ([0.0, 1.5], {}, "1 of 2 observations lie outside"),
    ([float("nan")], {}, "must be finite; 1 of 1 were not"),
    ([[0.0]], {}, "need the shape"),
    ([0.0], {"level": 1.0}, "`level` must lie between 0 and 1; was 1.0"),
    ([0.0], {"low": 0.0}, "hold 0 between them"),
    ([0.0], {"high": math.inf}, "must be finite"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(values, how, sentence):
    with pytest.raises(BadInput, match=sentence):
        bounded_mean(values, **how)


def test_the_asymptotic_interval_is_that_of_the_paper():
    """Theorem 2.2 written out, at its last observation."""
    values = np.random.default_rng(4).standard_t(5, 150) * 100 + 2000
    found = asymptotic_mean(values, tightest_at=80)
    n, rho2 = 150, (-2 * math.log(ALPHA) + math.log(-2 * math.log(ALPHA) + 1)) / 80
    half = values.std() * math.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * math.log(math.sqrt(n * rho2 + 1) / ALPHA))
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert (found.decided, found.decided_at) == (1, 30)
    at_bar = values - values.mean() + half
    bar = asymptotic_mean(at_bar, tightest_at=80)
    assert bar.e_value == pytest.approx(1 / ALPHA), "the bound is where the evidence reaches 1 / alpha"


def test_the_asymptotic_test_keeps_its_error_in_the_long_run():
    rng = np.random.default_rng(8)
    runs = rng.standard_t(6, (300, 250))
    wrong = np.mean([asymptotic_mean(run).decided != 0 for run in runs])
    assert wrong <= most(300)


def test_the_asymptotic_test_says_nothing_before_its_first_look():
    constant = asymptotic_mean([5.0] * 29)
    assert (constant.low, constant.high, constant.decided, constant.mean) == (None, None, 0, 5.0)
    assert asymptotic_mean([5.0] * 30).decided == 1
    assert asymptotic_mean([0.0] * 40).decided == 0
    assert asymptotic_mean([]).mean is None
    with pytest.raises(BadInput, match="were 0 and 30"):
        asymptotic_mean([1.0], tightest_at=0)
