"""The measures added for the tournament, and all of them for many curves at once, against empyrical and by hand."""

import datetime as dt
import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from openbell.core.errors import BadInput
from openbell.quant import active, tails
from openbell.quant import performance as pf

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import empyrical

POINTS = (
    "cagr", "sharpe", "sharpe_se", "max_drawdown", "max_drawdown_sessions", "calmar", "turnover", "win_rate",
    "total_return", "volatility", "sortino", "value_at_risk_95", "expected_shortfall_95", "beta", "alpha",
    "information_ratio",
)  # fmt: skip
RATE = 1.02 ** (1 / 252) - 1


def weekdays(n: int) -> list[dt.date]:
    start = dt.date(2015, 1, 1)
    days = (start + dt.timedelta(days=each) for each in range(2 * n))
    return [day for day in days if day.weekday() < 5][:n]


@pytest.fixture(scope="module")
def market() -> np.ndarray:
    return np.random.default_rng(1).standard_t(5, 1200) * 0.008 + 0.0003


@pytest.fixture(scope="module")
def r(market: np.ndarray) -> np.ndarray:
    return 0.7 * market + np.random.default_rng(2).standard_t(4, 1200) * 0.006 + 0.0002


def curve(r: np.ndarray) -> np.ndarray:
    return np.cumprod(np.concatenate([[1.0], 1.0 + r]))


def test_measures_against_a_benchmark_equal_empyrical_and_the_regression(r, market) -> None:
    line = stats.linregress(market - RATE, r - RATE)
    assert active.beta(r, market) == pytest.approx(float(empyrical.beta(r, market, risk_free=RATE)), rel=1e-10)
    assert active.beta(r, market) == pytest.approx(line.slope, rel=1e-10)
    assert active.alpha(r, market) == pytest.approx(line.intercept * 252, rel=1e-10)
    assert active.information_ratio(r, market) == pytest.approx(
        float(empyrical.excess_sharpe(r, market)) * np.sqrt(252), rel=1e-10
    )
    assert active.tracking_error(r, market) == pytest.approx(float(empyrical.annual_volatility(r - market)), rel=1e-10)


def test_measures_against_a_benchmark_by_hand() -> None:
    b = np.array([0.01, -0.01, 0.02, -0.02])
    r = 2 * b + 0.001
    assert active.beta(r, b) == pytest.approx(2.0)
    assert active.alpha(r, b, risk_free_annual=0.0) == pytest.approx(0.252)
    assert active.capture(r, b) == (pytest.approx(0.062 / 0.03), pytest.approx(0.058 / 0.03))
    assert active.capture(b, b) == (pytest.approx(1.0), pytest.approx(1.0))
    assert active.beta(-b, b) == pytest.approx(-1.0)
    rate = 1.05 ** (1 / 252) - 1
    assert active.alpha(b, b, risk_free_annual=0.05) == pytest.approx(0.0, abs=1e-15)
    assert active.alpha(0 * b + rate, b, risk_free_annual=0.05) == pytest.approx(0.0, abs=1e-15), "bills have no alpha"


def test_undefined_against_a_benchmark() -> None:
    flat, b = np.full(5, 0.01), np.array([0.01, 0.02, 0.0, 0.01, -0.01])
    assert np.isnan([active.beta(b, flat), active.alpha(b, flat), active.information_ratio(b, b)]).all()
    assert active.tracking_error(b, b) == 0.0
    assert np.isnan(active.capture(b, flat)[1])
    with pytest.raises(BadInput, match="one return for each of 5"):
        active.beta(b, flat[:4])


def test_standard_error_of_the_sharpe_ratio(r: np.ndarray) -> None:
    """A second way to Mertens: the mean square of the influence function. Kills a sign of the skewness term."""
    skewed = np.random.default_rng(3).gamma(2.0, 0.01, 800) - 0.012
    mirrored = 2 * skewed.mean() - skewed
    for each in (r, skewed, mirrored):
        ratio = pf.sharpe(each) / np.sqrt(252)
        z = (each - each.mean()) / each.std()
        influence = z - ratio / 2 * (z**2 - 1)
        expected = np.sqrt((influence**2).mean() / len(each) * 252)
        assert pf.sharpe_error(each) == pytest.approx(expected, rel=1e-10)
    assert pf.sharpe_error(skewed) < 0.8 * pf.sharpe_error(mirrored), "same ratio, the other skewness"


