"""Bar programs against Polars' own evaluation of the same expressions: values, nulls, every feature of bars."""

import datetime as dt
import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from tests.quant.bar_markets import bars, values

from openbell.core.declare import discover
from openbell.quant import expressions as words
from openbell.quant.bar_programs import compile_program
from openbell.research.compute import evaluated

#: Largest difference, in standard deviations of the feature.
CLOSE_ENOUGH = 1e-9
#: Where a price stands still these are the root, or a quotient, of what Polars' running sums leave instead of 0: 1e-17
#: of a square is 3e-9 of its root. The program says 0, which is right.
ROOT_OF_NOISE = frozenset({"realised_volatility_10", "downside_volatility_20", "trend_persistence_50"})
A, B = pl.col("close"), pl.col("open")


def _features():
    return {each.name: each.expression for each in discover().features.values() if each.reads == "bars"}


def _by_polars(frame, expressions):
    said = evaluated(frame, [each.cast(pl.Float64).alias(name) for name, each in expressions.items()], ["number"])
    said = said.drop("number").fill_null(np.nan).to_numpy()
    return np.where(np.isfinite(said), said, np.nan)


def _differences(frame, expressions):
    """Rows whose nulls differ, and the largest difference in standard deviations, by name."""
    program = compile_program(expressions)
    wanted = _by_polars(frame, expressions)
    got = program.history(np.array([0, frame.height]), values(frame, program.columns))
    found = {}
    for name, x, y in zip(program.names, wanted.T, got.T, strict=True):
        there = ~np.isnan(x) & ~np.isnan(y)
        scale = x[there].std() if there.any() else 0.0
        apart = np.abs(x - y)[there].max(initial=0.0)
        found[name] = int((np.isnan(x) != np.isnan(y)).sum()), apart / (scale or 1.0), int(there.sum())
    return found


@pytest.mark.parametrize(("seed", "missing"), [(1, 0.0), (2, 0.01)])
def test_every_feature_of_bars_is_what_polars_says(seed, missing):
    """Checks 1 and 4, with gaps, bars without volume, splits. Kills: any wrong step, look-back or null."""
    found = _differences(bars(seed, 2600, missing=missing), _features())
    assert not {name: each for name, each in found.items() if each[0] or each[1] > CLOSE_ENOUGH}
    full = {name for name, (_, _, count) in found.items() if count}
    assert len(full) > 0.97 * len(found), set(found) - full


def test_where_a_price_stands_still():
    """60 and 300 equal bars. Kills: a spread of 1e-17 where there is none, and an average beside its own values."""
    found = _differences(bars(3, 2600, missing=0.002, still=True), _features())
    bad = {name: each for name, each in found.items() if each[0] or each[1] > CLOSE_ENOUGH}
    assert set(bad) <= ROOT_OF_NOISE
    assert all(not nulls and apart < 1e-7 for nulls, apart, _ in bad.values())


def test_a_constant_has_no_spread_at_all():
    """0.1 has no exact sum: Polars' own deviation of it may be 1e-17, and its mean 0.1 and a bit."""
    said = {"mean": A.rolling_mean(7) - A, "std": A.rolling_std(7), "skew": A.rolling_skew(7),
            "corr": pl.rolling_corr(A, B, window_size=7), "z": words.zscore(A, 7)}  # fmt: skip
    program = compile_program(said)
    rows = np.column_stack([np.full(40, 0.1), np.arange(40.0)])
    rows[:11, 0] = np.linspace(1e6, 3e6, 11)
    last = program.history(np.array([0, 40]), rows)[-1]
    np.testing.assert_array_equal(last, [0.0, 0.0, np.nan, np.nan, np.nan])


