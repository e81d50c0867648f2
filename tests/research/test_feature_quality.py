"""The quality gate of features: each fault is planted, found, counted and told; what is sound passes."""

import datetime as dt
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "features"))
from feature_bars import declared

from openbell.core.declare import Feature, feature
from openbell.core.errors import BadInput
from openbell.research.feature_quality import declared_range, feature_of, pruned, quality


def planted(name: str, unit: str = "ratio", rows: int = 1) -> Feature:
    def it() -> pl.Expr:
        return pl.col("close").rolling_mean(rows)

    it.__doc__ = "Planted."
    return feature(unit=unit, name=name)(it)[0]


def frame(symbols=2, rows=400, seed=0, **columns) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    n = symbols * rows
    days = [dt.date(2020, 1, 1) + dt.timedelta(at) for at in range(rows)]
    made = {name: each if callable(each) is False else each(rng, n) for name, each in columns.items()}
    return pl.DataFrame(
        {"symbol": np.repeat([f"S{at}" for at in range(symbols)], rows), "session": days * symbols, **made}
    )


def noise(rng, n):
    return rng.normal(size=n)


def test_units_that_state_a_range():
    assert declared_range("0 to 100") == (0.0, 100.0)
    assert declared_range("-100 to 0") == (-100.0, 0.0)
    assert declared_range("index 0 to 100") == (0.0, 100.0)
    assert declared_range("0 or 1") == (0.0, 1.0)
    assert declared_range("share") == (0.0, 1.0)
    assert declared_range("share in [-1, 1]") == (-1.0, 1.0)
    assert declared_range("score in (0, 1)") == (0.0, 1.0)
    assert declared_range("correlation") == (-1.0, 1.0)
    assert declared_range("sessions, at most 60") == (0.0, 60.0)
    for unit in ("fraction", "ratio", "USD", "fraction of the band, may lie outside [0, 1]", "share of a full session"):
        assert declared_range(unit) is None


def test_every_bounded_unit_of_the_declared_features_is_read():
    """A unit with two numbers in it that is not parsed would be a bound nobody checks."""
    for each in declared().values():
        if declared_range(each.unit) is None:
            assert " to " not in each.unit or "may lie outside" in each.unit, f"{each.name}: {each.unit}"


def test_a_column_knows_its_feature_and_its_frame():
    known = {each.name: each for each in (planted("rsi_14"), planted("return_1d"), planted("volume_change_1d"))}
    assert feature_of("rsi_14_5m", known) == (known["rsi_14"], "5m")
    assert feature_of("return_1d", known, "15m") == (known["return_1d"], "15m")
    assert feature_of("return_1d_1d", known) == (known["return_1d"], "1d")
    with pytest.raises(BadInput, match=r"rsi_15_5m.*rsi_14"):
        feature_of("rsi_15_5m", known)


def test_sound_features_pass():
    known = {name: planted(name) for name in ("a", "b")}
    found = quality(frame(a=noise, b=noise), ["a", "b"], known)
    assert found.passed
    assert found.clean == found.clean_of_all == 1.0
    assert found.dropped == {}
    assert pruned(["b", "a"], found) == ("b", "a")
    assert found.sentences[0].startswith("2 of 2 columns are kept; 100.00%")
    assert found.table["rows"].to_list() == [800, 800]


