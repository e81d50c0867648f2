"""American values against QuantLib's most accurate engines, the European floor, symmetry and known limits."""

import math

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant import black
from openbell.quant.american import american_implied_volatilities, american_prices, early_exercise_premium
from openbell.quant.implied_volatility import AT_BOUND, AT_INTRINSIC, BELOW_INTRINSIC, EXPIRED, SOLVED, WORTHLESS

TODAY = ql.Date(2, 1, 2020)
DAYS = ql.Actual365Fixed()


def option(right: float, strike: float, days: int) -> ql.VanillaOption:
    kind = ql.Option.Call if right > 0 else ql.Option.Put
    return ql.VanillaOption(ql.PlainVanillaPayoff(kind, strike), ql.AmericanExercise(TODAY, TODAY + days))


def process(spot: float, sigma: float, rate: float, paid: float) -> ql.BlackScholesMertonProcess:
    ql.Settings.instance().evaluationDate = TODAY

    def flat(level: float) -> ql.YieldTermStructureHandle:
        return ql.YieldTermStructureHandle(ql.FlatForward(TODAY, level, DAYS))

    smile = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(TODAY, ql.NullCalendar(), sigma, DAYS))
    return ql.BlackScholesMertonProcess(ql.QuoteHandle(ql.SimpleQuote(spot)), flat(paid), flat(rate), smile)


def contracts(count: int, seed: int) -> list[tuple[float, ...]]:
    """A day to three years, volatility 5 % to 150 %, strikes to three deviations, rates to 12 %, yields from -2 %."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        days, sigma = int(np.exp(rng.uniform(0, 7))), float(np.exp(rng.uniform(np.log(0.05), np.log(1.5))))
        log = float(np.clip(rng.uniform(-3, 3) * sigma * math.sqrt(days / 365), -1, 1))
        rate, paid = float(rng.uniform(5e-4, 0.12)), float(rng.choice([0.0, rng.uniform(-0.02, 0.12)]))
        right = float(rng.choice([1.0, -1.0]))
        if right > 0:
            rate, paid = paid, rate
        rows.append((right, 100.0, 100 * math.exp(log), days, sigma, rate, paid))
    return rows


def test_values_are_those_of_the_accurate_engine() -> None:
    """Spot 100. Measured over 3000 contracts: largest difference 9e-4, 99 % under 3e-4, median 4e-7."""
    rows, wanted = contracts(200, seed=3), []
    for right, spot, strike, days, sigma, rate, paid in rows:
        one = option(right, strike, days)
        engine = ql.QdFpAmericanEngine(process(spot, sigma, rate, paid), ql.QdFpAmericanEngine.accurateScheme())
        one.setPricingEngine(engine)
        wanted.append(one.NPV())
    right, spot, strike, days, sigma, rate, paid = np.array(rows).T
    error = np.abs(american_prices(right, spot, strike, days / 365, sigma, rate, paid) - wanted)
    assert np.max(error) < 2e-3
    assert np.median(error) < 2e-6


@pytest.mark.parametrize(
    ("right", "strike", "days", "sigma", "rate", "dividends"),
    [
        (1, 90.0, 200, 0.25, 0.05, ((40, 1.5), (131, 1.5))),
        (1, 105.0, 90, 0.3, 0.02, ((60, 3.0),)),
        (-1, 110.0, 365, 0.2, 0.06, ((20, 0.8), (111, 0.8), (202, 0.8), (293, 0.8))),
        (-1, 95.0, 30, 0.5, 0.04, ((12, 2.0),)),
        (1, 80.0, 30, 0.2, 0.03, ((29, 2.0),)),
    ],
)
def test_dated_dividends_are_those_of_finite_differences(right, strike, days, sigma, rate, dividends) -> None:
    """The escrowed model; over 60 random contracts at spot 100 the largest difference is 0.013, the median 2e-4."""
    one = option(right, strike, days)
    schedule = [ql.FixedDividend(amount, TODAY + day) for day, amount in dividends]
    scheme, model = ql.FdmSchemeDesc.Douglas(), ql.FdBlackScholesVanillaEngine.Escrowed
    engine = ql.FdBlackScholesVanillaEngine(
        process(100.0, sigma, rate, 0.0), schedule, 400, 400, 2, scheme, False, -1.0, model
    )
    one.setPricingEngine(engine)
    paid = [(day / 365, amount) for day, amount in dividends]
    found = american_prices(right, 100.0, strike, days / 365, sigma, rate, 0.0, paid)
    assert found == pytest.approx(one.NPV(), abs=0.006)
    late = american_prices(right, 100.0, strike, days / 365, sigma, rate, 0.0, [*paid, (days / 365 + 0.01, 5.0)])
    assert late == found, "what is paid after expiry is not the holder's"


def test_two_boundaries_under_negative_rates() -> None:
    """A put at rate -2 % and yield -5 % is exercised in a band only; QuantLib's fixed point refuses it."""
    for right, rate, paid in ((-1, -0.02, -0.05), (1, -0.05, -0.02)):
        one = option(right, 100.0, 365)
        one.setPricingEngine(ql.BinomialLRVanillaEngine(process(100.0, 0.2, rate, paid), 2001))
        assert american_prices(right, 100.0, 100.0, 1.0, 0.2, rate, paid) == pytest.approx(one.NPV(), abs=1e-3)