NUMBERS = (None, 0.0, -0.0, 1.0, -1.0, 0.25, -3.5, 2.0, 1e6, 1e-300)
ROWS = {
    "sum": A + B * 2.0 - 1, "quotient": A / B, "whole": A // B, "rest": pl.when(B != 0).then(A % B),
    "and": ((A > 0) & (B > 0)).cast(pl.Float64), "or": ((A > 0) | (B > 0)).cast(pl.Float64),
    "xor": ((A > 0) ^ (B > 0)).cast(pl.Float64), "not": (~(A > B)).cast(pl.Float64),
    "less": (A < B).cast(pl.Float64), "at most": (A <= B).cast(pl.Float64), "at least": (A >= B).cast(pl.Float64),
    "same": (A == B).cast(pl.Float64), "other": (A != B).cast(pl.Float64),
    "all": pl.all_horizontal(A > 0, B > 0, A > B).cast(pl.Float64),
    "any": pl.any_horizontal(A > 0, B > 0, A > B).cast(pl.Float64),
    "largest": pl.max_horizontal(A, B), "smallest": pl.min_horizontal(A, B, pl.lit(0.5)),
    "mean": pl.mean_horizontal(A, B), "total": pl.sum_horizontal(A, B), "count": words.banded(A, [-1.0, 0.0, 1.0]),
    "choice": pl.when(A > 0).then(B).when(A < 0).then(-B).otherwise(7.0), "null choice": pl.when(A.is_null()).then(1.0),
    "unknown choice": pl.when(A > 0).then(1.0).otherwise(2.0), "first there": pl.coalesce(A, B, 9.0),
    "there": A.is_not_null().cast(pl.Float64), "filled": A.fill_null(B), "zero": A.fill_null(strategy="zero"),
    "one": A.fill_null(strategy="one"), "finite": (A / B).is_finite().fill_null(False).cast(pl.Float64),
    "infinite": pl.when(A != 0).then(A / B).is_infinite().cast(pl.Float64),
    "distance": (A - B).abs(), "sign": A.sign(), "clipped": A.clip(-1.0, 1.0), "above": A.clip(lower_bound=B),
    "below": A.clip(upper_bound=B), "between": A.is_between(-1, 1).cast(pl.Float64),
    "inside": A.is_between(-1, 1, closed="none").cast(pl.Float64),
    "left": A.is_between(-1, 1, closed="left").cast(pl.Float64),
    "right": A.is_between(-1, 1, closed="right").cast(pl.Float64),
    "logarithm": A.log(), "of two": A.log(2.0), "log1p": A.log1p(), "exponential": A.exp(), "root": A.sqrt(),
    "cube root": A.cbrt(), "square": A**2, "cube": A.pow(3), "power": A.abs() ** 0.3, "of nothing": A**0,
    "floor": A.floor(), "ceil": A.ceil(), "truth": A.cast(pl.Boolean).cast(pl.Float64), "sine": A.sin(),
    "cosine": A.cos(), "tanh": A.tanh(), "arctan": A.arctan(), "nothing": pl.lit(None) * A,
    "truths": (pl.lit(True) & (A > 0)).cast(pl.Float64),
}  # fmt: skip


def test_every_step_of_one_row():
    """Kills: null taken for false, horizontal functions with nulls, a bound that is null, 0 and -0 exchanged."""
    pairs = list(itertools.product(NUMBERS, NUMBERS))
    frame = pl.DataFrame(pairs, schema={"close": pl.Float64, "open": pl.Float64}, orient="row")
    frame = frame.with_columns(symbol=pl.lit("A"), number=pl.int_range(len(pairs)))
    wanted, program = _by_polars(frame, ROWS), compile_program(ROWS)
    got = program.history(np.array([0, len(pairs)]), values(frame, program.columns))
    for name, x, y in zip(ROWS, wanted.T, got.T, strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-14, atol=1e-14, err_msg=name)


