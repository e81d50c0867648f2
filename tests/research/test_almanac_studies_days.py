"""Groups of days, regimes, days that stand out, supports and resistances."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.regime import Regime, regime
from openbell.research.almanac_studies_days import anomalies, clusters, levels, regimes


def days_of(**columns):
    n = len(next(iter(columns.values())))
    return pl.DataFrame({"session": [dt.date(2015, 1, 5) + dt.timedelta(days=k) for k in range(n)], **columns})


def grouped(seed=0, scale=1.0):
    """40 calm, 60 rising and 50 falling days, in mixed order, and the group of each by its return."""
    random = np.random.default_rng(seed)
    middle = np.repeat([[0.0, 1.0], [4.0, 3.0], [-4.0, 3.0]], [40, 60, 50], axis=0)
    order = random.permutation(150)
    values = (middle + 0.3 * random.normal(size=(150, 2)))[order]
    truth = np.repeat([1, 2, 0], [40, 60, 50])[order]
    return days_of(day_return_pct=values[:, 0], range_pct=scale * values[:, 1]), truth


@pytest.mark.parametrize("method", ["mixture", "kmeans"])
def test_planted_groups_are_found_and_numbered_by_their_return(method):
    days, truth = grouped()
    found = clusters(days, ("day_return_pct", "range_pct"), method=method, most=5)
    assert found.chosen == 3
    assert found.rows["cluster"].to_list() == truth.tolist()
    assert found.centres["n"].to_list() == [50, 40, 60]
    assert found.centres["day_return_pct"].to_list() == pytest.approx([-4.0, 0.0, 4.0], abs=0.2)
    assert "must not stand in a forecast" in found.sentences[-1]


def test_units_do_not_decide_the_groups():
    """Without standardisation a range in points would drown the return."""
    for method in ("mixture", "kmeans"):
        plain, huge = (clusters(grouped(scale=scale)[0], ("day_return_pct", "range_pct"), method=method, most=4)
                       for scale in (1.0, 1e5))  # fmt: skip
        assert plain.rows["cluster"].to_list() == huge.rows["cluster"].to_list()


def test_one_cloud_is_one_group_by_bic():
    random = np.random.default_rng(1)
    days = days_of(a=random.normal(size=200), b=random.normal(size=200))
    found = clusters(days, ("a", "b"), most=4)
    assert found.chosen == 1
    assert found.scores["groups"].to_list() == [1, 2, 3, 4]
    assert "one group: there is nothing to tell apart" in found.sentences[0]


def test_two_wild_days_are_no_group():
    """By the BIC alone they are two of their own."""
    random = np.random.default_rng(1)
    a, b = random.normal(size=100), random.normal(size=100)
    a[7], b[7], a[60], b[60] = 60.0, 60.0, -80.0, 60.0
    found = clusters(days_of(a=a, b=b), ("a", "b"), most=4)
    assert found.centres["n"].min() >= 10
    assert found.scores["groups"][found.scores["score"].arg_min()] > found.chosen


def test_days_with_holes_are_left_out_and_counted():
    days, _ = grouped()
    known = pl.when(pl.col("session") >= dt.date(2015, 1, 10)).then("range_pct")
    days = days.with_columns(known.alias("range_pct"))
    found = clusters(days, ("day_return_pct", "range_pct"), most=3)
    assert (found.missing, found.n) == (5, 145)
    assert found.sentences[0].startswith("5 days without every column")


def test_refusals_of_clusters():
    days, _ = grouped()
    with pytest.raises(BadInput, match="Did you mean `range_pct`"):
        clusters(days, ("range",))
    with pytest.raises(BadInput, match="There is no method of clustering"):
        clusters(days, ("range_pct",), method="dbscan")
    with pytest.raises(DataMissing, match="at least 30 days with range_pct; there were 29"):
        clusters(days.head(29), ("range_pct",))
    with pytest.raises(BadInput, match="the same flat"):
        clusters(days.with_columns(flat=pl.lit(1.0)), ("range_pct", "flat"))
    with pytest.raises(BadInput, match="was 1"):
        clusters(days, ("range_pct",), most=1)


def test_regimes_are_those_of_the_rules_and_shares_add_up():
    random = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(np.r_[random.normal(0.001, 0.005, 80), random.normal(-0.003, 0.03, 60)]))
    days = days_of(close=close, day_return_pct=random.normal(size=140), range_pct=random.uniform(0.5, 2, 140))
    found = regimes(days)
    assert found.n == 91
    assert found.rows["regime"][-1] == Regime(regime(close)).label
    assert found.rows["regime"][10] == Regime(regime(close[:60])).label
    assert found.table["share"].sum() == pytest.approx(1.0)
    with pytest.raises(DataMissing, match="at least 50 days with a close; there were 49"):
        regimes(days.head(49))
    inside = days.join(found.rows, on="session").filter(pl.col("regime") == "Risk-Off")
    row = found.table.row(0, named=True)
    assert (row["regime"], row["n"]) == ("Risk-Off", inside.height)
    assert row["change_mean"] == pytest.approx(inside["day_return_pct"].mean())
    assert row["range_pct_median"] == pytest.approx(inside["range_pct"].median())


def test_robust_z_by_hand_and_its_column():
    """Median 0 and MAD 1 of -2 .. 2 repeated: 8 has z 5.396, and moves neither of the two."""
    a = np.r_[np.tile([-2.0, -1, 0, 1, 2], 8), 8.0]
    days = days_of(a=a, b=np.tile([-1.0, 0.0, 1.0], 14)[:41])
    found = anomalies(days, ("a", "b"))
    first = found.rows.row(0, named=True)
    assert (first["column"], first["flagged"]) == ("a", True)
    assert first["z"] == pytest.approx(0.6745 * 8)
    assert found.flagged == 1
    assert found.rows["score"].is_sorted(descending=True)


def test_the_forest_finds_the_day_that_no_single_column_shows():
    random = np.random.default_rng(3)
    a = random.normal(size=150)
    b = a + 0.05 * random.normal(size=150)
    a[17], b[17] = 6.0, -6.0
    found = anomalies(days_of(a=a, b=b), ("a", "b"), method="isolation_forest")
    assert found.rows["session"][0] == dt.date(2015, 1, 5) + dt.timedelta(days=17)
    assert found.flagged < 20


def test_refusals_of_anomalies():
    days = days_of(a=np.r_[np.zeros(30), np.arange(10.0)])
    with pytest.raises(BadInput, match="More than half of the values of a are the same"):
        anomalies(days, ("a",))
    with pytest.raises(BadInput, match="There is no method to find anomalies by"):
        anomalies(days, ("a",), method="z")
    with pytest.raises(BadInput, match="at least one column"):
        anomalies(days, ())


def test_supports_and_resistances_by_hand():
    """A swing high of 110 and a swing low of 90, each the extreme of five; the last close is 100."""
    high = np.array([101, 102, 110, 103, 102, 101, 101, 101, 101, 101, 101, 101.0])
    low = np.array([99, 99, 99, 99, 99, 95, 90, 94, 96, 99, 99, 99.0])
    days = days_of(open=np.full(12, 100.0), high=high, low=low, close=np.full(12, 100.0))
    found = levels(days)
    assert (found.supports, found.resistances) == ((90.0,), (110.0,))
    assert not found.sufficient
    assert found.rows["resistance_1"].to_list()[:5] == [None] * 4 + [110.0]  # known two sessions later
    assert "110.00 (+10.00%)" in found.sentences[1]
    with pytest.raises(DataMissing, match="at least 5 sessions; there were 4"):
        levels(days.head(4))
    assert "none within 60 sessions" in levels(days.head(5)).sentences[0]
