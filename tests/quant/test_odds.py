"""Odds against closed forms, against simulation, and against positions worked by hand."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.density import Density
from openbell.quant.empirical import Empirical, empirical
from openbell.quant.legs import CALL, PUT, Legs
from openbell.quant.odds import Lognormal, expected_value, odds, probability_of_profit, probability_of_touch
from openbell.quant.payoffs import profile, profile_by_valuation
from openbell.quant.svi import Svi
from openbell.quant.touch import BLENDED, COUNTED, OF_THE_OPTION, REFLECTION, TWICE_THE_TAIL
from openbell.quant.valuation import far_value

FORWARD, DEVIATION = 4510.0, 0.07
BLACK = Lognormal(FORWARD, DEVIATION)
SMILE = Density(FORWARD, Svi(a=0.0012, b=0.03, rho=-0.6, m=0.01, sigma=0.06))


def legs_of(*legs: tuple) -> Legs:
    return Legs(
        np.array([leg[0] for leg in legs], dtype=np.int8),
        np.array([leg[1] for leg in legs], dtype=np.float64),
        np.array([leg[2] for leg in legs], dtype=np.int64),
        np.array([leg[3] if len(leg) > 3 else "2024-01-19" for leg in legs], dtype="datetime64[D]"),
    )


def black(right: int, strike: float) -> float:
    """Undiscounted, a second formula."""
    d1 = math.log(FORWARD / strike) / DEVIATION + DEVIATION / 2
    return right * (FORWARD * norm.cdf(right * d1) - strike * norm.cdf(right * (d1 - DEVIATION)))


def above(price: float) -> float:
    return float(norm.cdf((math.log(FORWARD / price) - DEVIATION**2 / 2) / DEVIATION))


CONDOR_LEGS = ((PUT, 4200, 1), (PUT, 4250, -1), (CALL, 4750, -1), (CALL, 4800, 1))
CONDOR = profile(legs_of(*CONDOR_LEGS), -11.5)


def test_a_condor_under_black_is_its_four_options() -> None:
    """The expectation is the sum of four Black values, the odds two distribution values; both to rounding."""
    discount = 0.99
    worth = sum(ratio * black(right, strike) for right, strike, ratio in CONDOR_LEGS)
    assert expected_value(CONDOR, BLACK, discount) == pytest.approx(discount * worth + 11.5, abs=1e-9)
    low, high = 4250 - 11.5, 4750 + 11.5
    assert probability_of_profit(CONDOR, BLACK) == pytest.approx(above(low) - above(high), abs=1e-13)
    found = odds(CONDOR, BLACK)
    assert found.probability_of_max_profit == pytest.approx(above(4250) - above(4750), abs=1e-13)
    assert found.probability_of_max_loss == pytest.approx(1 - above(4200) + above(4800), abs=1e-13)
    assert (found.n, found.probability_interval) == (None, None)


@pytest.mark.parametrize("distribution", [BLACK, SMILE])
@pytest.mark.parametrize(
    "legs",
    [
        legs_of((CALL, 4500, 2), (PUT, 4400, -3)),
        legs_of((CALL, 4600, -1)),
        legs_of((PUT, 4500, 1), (CALL, 4500, 1)),
        legs_of((0, 0, 1, "NaT"), (CALL, 4600, -1), (PUT, 4300, 1)),
    ],
)
def test_integration_equals_quadrature(legs: Legs, distribution) -> None:
    """Unlimited tails, stock and ratios: the closed form against a fine sum over the distribution function."""
    found = profile(legs, 31.0)
    ends = np.unique(np.concatenate([np.linspace(1000.0, 12000.0, 400_001), found.kinks[found.kinks > 1000]]))
    mass = np.diff(distribution.cdf(ends))
    middle = found.profit(0.5 * (ends[:-1] + ends[1:]))
    assert expected_value(found, distribution) == pytest.approx(float(middle @ mass), abs=2e-4)
    chance = float(mass[middle > 0].sum())
    assert probability_of_profit(found, distribution) == pytest.approx(chance, abs=8e-5)


def test_at_the_price_of_its_density_a_position_is_worth_nothing() -> None:
    """The expected payoff is what the market charges: the expected value of a position bought there is 0."""
    legs = legs_of((CALL, 4500, 1), (PUT, 4400, 1))
    fair = 0.99 * expected_value(profile(legs, 0.0), SMILE)
    assert expected_value(profile(legs, fair), SMILE, 0.99) == pytest.approx(0.0, abs=1e-10)


def test_simulation_agrees() -> None:
    """400,000 draws, four standard errors."""
    draws = FORWARD * np.exp(np.random.default_rng(3).normal(-(DEVIATION**2) / 2, DEVIATION, 400_000))
    profit = CONDOR.profit(draws)
    assert abs(expected_value(CONDOR, BLACK) - profit.mean()) < 4 * profit.std() / 400_000**0.5
    chance = probability_of_profit(CONDOR, BLACK)
    assert abs(chance - np.mean(profit > 0)) < 4 * (chance * (1 - chance) / 400_000) ** 0.5


def test_a_profit_of_zero_is_none() -> None:
    """A free call: nothing is gained below its strike, and touching zero between two wings is no profit."""
    free = profile(legs_of((CALL, 4500, 1)), 0.0)
    assert probability_of_profit(free, BLACK) == pytest.approx(above(4500), abs=1e-13)
    never = profile(legs_of((CALL, 4400, 1), (CALL, 4500, -2), (CALL, 4600, 1)), 100.0)
    assert never.breakevens == (4500.0,)
    assert probability_of_profit(never, BLACK) == 0.0
    always = profile(legs_of((CALL, 4400, 1)), -1.0)
    assert probability_of_profit(always, BLACK) == pytest.approx(1.0, abs=1e-13)


def test_a_calendar_has_odds_at_its_near_expiry() -> None:
    """The line through the points of the search is integrated exactly; its own error bounds the difference."""
    legs = legs_of((CALL, 4500, -1), (CALL, 4500, 1, "2024-02-16"))
    worth = far_value(lambda *_: 0.2)
    found = profile_by_valuation(legs, 45.0, worth)
    spots = np.linspace(2500.0, 7500.0, 500_001)
    mass = np.diff(BLACK.cdf(spots))
    middle = 0.5 * (spots[:-1] + spots[1:])
    truth = worth(middle, 1.0, 4500.0, 28 / 365) - np.maximum(middle - 4500, 0) - 45.0
    assert expected_value(found, BLACK) == pytest.approx(float(truth @ mass), abs=found.error + 1e-4)
    assert probability_of_profit(found, BLACK) == pytest.approx(float(mass[truth > 0].sum()), abs=1e-4)


# --- what happened before --------------------------------------------------------------------------------------------


def test_windows_by_hand() -> None:
    """Closes 100, 110, 99, 121, windows of two sessions, spot 50: ratios 0.99 and 1.1, extremes within each."""
    found = empirical(np.array([100.0, 110.0, 99.0, 121.0]), 2, 50.0)
    np.testing.assert_allclose(found.prices, [49.5, 55.0])
    np.testing.assert_allclose(found.highest, [1.1, 1.1])
    np.testing.assert_allclose(found.lowest, [0.99, 0.9])
    assert (found.n, found.overlapping, found.left_out) == (2, True, 0)
    apart = empirical(np.array([1.0, 100.0, 110.0, 99.0, 121.0]), 2, 50.0, step=2)
    np.testing.assert_allclose(apart.ratios, [110.0, 1.1])  # counted back from the last close
    assert not apart.overlapping
    assert apart.effective_n == 2.0


def test_odds_of_a_sample_are_its_shares() -> None:
    rng = np.random.default_rng(1)
    closes = 4500 * np.exp(np.cumsum(rng.normal(0, 0.01, 3001)))
    found = odds(CONDOR, empirical(closes, 21, 4500.0), 0.99)
    prices = 4500 * closes[21:] / closes[:-21]
    profit = CONDOR.profit(prices)
    assert found.probability_of_profit == pytest.approx(np.mean(profit > 0))
    assert found.expected_value == pytest.approx(0.99 * np.mean(profit - 11.5) + 11.5)
    assert found.n == 2980
    assert found.probability_of_max_loss == pytest.approx(np.mean((prices <= 4200) | (prices >= 4800)))
    low, high = found.probability_interval
    assert low < found.probability_of_profit < high
    # Windows that overlap by 20 of 21 sessions say about as much as 2980 / 21 that do not.
    assert found.effective_n == pytest.approx(2980 / 21, rel=0.01)
    wins = round(found.probability_of_profit * 142)
    wilson = binomtest(wins, 142).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((wilson.low, wilson.high), abs=0.005)
    value_low, value_high = found.value_interval
    assert value_low < found.expected_value < value_high


def test_the_effective_number_covers_as_often_as_it_says() -> None:
    """Of 400 samples with overlapping windows the 90 % interval of the mean holds the truth about 90 % of the time."""
    rng, held, naive = np.random.default_rng(8), 0, 0
    for _ in range(400):
        closes = np.exp(np.cumsum(rng.normal(0, 0.01, 631)))
        sample = empirical(closes, 21, 1.0)
        values = np.log(sample.ratios)
        low, high = sample.mean_interval(values, 0.9)
        held += low < 0.0 < high
        half = 1.645 * values.std() / len(values) ** 0.5
        naive += abs(values.mean()) < half
    assert 340 <= held <= 390
    assert naive < 200  # what forgetting the overlap would have claimed


def test_missing_closes_are_counted_and_too_few_refused() -> None:
    closes = np.array([100.0, 101.0, np.nan, 103.0, 104.0, 105.0])
    found = empirical(closes, 2, 100.0)
    assert (found.n, found.left_out) == (1, 3)
    with pytest.raises(DataMissing, match="needs 7 closes; there are 6"):
        empirical(closes, 6, 100.0)
    with pytest.raises(DataMissing, match="lacks a close"):
        empirical(np.array([1.0, np.nan, 1.0]), 1, 100.0)
    with pytest.raises(BadInput, match="at least 1; they were 0"):
        empirical(closes, 0, 100.0)
    few = odds(CONDOR, Empirical(4500.0, np.ones(12), np.ones(12), np.ones(12), sessions=5))
    assert (few.probability_interval, few.value_interval, few.probability_of_profit) == (None, None, 1.0)


# --- touching a level -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "forward"), [(4800.0, 4560.0), (4200.0, 4560.0), (4700.0, 4400.0), (4300.0, 4400.0)])
def test_touch_equals_a_barrier_in_quantlib(level: float, forward: float) -> None:
    """The reflection with drift against QuantLib's one-touch: a digital paid at expiry once the barrier was hit."""
    ql = pytest.importorskip("QuantLib")
    spot, years, sigma = 4500.0, 30 / 365, 0.22
    today = ql.Date(2, 1, 2024)
    ql.Settings.instance().evaluationDate = today
    count = ql.Actual365Fixed()
    flat = lambda rate: ql.YieldTermStructureHandle(ql.FlatForward(today, rate, count))  # noqa: E731
    carry = math.log(forward / spot) / years
    volatility = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), sigma, count))
    quote = ql.QuoteHandle(ql.SimpleQuote(spot))
    process = ql.BlackScholesMertonProcess(quote, flat(-carry), flat(0.0), volatility)
    payoff = ql.CashOrNothingPayoff(ql.Option.Call if level > spot else ql.Option.Put, level, 1.0)
    option = ql.VanillaOption(payoff, ql.AmericanExercise(today, today + 30, True))
    option.setPricingEngine(ql.AnalyticDigitalAmericanEngine(process))
    found = probability_of_touch(level, spot, Lognormal(forward, sigma * years**0.5))
    assert found.probability == pytest.approx(option.NPV(), abs=1e-12)
    assert found.method == REFLECTION
    assert found.low <= found.probability <= found.high


