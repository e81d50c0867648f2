"""Reach: what an expression touches, read from its tree and checked against what it really touches."""

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.core.declare import feature, label
from openbell.core.errors import DeclarationError, LeakFound
from openbell.quant.expressions import (
    SHARED,
    close,
    ema,
    high,
    log_return,
    low,
    memory,
    shared,
    sma,
    true_range,
    wilder,
)
from openbell.quant.indicators import adx_14
from openbell.quant.reach import feature_reach, label_reach, lookback, reach, tree

FINITE = [
    (close, 1),
    (pl.lit(1.0) * close, 1),
    (close.shift(21), 22),
    (close.shift(21) / close.shift(252) - 1, 253),
    (close.diff(3), 4),
    (close.rolling_mean(20), 20),
    (close.rolling_mean(20, min_samples=1), 20),
    (close.rolling_max(5).rolling_mean(10), 14),
    (sma(close.shift(2), 10), 12),
    (pl.rolling_corr(close, close.shift(1), window_size=20), 21),
    (pl.max_horizontal(close.shift(3), high.rolling_min(10)), 10),
    (pl.when(close.shift(7) > 0).then(close).otherwise(low.shift(2)), 8),
    (close.forward_fill(limit=3), 4),
    (close.fill_null(0.0).rolling_sum(4, weights=[1.0, 2.0, 3.0, 4.0]), 4),
    (close.cast(pl.Float32).alias("x").log().clip(0, 1), 1),
    (log_return, 2),
    (true_range, 2),
    (close.shift(1, fill_value=0.0), 2),
    (close.is_between(1, 2) & close.is_not_null(), 1),
]


@pytest.mark.parametrize(("expression", "rows"), FINITE, ids=[str(number) for number in range(len(FINITE))])
def test_finite_lookbacks_by_hand(expression, rows):
    found = reach(expression)
    assert (found.back, found.forward, found.recursive) == (rows, 0, False)


def test_recursions_end_where_they_have_forgotten():
    """The weight left of what lies before the look-back is at most 1e-9, and one row earlier it is more."""
    for alpha in (1 / 14, 2 / 27, 0.5):
        rows = memory(alpha)
        assert (1 - alpha) ** rows <= 1e-9 < (1 - alpha) ** (rows - 1)
    found = reach(close.ewm_mean(alpha=0.5, adjust=False))
    assert found.recursive
    assert found.back == 1 + math.ceil(math.log(1e9) / math.log(2))


def test_stages_of_smoothing_add_up():
    once, twice = reach(ema(close, 12)).back, reach(ema(ema(close, 12), 9)).back
    assert twice == once + memory(0.2)
    assert reach(adx_14).back == 2 + 2 * memory(1 / 14)
    assert reach(wilder(close.shift(5), 14)).back == memory(1 / 14) + 6


def test_labels_reach_forward():
    expression = close.shift(-6) / close.shift(-1) - 1
    found = reach(expression)
    assert (found.back, found.forward, found.negative_shifts) == (1, 6, (-6, -1))
    (declared,) = label(unit="fraction", name="r_{horizon}", over={"horizon": (5,)})(_doc(expression))
    assert label_reach(declared).forward == 6


def _doc(expression):
    def made(**_):
        return expression

    made.__doc__ = "Test."
    return made


def _feature(expression, lookback=None):
    return feature(unit="x", lookback=lookback)(_doc(expression))[0]


LEAKS = [
    (close.shift(-1), "negative shift"),
    (close.shift(-1).shift(1), "negative shift"),
    (close.diff(-2), "negative shift"),
    (close.rolling_mean(5, center=True), "centred window"),
    (close.reverse(), "Reverse"),
    (close.backward_fill(), "backward_fill"),
    (close.fill_null(strategy="mean"), "whole column"),
    ((close - close.mean()) / close.std(), "whole column"),
    (close / close.max(), "whole column"),
    (close.first(), "whole column"),
    (close.rank(), "Rank"),
    (close.interpolate(), "Interpolate"),
    (close.map_batches(lambda s: s, return_dtype=pl.Float64), "map_batches"),
    (close.rolling_map(lambda s: s.sum(), 3), "map_batches"),
    (close.shift(pl.col("volume").cast(pl.Int64)), "not a whole number"),
    (close.shift(pl.len()), "not a whole number"),
    (close.over("symbol"), "Over"),
    (close.sort(), "Sort"),
    (pl.int_range(pl.len()) * close, "counts all rows"),
]