C = A.fill_null(3.0)
WINDOWS = {
    "shift": A.shift(3), "change": A.diff(2), "carried": A.fill_null(strategy="forward", limit=2),
    "sum": A.rolling_sum(4, min_samples=2), "mean": A.rolling_mean(5, min_samples=2), "one": A.rolling_sum(1),
    "largest": A.rolling_max(6, min_samples=3), "smallest": A.rolling_min(6, min_samples=1), "full": A.rolling_max(3),
    "variance": A.rolling_var(5, ddof=0, min_samples=2), "deviation": A.rolling_std(5, ddof=2, min_samples=1),
    "skewness": A.rolling_skew(8, min_samples=5), "kurtosis": A.rolling_kurtosis(9, min_samples=5),
    "covariance": pl.rolling_cov(A, B, window_size=6, ddof=1, min_samples=3),
    "correlation": words.correlation(A, B, 6), "of few": pl.rolling_corr(A, B, window_size=9, min_samples=6),
    "count": (A > B).cast(pl.Float64).rolling_sum(5, min_samples=2), "slope": words.trend_slope(A, 5),
    "weighted": C.rolling_sum(3, weights=[1.0, 2.0, -4.0]), "average": C.rolling_mean(3, weights=[1.0, 2.0, 4.0]),
    "weighted low": C.rolling_min(3, weights=[1.0, -2.0, 4.0]), "age": words.rows_since(A > B, 6),
    "mean of a mean": words.sma(words.sma(A, 2), 3), "smooth": words.ema(words.change, 4),
    **{f"quantile {how}": A.rolling_quantile(0.3, how, 6, min_samples=2)
       for how in ("nearest", "linear", "lower", "higher", "midpoint")},
}  # fmt: skip