def test_touch_under_a_smile_is_matched_bounded_and_right_for_a_flat_one() -> None:
    """A density that happens to be Black's gives Black's probability; a skewed one stays within what no path breaks."""

    class Flat:
        """Black's density, that does not say so."""

        forward = FORWARD
        cdf, partial_expectation = staticmethod(BLACK.cdf), staticmethod(BLACK.partial_expectation)

    for level in (4300.0, 4480.0, 4505.0, 4700.0, 4900.0):
        exact = probability_of_touch(level, 4500.0, BLACK)
        guessed = probability_of_touch(level, 4500.0, Flat())
        assert guessed.probability == pytest.approx(exact.probability, abs=1e-10)
        assert guessed.method == BLENDED
    chances = [probability_of_touch(level, 4500.0, SMILE).probability for level in (4550.0, 4600.0, 4700.0, 4900.0)]
    assert chances == sorted(chances, reverse=True)
    below = probability_of_touch(4200.0, 4500.0, SMILE)
    assert below.low == pytest.approx(float(SMILE.cdf(np.array([4200.0]))[0]))
    assert below.low <= below.probability <= below.high < 1.0
    assert probability_of_touch(4500.0, 4500.0, SMILE).probability == 1.0


def test_a_tail_too_fat_for_any_lognormal_is_said() -> None:
    """35 % at 13 % up and the rest at 7 % down: no lognormal with that mean ends beyond 112 as often."""

    class Jump:
        """Mass at 93 and at 113."""

        forward = 100.0

        @staticmethod
        def cdf(x):
            return 0.65 * (np.asarray(x) > 93.0) + 0.35 * (np.asarray(x) > 113.0)

        @staticmethod
        def partial_expectation(x):
            return 0.65 * 93.0 * (np.asarray(x) > 93.0) + 0.35 * 113.0 * (np.asarray(x) > 113.0)

    found = probability_of_touch(112.0, 100.0, Jump())
    assert found.method == OF_THE_OPTION
    assert found.low == pytest.approx(0.35)
    # A martingale at 112 that ends at 113 or 93 ends at 113 in 19 of 20 cases, so it was at 112 in 35 * 20 / 19 %.
    assert found.high == pytest.approx(0.35 * 20 / 19, abs=2e-3)
    assert found.low <= found.probability <= found.high
    beyond_all = probability_of_touch(120.0, 100.0, Jump())
    assert (beyond_all.probability, beyond_all.method) == (0.0, TWICE_THE_TAIL)