def test_a_put_without_end_has_the_perpetual_value() -> None:
    rate, sigma = 0.06, 0.3
    power = -2 * rate / sigma**2
    edge = 100 * power / (power - 1)
    wanted = (100 - edge) * (90 / edge) ** power
    assert american_prices(-1, 90.0, 100.0, 200.0, sigma, rate) == pytest.approx(wanted, rel=2e-3)


ROW = st.tuples(
    st.sampled_from([1.0, -1.0]),
    st.floats(-1.0, 1.0),
    st.floats(1e-3, 4.0),
    st.floats(0.03, 2.0),
    st.floats(-0.03, 0.15),
    st.floats(-0.03, 0.15),
)


@settings(max_examples=150, deadline=None)
@given(ROW)
def test_never_under_the_european_or_the_payoff_and_symmetric(row) -> None:
    """A call is a put with spot and strike, rate and yield exchanged; kills a boundary on the wrong side."""
    right, log, years, sigma, rate, paid = row
    spot, strike = 100.0, 100 * math.exp(log)
    value = float(american_prices(right, spot, strike, years, sigma, rate, paid))
    forward, discount = spot * math.exp((rate - paid) * years), math.exp(-rate * years)
    assert value >= black.prices(right, forward, strike, years, sigma, discount) - 1e-12
    assert value >= right * (spot - strike)
    grown = max(1.0, math.exp(-(paid if right > 0 else rate) * years))
    assert value <= (spot if right > 0 else strike) * grown
    mirrored = american_prices(-right, strike, spot, years, sigma, paid, rate)
    assert value == pytest.approx(float(mirrored), abs=2e-3)
    assert early_exercise_premium(right, spot, strike, years, sigma, rate, paid) >= 0.0


@settings(max_examples=60, deadline=None)
@given(ROW)
def test_value_rises_with_time_and_volatility(row) -> None:
    right, log, years, sigma, rate, paid = row
    if min(rate, paid) < 0.0:
        rate, paid = abs(rate), abs(paid)
    strike = 100 * math.exp(log)
    longer = american_prices(right, 100.0, strike, years * np.linspace(1, 2, 6), sigma, rate, paid)
    wilder = american_prices(right, 100.0, strike, years, sigma * np.linspace(1, 2, 6), rate, paid)
    assert np.all(np.diff(longer) > -5e-3)
    assert np.all(np.diff(wilder) > -5e-3)


def test_no_reason_to_exercise_early_means_no_premium() -> None:
    """A call without dividends, a put without interest: European, and rounding is no premium."""
    strike = np.linspace(60, 140, 9)
    assert np.all(early_exercise_premium(1, 100.0, strike, 1.0, 0.3, 0.05) == 0.0)
    assert np.all(early_exercise_premium(-1, 100.0, strike, 1.0, 0.3, 0.0, 0.02) == 0.0)
    assert early_exercise_premium(-1, 100.0, 100.0, 1.0, 0.3, 0.05) > 0.3
    assert early_exercise_premium(1, 100.0, 80.0, 0.25, 0.2, 0.05, 0.0, [(0.2, 4.0)]) > 0.5


