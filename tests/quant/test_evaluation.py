"""Per-date coefficients against scipy, quantiles against pandas, the drift rule against its own words."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

from openbell.core.errors import BadInput
from openbell.quant.drift import alarm_rate, model_drift
from openbell.quant.evaluation import information_coefficients, quantile_returns, regime_performance, skill
from openbell.quant.performance import sharpe

DAYS = [dt.date(2020, 1, 1) + dt.timedelta(days=i) for i in range(300)]


def cross_sections(dates: int = 40, names: int = 30, ties: bool = False, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(dates, names))
    outcome = 0.2 * score + rng.standard_t(3, size=(dates, names))
    if ties:
        score = np.round(score)
    return pl.DataFrame(
        {
            "session": np.repeat(np.array(DAYS[:dates], dtype="datetime64[D]"), names),
            "symbol": [f"S{i}" for i in range(names)] * dates,
            "score": score.ravel(),
            "outcome": outcome.ravel(),
        }
    )


@pytest.mark.parametrize("ties", [False, True])
def test_coefficients_equal_scipy(ties: bool) -> None:
    frame = cross_sections(ties=ties)
    got = information_coefficients(frame)
    assert got.height == 40
    assert got["session"].is_sorted()
    for row in got.iter_rows(named=True):
        one = frame.filter(pl.col("session") == row["session"])
        pearson = stats.pearsonr(one["score"], one["outcome"])
        spearman = stats.spearmanr(one["score"], one["outcome"])
        assert row["ic"] == pytest.approx(pearson.statistic, abs=1e-12)
        assert row["rank_ic"] == pytest.approx(spearman.statistic, abs=1e-12)
        assert row["ic_p_value"] == pytest.approx(pearson.pvalue, rel=1e-8)
        assert row["rank_ic_p_value"] == pytest.approx(spearman.pvalue, rel=1e-8)
        assert row["n_samples"] == 30


def test_missing_and_constant_are_null_and_counted() -> None:
    """Check 6 and S2.16: a NaN outcome is a missing one, a constant date has no coefficient, and both are counted."""
    nan, inf = float("nan"), float("inf")
    frame = pl.DataFrame(
        {
            "session": [1] * 5 + [2] * 4 + [3] * 2 + [4] * 2,
            "score": [1.0, 2.0, 3.0, nan, 9.0, 5.0, 5.0, 5.0, 5.0, 1.0, 2.0, nan, None],
            "outcome": [1.0, 3.0, 2.0, 1.0, -inf, 1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 1.0, 1.0],
        }
    )
    got = information_coefficients(frame).rows_by_key("session", named=True, unique=True)
    assert got[1]["rank_ic"] == pytest.approx(0.5)
    assert (got[1]["n_samples"], got[1]["n_missing"]) == (3, 2)
    assert got[2]["ic"] is None
    assert got[2]["rank_ic"] is None
    assert got[2]["rank_ic_p_value"] is None
    assert got[3]["ic"] is None, "two points always correlate"
    assert (got[4]["n_samples"], got[4]["n_missing"], got[4]["ic"]) == (0, 2, None)


def test_coefficients_are_per_date_not_pooled() -> None:
    """Check 55: dates whose levels move together give a pooled correlation near 1 and a per-date one of -1."""
    rows = [(day, float(10 * day + name), float(10 * day - name)) for day in range(20) for name in range(5)]
    frame = pl.DataFrame(rows, schema=["session", "score", "outcome"], orient="row")
    pooled = stats.pearsonr(frame["score"], frame["outcome"]).statistic
    got = information_coefficients(frame)
    assert pooled > 0.9
    assert got["rank_ic"].to_list() == pytest.approx([-1.0] * 20)


def test_perfect_correlation_has_a_p_value_of_zero() -> None:
    frame = pl.DataFrame({"session": [1] * 4, "score": [1.0, 2.0, 3.0, 4.0], "outcome": [2.0, 4.0, 6.0, 8.0]})
    got = information_coefficients(frame).row(0, named=True)
    assert got["ic"] == pytest.approx(1.0)
    assert got["ic_p_value"] == pytest.approx(0.0, abs=1e-7)


def test_row_order_changes_nothing() -> None:
    frame = cross_sections(ties=True)
    mixed = frame.sample(fraction=1.0, shuffle=True, seed=1)
    for one, other in zip(
        information_coefficients(frame).iter_columns(), information_coefficients(mixed).iter_columns(), strict=True
    ):
        assert one.to_list() == pytest.approx(other.to_list(), abs=1e-12) if one.dtype.is_float() else one.equals(other)
    assert quantile_returns(frame, quantiles=3).table.equals(
        quantile_returns(mixed, quantiles=3).table
    ) or quantile_returns(frame, quantiles=3).table["avg_return"].to_list() == pytest.approx(
        quantile_returns(mixed, quantiles=3).table["avg_return"].to_list(), abs=1e-12
    )


def test_a_missing_column_is_named() -> None:
    with pytest.raises(BadInput, match="lacks the column outcome"):
        information_coefficients(pl.DataFrame({"session": [1], "score": [1.0]}))


def test_skill_by_hand() -> None:
    ics = pl.Series([0.1, -0.1, 0.2, None, 0.2])
    got = skill(ics, horizon_sessions=1)
    assert got.mean.value == pytest.approx(0.1)
    assert got.mean.n == 4
    assert got.standard_deviation == pytest.approx(np.std([0.1, -0.1, 0.2, 0.2], ddof=1))
    assert got.icir == pytest.approx(0.1 / np.std([0.1, -0.1, 0.2, 0.2], ddof=1))
    assert got.positive == 0.75
    assert got.dates_without == 1
    assert got.mean.low is None, "four dates have no interval"


def test_overlap_widens_the_interval_of_the_mean() -> None:
    """Coefficients that share outcomes over 20 sessions are not 1,000 independent ones."""
    rng = np.random.default_rng(5)
    ics = np.convolve(rng.normal(0, 0.1, 1019), np.ones(20) / 20, mode="valid")
    got = skill(ics, horizon_sessions=20).mean
    as_if_independent = 1.96 * ics.std(ddof=1) / np.sqrt(len(ics))
    assert got.block >= 40
    assert got.high - got.low > 2 * 2.5 * as_if_independent


def test_empty_skill_has_no_numbers() -> None:
    got = skill(pl.Series([None, None], dtype=pl.Float64), horizon_sessions=5)
    assert (got.mean.value, got.icir, got.positive, got.dates_without) == (None, None, None, 2)


@pytest.mark.parametrize("names", [10, 11, 13, 30])
def test_quantiles_equal_pandas_qcut_per_date(names: int) -> None:
    frame = cross_sections(dates=25, names=names, seed=names)
    table = frame.to_pandas()
    table["q"] = table.groupby("session")["score"].transform(lambda s: pd.qcut(s, 5, labels=False) + 1)
    per_date = table.groupby(["session", "q"])["outcome"].mean().unstack()
    got = quantile_returns(frame, horizon_sessions=1).table
    assert got["avg_return"].to_list() == pytest.approx(per_date.mean().to_list(), abs=1e-12)
    assert got["std_return"].to_list() == pytest.approx(per_date.std().to_list(), abs=1e-12)
    assert got["n_stocks"].to_list() == table.groupby("q").size().to_list()
    assert got["n_dates"].to_list() == [25] * 5


def test_quantiles_are_per_date_not_pooled() -> None:
    """Check 55: a pool over dates would put all of one date into the top quantile and turn the sign around."""
    rows = [(day, float(100 * day + name), float(day) - 0.1 * name) for day in range(30) for name in range(10)]
    frame = pl.DataFrame(rows, schema=["session", "score", "outcome"], orient="row")
    got = quantile_returns(frame, horizon_sessions=1)
    averages = got.table["avg_return"].to_list()
    assert averages == sorted(averages, reverse=True)
    assert got.spread.value == pytest.approx(-0.8)


def test_each_date_weighs_the_same() -> None:
    few = [(1, float(i), 1.0) for i in range(5)]
    many = [(2, float(i), 0.0) for i in range(500)]
    frame = pl.DataFrame(few + many, schema=["session", "score", "outcome"], orient="row")
    assert quantile_returns(frame).table["avg_return"].to_list() == [0.5] * 5


def test_dates_that_cannot_be_cut_are_counted() -> None:
    frame = pl.concat(
        [
            cross_sections(dates=3, names=10),
            pl.DataFrame(
                {"session": [DAYS[9]] * 8, "symbol": list("abcdefgh"), "score": [1.0] * 8, "outcome": [9.0] * 8}
            ),
        ]
    )
    got = quantile_returns(frame)
    assert got.dates_skipped == 1
    assert got.by_date["avg_return"].max() < 9.0
    with pytest.raises(BadInput, match="at least 2"):
        quantile_returns(frame, quantiles=1)
    nothing = quantile_returns(frame.head(0))
    assert nothing.table["avg_return"].null_count() == 5


@pytest.mark.parametrize(
    ("ics", "degraded"),
    [
        ([0.03] * 20, False),
        ([0.01] * 20, True),
        ([0.019] * 10 + [0.022] * 10, False),  # mean 0.0205 is above
        ([-0.5] + [0.03] * 19, False),  # mean below, but only one day
        ([-0.5] * 10 + [0.03] * 10, True),  # exactly half of the days
        ([-0.5] * 9 + [0.03] * 11, False),
        ([0.9] * 100 + [0.01] * 20, True),  # only the last 20 count
        ([0.02] * 20, False),  # at the threshold is not below it
    ],
)
def test_drift_rule(ics: list[float], degraded: bool) -> None:
    got = model_drift(ics)
    assert got.degraded is degraded
    assert got.action == ("review_model" if degraded else "continue")


def test_drift_without_history_says_so() -> None:
    got = model_drift([0.0] * 19 + [None, float("nan")])
    assert (got.degraded, got.reason, got.n, got.avg_ic) == (False, "insufficient_history", 19, None)
    with pytest.raises(BadInput, match="lookback"):
        model_drift([0.1], lookback=0)


def test_alarm_rate_is_the_share_of_windows_that_ring() -> None:
    rng = np.random.default_rng(1)
    ics = rng.normal(0.03, 0.1, 400)
    brute = np.mean([model_drift(ics[i : i + 20]).degraded for i in range(381)])
    assert alarm_rate(ics) == pytest.approx(brute)
    assert 0.1 < brute < 0.6, "the request's rule rings often on a good model, and the report says so"
    assert model_drift(ics[-20:], history=ics).alarm_rate == pytest.approx(brute)
    assert alarm_rate(ics[:5]) is None


def test_regimes_by_hand() -> None:
    r = np.array([0.01, -0.02, 0.03, 0.01, 0.02, -0.01])
    states = np.array([0, 0, 2, 2, 2, 0])
    got = regime_performance(r, states).rows_by_key("regime", named=True, unique=True)
    assert got[0]["avg_return"] == pytest.approx(-0.02 / 3)
    assert got[0]["win_rate"] == pytest.approx(1 / 3)
    assert got[2]["sharpe"] == pytest.approx(sharpe(r[2:5]))
    assert (got[1]["n_days"], got[1]["avg_return"], got[1]["sharpe"]) == (0, None, None)
    assert got[0]["regime_name"] == "Risk-Off"


def test_strange_regimes_are_refused() -> None:
    with pytest.raises(BadInput, match="there was -1"):
        regime_performance(np.array([0.1]), np.array([-1]))
    with pytest.raises(BadInput, match="its regime"):
        regime_performance(np.array([0.1, 0.2]), np.array([1]))