def test_standard_error_is_lo_s_for_normal_moments() -> None:
    """Quantiles of a normal have skewness 0 and kurtosis 3: the formula of Lo (2002), a table value by hand."""
    z = stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    z = (z - z.mean()) / z.std()
    monthly = 0.5 * 0.05 + 0.05 * z  # a monthly ratio of 0.5
    got = pf.sharpe_error(monthly, per_year=12, risk_free_annual=0.0)
    assert got == pytest.approx(np.sqrt((1 + 0.5 * 0.5**2) / 100_000 * 12), rel=1e-3)


def test_length_of_the_deepest_drawdown_by_hand() -> None:
    """From the high to the recovery; a longer but shallower one does not count; one that is open counts to the end."""
    shallow_and_long = [100, 99, 99, 99, 99, 101]
    assert pf.max_drawdown_sessions(np.array([*shallow_and_long, 80, 101])) == 2
    assert pf.max_drawdown_sessions(np.array([*shallow_and_long, 80, 90, 100])) == 3
    assert pf.max_drawdown_sessions(np.array([1.0, 2.0, 3.0])) == 0
    assert pf.max_drawdown_sessions(np.array([3.0, 2.0, 1.0])) == 2
    assert pf.max_drawdown_sessions(np.array([2.0, 2.0, 1.0, 2.0])) == 2, "the last mark at the high is the peak"
    assert pf.max_drawdown_sessions(np.array([2.0, 1.0, 2.0, 1.0, 1.5, 2.0])) == 2, "of equal ones the first"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=25))
def test_length_of_the_deepest_drawdown_equals_a_walk(marks: list[int]) -> None:
    trough = min(range(len(marks)), key=lambda at: marks[at] / max(marks[: at + 1]))
    peak = max((at for at in range(trough + 1) if marks[at] == max(marks[: at + 1])), default=0)
    back = next((at for at in range(trough + 1, len(marks)) if marks[at] >= marks[peak]), len(marks) - 1)
    expected = back - peak if marks[trough] < marks[peak] else 0
    assert pf.max_drawdown_sessions(np.array(marks, dtype=float)) == expected


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_modified_tails_integrate_their_own_quantiles(level: float, r: np.ndarray) -> None:
    """Value at risk is the expansion at the quantile, shortfall its mean over the tail: checked by quadrature."""
    skew, excess = float(stats.skew(r)), float(stats.kurtosis(r))

    def quantile(p: float) -> float:
        z = stats.norm.ppf(p)
        w = z + (z**2 - 1) / 6 * skew + (z**3 - 3 * z) / 24 * excess - (2 * z**3 - 5 * z) / 36 * skew**2
        return r.mean() + r.std(ddof=1) * w

    assert tails.modified_value_at_risk(r, level=level) == pytest.approx(quantile(1 - level), rel=1e-9)
    mean = integrate.quad(quantile, 0, 1 - level, epsabs=1e-12)[0] / (1 - level)
    assert tails.modified_expected_shortfall(r, level=level) == pytest.approx(mean, rel=1e-6)
    assert tails.modified_expected_shortfall(r, level=level) < tails.modified_value_at_risk(r, level=level) < 0


def test_modified_tails_of_a_normal_are_the_normal_s() -> None:
    z = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    z = (z - z.mean()) / z.std(ddof=1)
    assert tails.modified_value_at_risk(0.001 + 0.01 * z) == pytest.approx(0.001 - 0.01 * 1.6448536, rel=1e-3)
    assert tails.modified_expected_shortfall(0.001 + 0.01 * z) == pytest.approx(0.001 - 0.01 * 2.0627128, rel=1e-3)
    assert np.isnan(tails.modified_value_at_risk(np.full(9, 0.01)))
    with pytest.raises(BadInput, match="level"):
        tails.modified_value_at_risk(z, level=0.05)


@settings(max_examples=100, deadline=None)
@given(st.floats(-3, 3), st.floats(-1, 12))
def test_domain_of_the_expansion_is_where_its_quantiles_rise(skew: float, excess: float) -> None:
    assume(abs(excess / 8 - skew**2 / 6) > 0.01)  # else they fall so far out that no grid reaches it
    z = np.linspace(-60, 60, 200_001)
    slope = 1 + z * skew / 3 + (z**2 - 1) * excess / 8 - (6 * z**2 - 5) * skew**2 / 36
    if abs(slope.min()) > 1e-3:
        assert tails.cornish_fisher_holds(skew, excess) == bool(slope.min() > 0)
    assert tails.cornish_fisher_holds(0.0, 0.0)