def test_without_volatility_the_best_moment_is_known() -> None:
    """A put under interest: now; a call on a high yield: now; a call under interest: at expiry; expired: the payoff."""
    assert american_prices(-1, 90.0, 100.0, 1.0, 0.0, 0.05) == 10.0
    assert american_prices(1, 110.0, 100.0, 1.0, 0.0, 0.01, 0.2) == pytest.approx(10.0)
    assert american_prices(1, 100.0, 100.0, 1.0, 0.0, 0.05) == pytest.approx(100 - 100 * math.exp(-0.05))
    assert american_prices([1, -1], 90.0, 100.0, 0.0, 0.4, 0.05) == pytest.approx([0.0, 10.0])


@pytest.mark.parametrize("dividends", [None, ((0.1, 1.0), (0.35, 1.0))])
def test_implied_volatility_gives_the_price_back(dividends) -> None:
    strike, sigma = np.linspace(75, 125, 11), np.linspace(0.45, 0.15, 11)
    right = np.where(strike > 100, -1, 1)
    terms = (right, 100.0, strike, 0.5)
    price = american_prices(*terms, sigma, 0.05, 0.02, dividends)
    found = american_implied_volatilities(price, *terms, 0.05, 0.02, dividends)
    solved = found.reason == SOLVED
    assert solved.sum() >= 9
    assert found.volatility[solved] == pytest.approx(sigma[solved], rel=1e-5)
    again = american_prices(right[solved], 100.0, strike[solved], 0.5, found.volatility[solved], 0.05, 0.02, dividends)
    assert again == pytest.approx(price[solved], abs=1e-8)


@pytest.mark.parametrize(
    ("price", "right", "strike", "years", "reason"),
    [
        (20.0, -1, 120.0, 0.5, AT_INTRINSIC),
        (19.0, -1, 120.0, 0.5, BELOW_INTRINSIC),
        (0.0, 1, 120.0, 0.5, WORTHLESS),
        (100.5, 1, 120.0, 0.5, AT_BOUND),
        (3.0, -1, 90.0, 0.0, EXPIRED),
        (25.0, -1, 120.0, 0.5, SOLVED),
    ],
)
def test_why_there_is_no_volatility(price, right, strike, years, reason) -> None:
    found = american_implied_volatilities(price, right, 100.0, strike, years, 0.05)
    assert int(found.reason) == reason
    assert np.isnan(found.volatility) == (reason != SOLVED)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strike": [100.0, -1.0]}, r"`strike` must be above 0 and finite; row 1 was -1"),
        ({"dividends": [(0.0, 1.0)]}, r"years above 0 and the points 0 or more; was \(0, 1\)"),
        ({"dividends": [(0.1, 120.0)]}, r"worth less than the spot; in row 0 they were worth 119"),
        ({"steps": 100}, r"`steps` must be odd and at least 3; was 100"),
        ({"threads": 0}, r"`threads` must be at least 1; was 0"),
    ],
)
def test_what_cannot_be_is_refused(change, words) -> None:
    terms = {"right": 1, "spot": 100.0, "strike": 100.0, "years": 0.5, "volatility": 0.2, "rate": 0.05}
    with pytest.raises(BadInput, match=words):
        american_prices(**{**terms, **change})


def test_what_is_not_known_stays_not_known_and_threads_change_nothing() -> None:
    found = american_prices(-1, [100.0, math.nan], 100.0, 0.5, 0.2, 0.05)
    assert np.isfinite(found[0])
    assert np.isnan(found[1])
    strike = np.linspace(80, 120, 4200)
    one, two = (american_prices(-1, 100.0, strike, 0.5, 0.2, 0.05, threads=n) for n in (1, 2))
    assert np.array_equal(one, two)
