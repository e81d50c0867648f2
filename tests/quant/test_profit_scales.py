"""Profit scales: one unit, exact boundaries, and the story of SPX that was taken for small."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.profit_scales import Scale, profit_scales, scale_of


def trades(profits, symbol="SPX", strategy="Butterfly", unit="points", multiplier=100.0):
    return pl.DataFrame(
        {"profit": profits}, schema={"profit": pl.Float64}
    ).with_columns(
        pl.lit(symbol).alias("symbol"),
        pl.lit(strategy).alias("strategy"),
        pl.lit(unit, pl.String).alias("unit"),
        pl.lit(multiplier, pl.Float64).alias("multiplier"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("points", "group"),
    [(0.0, "Small"), (1.0, "Small"), (1.01, "Medium"), (10.0, "Medium"), (10.01, "Large"), (38.0, "Large")],
)
def test_the_boundaries_belong_to_the_group_below(points, group):
    """Exactly 100 USD is small and exactly 1000 medium. Kills: >= for >, the group of another unit."""
    row = profit_scales(trades([0.0, points])).row(0, named=True)
    assert (row["range_raw"], row["group_raw"]) == (pytest.approx(points * 100), group)
    assert scale_of(row["range_raw"]) == group


def test_one_pair_by_hand():
    """S1.02: SPX butterflies of +28 and -10 points and a missing one. Kills: a missing profit counted as 0, the
    deviation of a population, average over all rows."""
    row = profit_scales(trades([28.0, -10.0, None])).row(0, named=True)
    assert (row["key"], row["trades"], row["count"], row["missing"]) == ("SPX_Butterfly", 3, 2, 1)
    assert (row["average"], row["least"], row["greatest"], row["range_raw"]) == (900.0, -1000.0, 2800.0, 3800.0)
    assert row["deviation"] == pytest.approx(np.std([2800, -1000], ddof=1))
    assert (row["unit"], row["multiplier"], row["group_raw"]) == ("points", 100.0, "Large")


def test_one_outlier_moves_the_raw_group_and_not_the_robust_one():
    """Kills: the robust range read from the extremes."""
    profits = [*np.linspace(-0.4, 0.4, 1000).tolist(), 50.0]
    row = profit_scales(trades(profits)).row(0, named=True)
    low, high = np.quantile(np.array(profits) * 100, [0.01, 0.99])
    assert row["range_robust"] == pytest.approx(high - low)
    assert (row["group_raw"], row["group_robust"]) == ("Large", "Small")


def test_76_times_or_why_spx_was_taken_for_small():
    """Check 34: SPX in points beside XSP in USD, and SPX partly in both. Read as one unit SPX averages $9.67 and is
    small; in its own unit it reaches 3800 USD. Kills: a report over mixed units, a conversion that nobody asked for."""
    spx = [28.0, -10.0, 11.01]
    naive = profit_scales(trades(spx, unit="usd")).row(0, named=True)
    assert (round(naive["average"], 2), naive["group_raw"]) == (9.67, "Small")
    right = profit_scales(trades(spx)).row(0, named=True)
    assert (right["average"], right["group_raw"]) == (pytest.approx(967.0), "Large")
    for other in (trades([4.39], symbol="XSP", unit="usd"), trades([2800.0, -1000.0], unit="usd")):
        with pytest.raises(BadInput, match=r"3 rows in points × 100\.0"):
            profit_scales(pl.concat([trades(spx), other]))
    with pytest.raises(BadInput, match="have 2"):
        profit_scales(pl.concat([trades(spx), trades([1.0], multiplier=10.0)]))
    with pytest.raises(BadInput, match="in None"):
        profit_scales(trades(spx, unit=None))


def test_a_unit_of_rows_without_a_profit_does_not_matter():
    found = profit_scales(pl.concat([trades([1.0]), trades([None], symbol="QQQ", unit="usd")]))
    silent = found.row(by_predicate=pl.col("key") == "QQQ_Butterfly", named=True)
    assert (silent["count"], silent["range_raw"], silent["group_raw"]) == (0, None, None)


def test_what_cannot_be_told_is_refused():
    with pytest.raises(DataMissing, match="None of 2 trades"):
        profit_scales(trades([None, None]))
    with pytest.raises(BadInput, match="1 profits are not finite"):
        profit_scales(trades([1.0, float("inf")]))
    for range_usd in (-1.0, float("nan"), float("inf")):
        with pytest.raises(BadInput, match="finite number from 0"):
            scale_of(range_usd)


@settings(max_examples=30)
@given(st.lists(st.floats(-500, 500), min_size=1, max_size=40), st.randoms())
def test_order_does_not_matter_and_the_unit_is_only_a_factor(profits, rng):
    """Kills: a measure that depends on the order of rows; a group that does on the unit."""
    mixed = rng.sample(profits, len(profits))
    points, usd = profit_scales(trades(profits)), profit_scales(trades([p * 100 for p in mixed], unit="usd"))
    for name in ("average", "least", "greatest", "range_raw", "range_robust"):
        assert points[name][0] == pytest.approx(usd[name][0], abs=1e-6)
    assert points["group_raw"][0] in {each.value for each in Scale}