def test_touch_of_a_skewed_model_lies_near_its_paths() -> None:
    """Paths whose volatility falls as they rise: the answer from their last prices alone is near what they touched."""
    rng, n, steps = np.random.default_rng(2), 12_000, 150
    dt, x, v = 30 / 365 / steps, np.zeros(12_000), np.full(12_000, 0.03)
    low, high = np.zeros(n), np.zeros(n)
    for _ in range(steps):
        z = rng.standard_normal((2, n))
        x += -v / 2 * dt + np.sqrt(v * dt) * z[0]
        v = np.maximum(v + 3 * (0.05 - v) * dt + 1.2 * np.sqrt(v * dt) * (-0.75 * z[0] + 0.6614 * z[1]), 0.0)
        np.minimum(low, x, out=low)
        np.maximum(high, x, out=high)
    unseen = 0.5826 * (0.03 * dt) ** 0.5  # between the steps
    ends = np.sort(100 * np.exp(x))
    total = np.concatenate([[0.0], np.cumsum(ends)])

    class Ends:
        forward = float(ends.mean())

        @staticmethod
        def cdf(at):
            return np.searchsorted(ends, at) / n

        @staticmethod
        def partial_expectation(at):
            return total[np.searchsorted(ends, at)] / n

    for level in (88.0, 94.0, 97.0, 99.5, 100.5, 103.0, 106.0):
        reached = high + unseen >= np.log(level / 100) if level > 100 else low - unseen <= np.log(level / 100)
        found = probability_of_touch(level, 100.0, Ends())
        assert found.probability == pytest.approx(reached.mean(), abs=0.07)
        assert found.low <= found.probability <= found.high


def test_touch_counted_over_past_windows() -> None:
    closes = np.array([100.0, 112.0, 99.0, 121.0, 90.0])
    sample = empirical(closes, 2, 50.0)  # highest 1.12, 1.080, 1.222; lowest 0.99, 0.884, 0.909
    assert probability_of_touch(55.5, 50.0, sample).probability == pytest.approx(2 / 3)
    found = probability_of_touch(45.0, 50.0, sample)
    assert (found.probability, found.method, found.low) == (pytest.approx(1 / 3), COUNTED, None)


def test_senseless_questions_are_refused() -> None:
    with pytest.raises(BadInput, match="forward and a deviation"):
        Lognormal(100.0, 0.0)
    with pytest.raises(BadInput, match=r"must be above 0; they were -5.0 and 100.0"):
        probability_of_touch(-5.0, 100.0, BLACK)
    with pytest.raises(BadInput, match="discount must be above 0; was 0"):
        expected_value(CONDOR, BLACK, 0.0)
    with pytest.raises(BadInput, match=r"must lie in \(0, 1\); was 1.0"):
        odds(CONDOR, Empirical(4500.0, np.ones(12), np.ones(12), np.ones(12), sessions=1), level=1.0)