def test_warm_up_is_no_fault_and_a_later_null_is_one():
    """Ten rows of look-back: nine nulls of each symbol are not counted, two in the middle and a late start are."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=800)
    values[:9] = values[400:409] = np.nan
    values[[100, 500]] = np.nan
    late = values.copy()
    late[409:415] = np.nan  # six rows behind the look-back of the second symbol
    early = values.copy()
    early[3] = 0.5  # a value before the look-back is full ends the warm-up: the nulls behind it count
    rows = frame(a=values, b=late, c=early).with_columns(pl.col("a", "b", "c").fill_nan(None))
    found = quality(rows, ["a", "b", "c"], {name: planted(name, rows=10) for name in "abc"}, alike=1.0)
    assert found.table["rows"].to_list() == [782, 782, 788]
    assert found.table["nulls"].to_list() == [2, 8, 7]
    assert found.table["null_share"][0] == pytest.approx(2 / 782)
    assert found.clean_of_all == pytest.approx(1 - 17 / (782 + 782 + 788))


def test_warm_up_of_longer_frames_counts_their_bars():
    """On bars of 5 minutes 3 hours are full with row 36, and 3 sessions behind as many rows as those have."""
    days = [dt.date(2020, 1, 1) + dt.timedelta(at // 78) for at in range(780)]
    values = np.random.default_rng(2).normal(size=780)
    hours, sessions = values.copy(), values[::-1].copy()
    hours[:40], sessions[:300] = np.nan, np.nan
    rows = pl.DataFrame({"symbol": "A", "session": days, "x_1h": hours, "x_1d": sessions}).fill_nan(None)
    found = quality(rows, ["x_1h", "x_1d"], {"x": planted("x", rows=3)}, base="5m")
    assert found.table["frame"].to_list() == ["1h", "1d"]
    assert found.table["rows"].to_list() == [780 - 35, 780 - 3 * 78]
    assert found.table["nulls"].to_list() == [40 - 35, 300 - 3 * 78]


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_counted_and_left_out(odd):
    """Check 57: the gate stands before the fit."""
    values = np.random.default_rng(0).normal(size=800)
    values[17] = odd
    found = quality(frame(a=values, b=noise), ["a", "b"], {name: planted(name) for name in "ab"})
    assert found.table["not_finite"].to_list() == [1, 0]
    assert found.dropped == {"a": "`a` is infinite or not a number in 1 rows."}
    assert np.isfinite(found.table["largest"][0])
    assert pruned(["a", "b"], found) == ("b",)


@pytest.mark.parametrize(("value", "kept"), [(100.0, True), (100.00001, True), (100.1, False), (-0.1, False)])
def test_a_bound_is_checked_on_both_sides(value, kept):
    """Check 58: minimum and maximum; what single precision adds to a bound is no fault."""
    values = np.random.default_rng(0).uniform(0, 100, 800)
    values[400] = value
    found = quality(frame(a=values), ["a"], {"a": planted("a", "0 to 100")})
    assert (not found.dropped) == kept
    assert found.table["outside"].item() == int(not kept)
    assert found.table.row(0, named=True)["low"] == 0.0
    if not kept:
        assert "leaves its range of 0 to 100 in 1 rows" in found.dropped["a"]


def test_a_constant_is_a_placeholder_after_thirty_sessions():
    """Check 13: one distinct value over more than 30 days; what moves once is none, and so is an empty column."""
    step = np.zeros(800)
    step[-1] = 1.0
    rows = frame(vix=np.full(800, 15.0), step=step, empty=[None] * 800).with_columns(pl.col("empty").cast(pl.Float64))
    known = {name: planted(name) for name in ("vix", "step", "empty")}
    found = quality(rows, list(known), known)
    assert set(found.dropped) == {"vix", "empty"}
    assert "15.0 in all of 400 sessions" in found.dropped["vix"]
    assert "no value in any of 800 rows" in found.dropped["empty"]
    assert found.table["distinct"].to_list() == [1, 2, 0]
    assert found.clean == 1.0
    assert found.clean_of_all == pytest.approx(2 / 3)
    short = quality(rows.head(30), ["vix"], known)
    assert short.dropped == {}, "thirty sessions do not tell"


def test_of_two_that_say_the_same_the_later_goes_and_the_diagonal_never_counts():
    """Check 58: every column correlates with itself by 1, which is no finding; a mirror image is one."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=800), rng.normal(size=800)
    rows = frame(a=a, b=b, mirror=-3.0 * a + 7.0, near=b + 0.1 * rng.normal(size=800), far=b + rng.normal(size=800))
    known = {name: planted(name) for name in ("a", "b", "mirror", "near", "far")}
    found = quality(rows, list(known), known)
    assert list(zip(found.pairs["column"], found.pairs["other"], strict=True)) == [("a", "mirror"), ("b", "near")]
    assert found.pairs["correlation"][0] == pytest.approx(-1.0)
    assert set(found.dropped) == {"mirror", "near"}
    assert "`mirror` says what `a` says: their correlation is -1.000." in found.sentences
    turned = quality(rows, list(known)[::-1], known)
    assert set(turned.dropped) == {"a", "b"}, "the later of the columns as they were handed in"