@pytest.mark.parametrize(("expression", "says"), LEAKS, ids=[says for _, says in LEAKS])
def test_leaks_are_refused_by_name(expression, says):
    with pytest.raises(LeakFound, match=says) as refused:
        feature_reach(_feature(expression))
    assert "`made`" in str(refused.value)


UNREADABLE = [
    (close.cum_sum(), "CumSum"),
    (close.cum_max(), "CumMax"),
    (close.pct_change(), "PctChange"),
    (close.forward_fill(), "forward_fill"),
    (close.ewm_mean(alpha=0.1, ignore_nulls=True), "ignore_nulls"),
    (close.rle_id(), "RLEID"),
    (close.gather(0), "Gather"),
    (close.slice(0, 3), "Slice"),
    (close.filter(close > 1), "Filter"),
    (close.diff(null_behavior="drop"), "diff"),
    (close.rolling_mean_by("session", "5d"), "RollingExprBy"),
    (close.is_duplicated(), "IsDuplicated"),
    (close.hash(), "Hash"),
]


@pytest.mark.parametrize(("expression", "says"), UNREADABLE, ids=[says for _, says in UNREADABLE])
def test_what_has_no_known_lookback_is_refused_by_name(expression, says):
    """The list is an allow-list: a kind of node nobody has thought about is refused, not guessed."""
    with pytest.raises(DeclarationError, match=says):
        feature_reach(_feature(expression))


def test_a_leak_inside_a_shared_column_is_found():
    """A shared column hides nothing: the walker goes through its definition."""
    hidden = shared("test_reach_hidden_leak", close.shift(-3))
    try:
        assert reach(hidden).forward == 3
        with pytest.raises(LeakFound, match="-3"):
            feature_reach(_feature(sma(hidden, 5)))
        assert "_test_reach_hidden_leak" in tree(sma(hidden, 5))
    finally:
        del SHARED["_test_reach_hidden_leak"]


def test_a_shared_name_stands_for_one_thing():
    shared("test_reach_twice", close + 1)
    try:
        shared("test_reach_twice", close + 1)
        with pytest.raises(DeclarationError, match="defined twice"):
            shared("test_reach_twice", close + 2)
    finally:
        del SHARED["_test_reach_twice"]


def test_a_declared_lookback_stands():
    assert lookback(_feature(sma(close, 20))) == 20
    assert lookback(_feature(sma(close, 20), lookback=25)) == 25


STEPS = st.one_of(
    st.tuples(st.just("shift"), st.integers(-5, 9)),
    st.tuples(st.just("rolling"), st.integers(1, 9)),
    st.tuples(st.just("diff"), st.integers(1, 5)),
)


@given(st.lists(STEPS, min_size=1, max_size=4))
def test_reach_is_what_the_values_really_depend_on(steps):
    """Property: disturb one row; exactly the rows within the reach of it may change, and its ends do.

    Kills a reach that is one row short on either side.
    """
    expression = close
    for kind, rows in steps:
        if kind == "shift":
            expression = expression.shift(rows)
        elif kind == "rolling":
            expression = expression.rolling_sum(rows)
        else:
            expression = expression + 3.0 * expression.shift(rows)
    n, at = 160, 80
    base = pl.DataFrame({"close": [0.0] * n})
    spike = base.with_columns(pl.when(pl.int_range(n) == at).then(1.0).otherwise(0.0).alias("close"))
    changed = (spike.select(expression).to_series() != base.select(expression).to_series()).fill_null(False)
    touched = [row - at for row in changed.arg_true().to_list()]
    found = reach(expression)
    assert max(touched) <= found.back - 1
    assert min(touched) >= -found.forward
    assert max(*touched, 0) == found.back - 1
    assert min(*touched, 0) == -found.forward