def test_every_step_that_looks_back():
    """Kills: a window one row off, a null that is counted, a full window that is not asked for, another quantile."""
    rng = np.random.default_rng(8)
    cells = {name: np.where(rng.random(400) < 0.1, np.nan, rng.integers(1, 40, 400) / 4) for name in ("close", "open")}
    frame = pl.DataFrame(cells).fill_nan(None).with_columns(symbol=pl.lit("A"), number=pl.int_range(400))
    wanted, program = _by_polars(frame, WINDOWS), compile_program(WINDOWS)
    got = program.history(np.array([0, 400]), values(frame, program.columns))
    for name, x, y in zip(WINDOWS, wanted.T, got.T, strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("adjust", [False, True])
@pytest.mark.parametrize("alpha", [1 / 14, 2 / 51, 0.5])
def test_an_exponential_mean_is_polars_to_the_last_bit(alpha, adjust):
    """Kills: a gap that does not let the past decay, a count that counts gaps, another order of the arithmetic."""
    expression = {"mean": A.ewm_mean(alpha=alpha, adjust=adjust, min_samples=4, ignore_nulls=False)}
    frame = bars(6, 800, missing=0.2)
    program = compile_program(expression)
    got = program.history(np.array([0, 800]), values(frame, program.columns))
    np.testing.assert_array_equal(got, _by_polars(frame, expression))


# Values on a grid of 1/4 whose sums and products are exact, so that a comparison is never decided by rounding.
_cells = st.one_of(st.none(), st.integers(-24, 24).map(lambda x: x / 4))
_tables = st.lists(st.tuples(_cells, _cells), min_size=1, max_size=40)
_windows = st.integers(1, 7).flatmap(lambda window: st.tuples(st.just(window), st.integers(1, window)))
_leaf = st.one_of(st.sampled_from([A, B]), st.integers(-3, 3).map(lambda x: pl.lit(float(x))))


def _exact(inner):
    """Expressions that stay exact, of `inner` ones."""
    two, three = st.tuples(inner, inner), st.tuples(inner, inner, inner)
    rolled = st.tuples(inner.map(lambda x: x + 0.0 * A.fill_null(0.0)), _windows)
    return st.one_of(
        two.map(lambda x: x[0] + x[1]), two.map(lambda x: x[0] - x[1]), two.map(lambda x: x[0] * x[1]),
        three.map(lambda x: pl.when(x[0] > x[1]).then(x[2])),
        three.map(lambda x: pl.when((x[0] <= x[1]) | x[2].is_null()).then(x[0]).otherwise(x[2])),
        two.map(lambda x: pl.max_horizontal(*x)), two.map(lambda x: pl.sum_horizontal(*x)),
        two.map(lambda x: pl.coalesce(*x)), three.map(lambda x: x[0].clip(x[1].abs() * -1.0, x[2].abs())),
        inner.map(lambda x: x.sign()), inner.map(lambda x: x.abs()), inner.map(lambda x: x.is_null().cast(pl.Float64)),
        st.tuples(rolled, st.integers(0, 5)).map(lambda x: x[0][0].shift(x[1])),
        st.tuples(rolled, st.integers(1, 5)).map(lambda x: x[0][0].diff(x[1])),
        st.tuples(rolled, st.integers(1, 3)).map(lambda x: x[0][0].fill_null(strategy="forward", limit=x[1])),
        rolled.map(lambda x: x[0].rolling_sum(x[1][0], min_samples=x[1][1])),
        rolled.map(lambda x: x[0].rolling_max(x[1][0], min_samples=x[1][1])),
        rolled.map(lambda x: x[0].rolling_min(x[1][0], min_samples=x[1][1])),
        rolled.map(lambda x: (x[0] > 0).cast(pl.Float64).rolling_sum(x[1][0], min_samples=x[1][1])),
    )  # fmt: skip


def _outer(inner):
    """What is not exact, once at the end."""
    rolled = st.tuples(inner.map(lambda x: x + 0.0 * A.fill_null(0.0)), _windows)
    methods = st.sampled_from(["nearest", "linear", "lower", "higher", "midpoint"])
    return st.one_of(
        inner, st.tuples(inner, inner).map(lambda x: words.ratio(*x)), inner.map(words.log_price),
        rolled.map(lambda x: x[0].rolling_mean(x[1][0], min_samples=x[1][1])),
        rolled.map(lambda x: x[0].rolling_var(x[1][0], min_samples=x[1][1], ddof=0)),
        rolled.map(lambda x: x[0].rolling_std(x[1][0], min_samples=x[1][1])),
        st.tuples(rolled, st.floats(0, 1), methods).map(
            lambda x: x[0][0].rolling_quantile(x[1], x[2], x[0][1][0], min_samples=x[0][1][1])
        ),
        rolled.map(lambda x: x[0].ewm_mean(alpha=0.3, adjust=False, min_samples=x[1][1], ignore_nulls=False)),
        rolled.map(lambda x: words.trend_slope(x[0], x[1][0] + 1)),
        rolled.map(lambda x: words.rows_since(x[0] > 0, x[1][0])),
        rolled.map(lambda x: words.correlation(x[0], A, x[1][0] + 2)),
        rolled.map(lambda x: pl.rolling_cov(x[0], B, window_size=x[1][0] + 1, ddof=1)),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(_outer(st.recursive(_leaf, _exact, max_leaves=6)), _tables)
def test_any_small_expression_is_what_polars_says(expression, table):
    """Check 4, over expressions nobody wrote."""
    note(str(expression))
    frame = pl.DataFrame(table, schema={"close": pl.Float64, "open": pl.Float64}, orient="row")
    frame = frame.with_columns(symbol=pl.lit("A"), number=pl.int_range(len(table)))
    # A column of the bars, for a program of literals alone is no feature.
    said = {"any": expression + 0.0 * A.fill_null(0.0)}
    program = compile_program(said)
    got = program.history(np.array([0, len(table)]), values(frame, program.columns))
    np.testing.assert_allclose(got, _by_polars(frame, said), rtol=1e-6, atol=1e-6)


def _with_session(frame):
    """Minutes of a file as the columns of `BAR_COLUMNS`; there are no quotes in it."""
    day, value = pl.col("ts").dt.date(), pl.col("volume") * pl.col("vwap")
    return frame.sort("ts").with_columns(
        *(pl.col(name).alias(f"raw_{name}") for name in ("open", "high", "low", "close", "volume")),
        pl.col("open").alias("fill_price"),
        pl.lit(None, dtype=pl.Float64).alias("bid"),
        pl.lit(None, dtype=pl.Float64).alias("ask"),
        pl.col("open").first().over(day).alias("session_open"),
        pl.col("high").cum_max().over(day).alias("session_high"),
        pl.col("low").cum_min().over(day).alias("session_low"),
        pl.col("volume").cum_sum().over(day).alias("session_volume"),
        value.cum_sum().over(day).alias("session_value_usd"),
        ((pl.col("ts") - pl.col("ts").first().over(day)).dt.total_minutes() + 1.0).alias("session_minutes"),
        pl.lit("SPY").alias("symbol"),
        pl.int_range(pl.len()).alias("number"),
    )


def test_a_division_by_a_number_is_polars_to_the_last_bit():
    """Prices in cents tie or not by the last bit. Kills: a quotient where Polars takes the product."""
    cents = np.arange(-3000, 3000) * 0.01
    divided = {"third": A / 3.0, "whole": A // 0.07, "rest": A % 0.1, "of": 3.0 / A, "none": A / 0.0}
    frame = pl.DataFrame({"close": cents}).with_columns(symbol=pl.lit("A"), number=pl.int_range(len(cents)))
    got = compile_program(divided).history(np.array([0, len(cents)]), cents[:, None])
    np.testing.assert_array_equal(got, _by_polars(frame, divided))


#: A correlation of price levels, which Polars takes as a difference of means of products: 1e-6 of it is cancelled away
#: where minutes hardly move. The program takes deviations; `test_a_correlation_of_levels` holds it to NumPy.
CANCELLED = "trend_persistence_50"


@pytest.mark.slow
@pytest.mark.parametrize("exact", [True, False])
def test_every_feature_on_real_minutes(real_data, exact):
    """Checks 1 and 4 on 20,000 minutes of SPY: on a grid of 1/1024 nothing differs.

    In cents an average ties with another now and then, and rounding decides which is above: a few rows of 20,000.
    """
    frame = pl.read_parquet(real_data / "minute" / "SPY_1min_2024-02-20_2024-05-17.parquet").sort("ts")
    frame = frame.filter(pl.col("ts").dt.time().is_between(dt.time(9, 30), dt.time(16), closed="left")).head(20_000)
    if exact:
        frame = frame.with_columns((pl.col("open", "high", "low", "close") * 1024).round() / 1024)
    frame, features = _with_session(frame), _features()
    program, wanted = compile_program(features), _by_polars(frame, features)
    got = program.history(np.array([0, frame.height]), values(frame, program.columns))
    apart = {}
    for name, x, y in zip(program.names, wanted.T, got.T, strict=True):
        scale = np.nanstd(x) if np.isfinite(x).any() else 1.0
        allowed = 1e-5 if name == CANCELLED else CLOSE_ENOUGH
        apart[name] = int((np.isnan(x) != np.isnan(y)).sum() + (np.abs(x - y) > allowed * (scale or 1.0)).sum())
    bad = {name: rows for name, rows in apart.items() if rows > (0 if exact else 5)}
    assert not bad


def test_a_correlation_of_levels():
    """Log prices near 6.2 that move by 1e-4. Kills: a difference of means of products, which keeps 5 digits."""
    levels = 6.2 + 1e-4 * np.cumsum(np.random.default_rng(9).normal(size=300))
    program = compile_program({"correlation": pl.rolling_corr(A, A.shift(5), window_size=50)})
    got = program.history(np.array([0, 300]), levels[:, None])[:, 0]
    wanted = [np.corrcoef(levels[k - 49 : k + 1], levels[k - 54 : k - 4])[0, 1] for k in range(54, 300)]
    np.testing.assert_allclose(got[54:], wanted, rtol=1e-11)