def test_what_is_left_out_leaves_nothing_else_out():
    """A chain of three: b is like a and like c, but a and c are not alike, so c stays."""
    rng = np.random.default_rng(4)
    angle = np.deg2rad(15.0)
    x, y = rng.normal(size=(2, 8000))
    a, b, c = x, np.cos(angle) * x + np.sin(angle) * y, np.cos(2 * angle) * x + np.sin(2 * angle) * y
    found = quality(frame(rows=4000, a=a, b=b, c=c), ["a", "b", "c"], {name: planted(name) for name in "abc"})
    assert found.pairs.height == 2
    assert list(found.dropped) == ["b"]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 0.6), st.floats(1e-9, 1e9))
def test_correlations_are_those_of_the_rows_both_have(seed, missing, scale):
    """Against NumPy pair by pair, with nulls anywhere and columns of any size."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 4)) * scale + rng.normal(size=4) * scale * 5
    x[rng.random(x.shape) < missing] = np.nan
    names = list("abcd")
    rows = frame(symbols=1, rows=300, **dict(zip(names, x.T, strict=True))).with_columns(pl.col(names).fill_nan(None))
    limit = 0.6
    found = quality(rows, names, {name: planted(name) for name in names}, alike=limit)
    told = {(row["column"], row["other"]): row for row in found.pairs.iter_rows(named=True)}
    for i in range(4):
        for j in range(i + 1, 4):
            both = np.isfinite(x[:, i]) & np.isfinite(x[:, j])
            if both.sum() < 30:
                continue
            r = np.corrcoef(x[both, i], x[both, j])[0, 1]
            if abs(abs(r) - limit) > 1e-6:
                assert ((names[i], names[j]) in told) == (abs(r) > limit)
            if (names[i], names[j]) in told:
                row = told[names[i], names[j]]
                assert row["correlation"] == pytest.approx(r, abs=1e-9)
                assert row["rows"] == both.sum()


def test_features_that_share_no_rows_are_not_compared():
    rng = np.random.default_rng(5)
    x = rng.normal(size=800)
    a, b = x.copy(), x.copy()
    a[:410], b[420:] = np.nan, np.nan
    rows = frame(a=a, b=b).with_columns(pl.col("a", "b").fill_nan(None))
    found = quality(rows, ["a", "b"], {name: planted(name) for name in "ab"})
    assert found.pairs.is_empty(), "ten rows in common say nothing"


def test_long_histories_are_thinned_for_correlations_alone():
    """Faults are looked for in every row, the one among 30,000 included."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=30_000)
    y = x + 0.01 * rng.normal(size=30_000)
    rows = frame(symbols=1, rows=30_000, a=x, b=y).with_columns(
        pl.when(pl.int_range(pl.len()) == 12_346).then(np.inf).otherwise(pl.col("a")).alias("c")
    )
    found = quality(rows, ["a", "b", "c"], {name: planted(name) for name in "abc"})
    assert found.pairs["rows"].to_list() == [10_000]
    assert set(found.dropped) == {"b", "c"}


def test_what_cannot_be_judged_is_refused():
    known = {"a": planted("a")}
    rows = frame(a=noise)
    with pytest.raises(BadInput, match="`b`"):
        quality(rows, ["b"], known)
    with pytest.raises(BadInput, match="named twice"):
        quality(rows, ["a", "a"], known)
    with pytest.raises(BadInput, match="no row"):
        quality(rows.clear(), ["a"], known)
    with pytest.raises(BadInput, match="2m"):
        quality(rows, ["a"], known, base="2m")
    with pytest.raises(BadInput, match=r"alike.*1\.5"):
        quality(rows, ["a"], known, alike=1.5)


def test_the_same_rows_give_the_same_answer():
    rows = frame(a=noise, b=noise, seed=9)
    known = {name: planted(name) for name in "ab"}
    one, two = (quality(rows, ["a", "b"], known) for _ in range(2))
    assert one.table.equals(two.table)
    assert one.sentences == two.sentences
