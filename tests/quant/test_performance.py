"""Every measure against empyrical, against hand-worked numbers, and against what it must not depend on."""

import datetime as dt
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant import performance as pf
from openbell.quant.intervals import estimate, mean_block

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import empyrical


def weekdays(n: int, first: dt.date = dt.date(2015, 1, 1)) -> list[dt.date]:
    days, day = [], first
    while len(days) < n:
        if day.weekday() < 5:
            days.append(day)
        day += dt.timedelta(days=1)
    return days


@pytest.fixture(scope="module")
def r() -> np.ndarray:
    return np.random.default_rng(7).standard_t(4, 1500) * 0.01 + 0.0004


@pytest.fixture(scope="module")
def curve(r: np.ndarray) -> np.ndarray:
    return 100.0 * np.cumprod(np.concatenate([[1.0], 1.0 + r]))


RATE = 1.02 ** (1 / 252) - 1


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda r: pf.sharpe(r), lambda r: empyrical.sharpe_ratio(r, risk_free=RATE)),
        (lambda r: pf.sharpe(r, risk_free_annual=0.0), empyrical.sharpe_ratio),
        (lambda r: pf.sortino(r), lambda r: empyrical.sortino_ratio(r, required_return=RATE)),
        (lambda r: pf.volatility(r), empyrical.annual_volatility),
        (lambda r: pf.value_at_risk(r), lambda r: empyrical.value_at_risk(r, 0.05)),
        (lambda r: pf.expected_shortfall(r), lambda r: empyrical.conditional_value_at_risk(r, 0.05)),
        (lambda r: pf.max_drawdown(np.cumprod([1.0, *(1 + r)])), empyrical.max_drawdown),
        (lambda r: pf.total_return(np.cumprod([1.0, *(1 + r)])), empyrical.cum_returns_final),
    ],
)
def test_measures_equal_empyrical(ours, theirs, r: np.ndarray) -> None:
    assert ours(r) == pytest.approx(float(theirs(r)), rel=1e-10)


def test_growth_counts_calendar_days_not_marks() -> None:
    """Check 19 of the known traps: CAGR over 252 calendar days. 21 % in two calendar years is 10 % a year."""
    first, last = dt.date(2018, 1, 1), dt.date(2018, 1, 1) + dt.timedelta(days=730)
    equity = np.array([100.0, 90.0, 121.0])
    expected = 1.21 ** (365.25 / 730) - 1
    assert pf.annual_return(equity, first, last) == pytest.approx(expected, abs=1e-12)
    assert pf.annual_return(equity, first, last) == pytest.approx(0.10, abs=1e-3)
    assert pf.calmar(equity, first, last) == pytest.approx(expected / 0.10, rel=1e-9)


def test_hand_worked_curve() -> None:
    equity = np.array([100.0, 110.0, 99.0, 103.95, 93.555])
    assert pf.returns(equity) == pytest.approx([0.10, -0.10, 0.05, -0.10])
    assert pf.max_drawdown(equity) == pytest.approx(93.555 / 110 - 1)
    assert pf.drawdowns(equity) == pytest.approx([0, 0, -0.1, 103.95 / 110 - 1, 93.555 / 110 - 1])
    assert pf.win_rate(pf.returns(equity)) == 0.5
    assert pf.win_rate(np.array([0.0, 0.01])) == 0.5, "a flat day is no win"


def test_losses_have_one_sign() -> None:
    """Check 54: drawdown, value at risk and shortfall are negative (or 0) on every curve."""
    rising = np.array([1.0, 2.0, 3.0])
    assert pf.max_drawdown(rising) == 0.0
    falling = np.array([3.0, 2.0, 1.0])
    assert pf.max_drawdown(falling) == pytest.approx(-2 / 3)
    assert pf.max_drawdown(falling) < -0.20 < pf.max_drawdown(rising)
    losses = pf.returns(falling)
    assert pf.expected_shortfall(losses) <= pf.value_at_risk(losses) < 0


def test_metrics_do_not_look_at_the_rebalances(curve: np.ndarray) -> None:
    """Check 47: the same daily curve with other rebalance metadata has the same Sharpe, volatility and growth."""
    dates = weekdays(len(curve))
    weekly = pf.performance(dates, curve, turnovers=np.full(300, 0.1))
    monthly = pf.performance(dates, curve, turnovers=np.full(70, 0.4))
    for name in ("sharpe", "annual_return", "volatility", "sortino", "max_drawdown", "calmar", "win_rate", "n"):
        assert getattr(weekly, name) == getattr(monthly, name)
    assert weekly.turnover_per_rebalance == pytest.approx(0.1)
    span = (dates[-1] - dates[0]).days / 365.25
    assert weekly.turnover_annual == pytest.approx(30.0 / span)
    assert monthly.turnover_annual == pytest.approx(28.0 / span)


def test_a_curve_marked_weekly_has_about_the_same_annual_figures() -> None:
    """Annualisation comes from the dates: marking every fifth session must not multiply the volatility by 2.2."""
    r = np.random.default_rng(3).normal(0.0005, 0.01, 5000)
    equity = np.cumprod(np.concatenate([[1.0], 1 + r]))
    dates = weekdays(len(equity))
    daily = pf.performance(dates, equity)
    weekly = pf.performance(dates[::5], equity[::5])
    assert weekly.volatility == pytest.approx(daily.volatility, rel=0.06)
    assert weekly.sharpe.value == pytest.approx(daily.sharpe.value, rel=0.10)
    assert weekly.annual_return.value == pytest.approx(daily.annual_return.value, rel=1e-3)