def test_rows_equal_the_measures_of_each_curve(r: np.ndarray, market: np.ndarray) -> None:
    dates = weekdays(1201)
    curves = np.array([curve(r), curve(market), curve(-0.5 * r), 7.0 * curve(r[::-1])])
    turnovers = np.array([[0.5, 0.1], [0.5, np.nan], [np.nan, np.nan], [0.0, 0.0]])
    got = pf.performance_rows(dates, curves, benchmark=curve(market), turnovers=turnovers)
    assert tuple(got.columns) == POINTS
    per_year = pf.marks_per_year(dates)
    for equity, row in zip(curves, got.iter_rows(named=True), strict=True):
        moves = pf.returns(equity)
        whole = pf.performance(dates, equity, replications=20)
        assert row["cagr"] == pytest.approx(pf.annual_return(equity, dates[0], dates[-1]), rel=1e-12)
        assert row["cagr"] == pytest.approx(whole.annual_return.value, rel=1e-9)
        assert row["sharpe"] == pytest.approx(whole.sharpe.value, rel=1e-12)
        assert row["sharpe_se"] == pytest.approx(pf.sharpe_error(moves, per_year=per_year), rel=1e-12)
        assert row["max_drawdown_sessions"] == pf.max_drawdown_sessions(equity)
        for name in ("max_drawdown", "calmar", "win_rate", "total_return", "volatility", "sortino",
                     "value_at_risk_95", "expected_shortfall_95"):  # fmt: skip
            assert row[name] == pytest.approx(getattr(whole, name), rel=1e-12), name
        assert row["beta"] == pytest.approx(active.beta(moves, market), rel=1e-9)
        assert row["alpha"] == pytest.approx(active.alpha(moves, market, per_year=per_year), rel=1e-9)
    assert got["turnover"].to_list() == [pytest.approx(0.3), 0.5, None, 0.0]
    assert got["information_ratio"].to_list()[1] is None, "the benchmark against itself"


def test_rows_look_at_dates_and_marks_only(r: np.ndarray) -> None:
    """Check 47: other rebalance metadata, same figures; the same marks over twice the calendar, half the growth."""
    dates, curves = weekdays(1201), curve(r)[None, :]
    weekly = pf.performance_rows(dates, curves, turnovers=np.full((1, 240), 0.1))
    monthly = pf.performance_rows(dates, curves, turnovers=np.full((1, 57), 0.4))
    assert weekly.drop("turnover").equals(monthly.drop("turnover"))
    slow = [dates[0] + 2 * (day - dates[0]) for day in dates]
    stretched = pf.performance_rows(slow, curves)
    assert stretched["cagr"][0] == pytest.approx((1 + weekly["cagr"][0]) ** 0.5 - 1, rel=1e-9)
    assert stretched["volatility"][0] == pytest.approx(weekly["volatility"][0] / np.sqrt(2), rel=1e-9)


def test_rows_have_one_sign_and_no_nan(r: np.ndarray) -> None:
    """Check 54: losses are negative. Undefined is null: a curve in cash, a curve without a loss, no benchmark."""
    rising = np.cumprod(np.concatenate([[1.0], np.where(np.arange(1200) % 2, 1.001, 1.003)]))
    curves = np.array([np.ones(1201), rising, curve(r), curve(-r)])
    got = pf.performance_rows(weekdays(1201), curves)
    assert not got.select(pl.selectors.float().is_nan().any()).row(0).count(True)
    for name in ("max_drawdown", "value_at_risk_95", "expected_shortfall_95"):
        assert (got[name][2:] < 0).all(), name
    assert got["max_drawdown"][:2].to_list() == [0.0, 0.0]
    nulls = {name: [at for at in range(4) if got[name][at] is None] for name in POINTS}
    assert {name: at for name, at in nulls.items() if at} == {
        "sharpe": [0],
        "sharpe_se": [0],
        "calmar": [0, 1],
        "sortino": [1],
        **{name: [0, 1, 2, 3] for name in ("turnover", "beta", "alpha", "information_ratio")},
    }
    assert got["max_drawdown_sessions"].dtype == pl.Int64


@pytest.mark.parametrize(
    ("equity", "how", "words"),
    [
        (np.ones(3), {}, r"shape \(curves, marks\)"),
        (np.ones((2, 2)), {}, "at least 3 marks"),
        (np.ones((2, 4)), {}, "4 marks and 3 dates"),
        (np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]]), {}, "mark 1 of curve 1 was 0"),
        (np.ones((2, 3)), {"turnovers": np.ones((3, 1))}, "one row for each of 2"),
        (np.ones((2, 3)), {"benchmark": np.ones(4)}, "one return for each of 2"),
    ],
)
def test_bad_rows_are_refused(equity, how, words) -> None:
    with pytest.raises(BadInput, match=words):
        pf.performance_rows(weekdays(3), equity, **how)