def test_growth_is_the_same_as_the_interval_s_own_statistic(curve: np.ndarray) -> None:
    dates = weekdays(len(curve))
    whole = pf.performance(dates, curve)
    assert whole.annual_return.value == pytest.approx(pf.annual_return(curve, dates[0], dates[-1]), rel=1e-10)
    assert whole.annual_return.low < whole.annual_return.value < whole.annual_return.high
    assert whole.sharpe.low < whole.sharpe.value < whole.sharpe.high
    assert whole.sharpe.n == whole.n == len(curve) - 1


def test_every_measure_has_its_interval_around_it(curve: np.ndarray) -> None:
    """Check 5: no measure leaves without n and an interval; the value in it is the measure itself."""
    whole = pf.performance(weekdays(len(curve)), curve, turnovers=np.linspace(0.1, 0.3, 200))
    for name in ("volatility", "sortino", "max_drawdown", "calmar", "win_rate", "value_at_risk_95",
                 "expected_shortfall_95", "turnover_per_rebalance"):  # fmt: skip
        each = whole.intervals[name]
        assert each.value == pytest.approx(getattr(whole, name), rel=1e-9), name
        assert each.low < each.value + 1e-12, name
        assert each.low <= each.high, name
    assert whole.intervals["sharpe"] == whole.sharpe
    assert whole.intervals["max_drawdown"].high <= 0.0


def test_undefined_is_none_never_infinite() -> None:
    dates = weekdays(300)
    flat = pf.performance(dates, np.full(300, 5.0))
    assert flat.sharpe.value is None
    assert flat.calmar is None
    assert flat.max_drawdown == 0.0
    rising = pf.performance(dates, np.cumprod(np.full(300, 1.001)))
    assert rising.sharpe.value is None, "a constant return has no risk to divide by"
    assert rising.sortino is None


def test_two_marks_are_the_smallest_curve() -> None:
    short = pf.performance([dt.date(2020, 1, 2), dt.date(2020, 1, 3)], np.array([1.0, 1.01]))
    assert short.n == 1
    assert short.sharpe.value is None
    assert short.annual_return.low is None, "one return has no interval"


@pytest.mark.parametrize(
    ("dates", "equity", "words"),
    [
        ([dt.date(2020, 1, 2)], [1.0], "at least 2"),
        ([dt.date(2020, 1, 2), dt.date(2020, 1, 3)], [1.0, 0.0], "positive"),
        ([dt.date(2020, 1, 2), dt.date(2020, 1, 3)], [1.0, float("nan")], "mark 1 was nan"),
        ([dt.date(2020, 1, 3), dt.date(2020, 1, 2)], [1.0, 1.0], "rise strictly"),
        ([dt.date(2020, 1, 2)], [1.0, 1.0], "its date"),
    ],
)
def test_bad_curves_are_refused(dates: list[dt.date], equity: list[float], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        pf.performance(dates, np.array(equity))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=60), st.floats(0.01, 1e6))
def test_scale_of_the_account_changes_nothing(moves: list[float], capital: float) -> None:
    one = np.cumprod(np.concatenate([[1.0], 1.0 + np.array(moves)]))
    assert pf.max_drawdown(one * capital) == pytest.approx(pf.max_drawdown(one), abs=1e-9)
    assert pf.total_return(one * capital) == pytest.approx(pf.total_return(one), rel=1e-9, abs=1e-12)
    assert -1.0 < pf.max_drawdown(one) <= 0.0


def test_interval_of_a_mean_covers_as_it_says() -> None:
    """On an autocorrelated series the 95 % interval must cover about 95 %, not the 70 % of a plain bootstrap."""
    rng = np.random.default_rng(11)
    covered = 0
    for each in range(60):
        noise = rng.normal(size=504)
        series = np.convolve(noise, np.ones(5), mode="valid")
        got = estimate(series, block=mean_block(5, len(series)) * 2, replications=300, seed=each)
        covered += got.low <= 0.0 <= got.high
    assert covered >= 49, f"covered {covered} of 60"


def test_interval_needs_ten_blocks_and_says_n() -> None:
    x = np.random.default_rng(0).normal(size=99)
    assert estimate(x, block=10).low is None
    assert estimate(np.append(x, 0.5), block=10).low is not None
    with_gap = estimate(np.append(x, np.nan), block=5)
    assert with_gap.n == 99
    assert estimate(np.array([]), block=5).value is None
    with pytest.raises(BadInput, match="infinities"):
        estimate(np.array([1.0, np.inf]), block=1)
    with pytest.raises(BadInput, match="level"):
        estimate(x, block=1, level=1.0)


def test_interval_is_reproducible_from_its_seed() -> None:
    x = np.random.default_rng(0).normal(size=400)
    assert estimate(x, block=10, seed=3) == estimate(x, block=10, seed=3)
    assert estimate(x, block=10, seed=3) != estimate(x, block=10, seed=4)
    assert estimate(x + 1, block=10).excludes(0.0)
    assert not estimate(x, block=10).excludes(float(x.mean()))


def test_block_is_at_least_two_horizons() -> None:
    assert mean_block(5, 100) == 10
    assert mean_block(1, 2000) == 13
    with pytest.raises(BadInput, match="horizon_sessions"):
        mean_block(0, 10)
