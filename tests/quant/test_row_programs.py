"""Programs of one row against the data frame library that the same expressions are written for."""

import datetime as dt
import itertools

import numpy as np
import polars as pl
import pytest

from openbell.quant.row_programs import program

A, B = pl.col("a"), pl.col("b")
EXPRESSIONS = {
    "sum": A + B * 2.0 - 1, "quotient": A / B, "power of null": pl.when(B != 0).then(A / B),
    "kleene and": ((A > 0) & (B > 0)).cast(pl.Float64), "kleene or": ((A > 0) | (B > 0)).cast(pl.Float64),
    "not": (~(A > B)).cast(pl.Float64), "same side": ((A > 0) == (B > 0)).cast(pl.Float64),
    "apart": ((A >= 0) != (B <= 0)).cast(pl.Float64),
    "largest": pl.max_horizontal(A, B), "smallest": pl.min_horizontal(A, B), "mean": pl.mean_horizontal(A, B),
    "count": pl.sum_horizontal((A > 0).cast(pl.Float64), (B > 0).cast(pl.Float64), ignore_nulls=False),
    "choice": pl.when(A > 0).then(B).when(A < 0).then(-B).otherwise(7.0), "null choice": pl.when(A.is_null()).then(1.0),
    "there": A.is_not_null().cast(pl.Float64), "distance": (A - B).abs(), "logarithm": A.log() - (1.0 - A).log(),
}  # fmt: skip
NUMBERS = (None, 0.0, -0.0, 1.0, -1.0, 0.25, -3.5, 1e6, 1e-300)


def test_every_kind_of_node_as_the_library_has_it():
    """Kills: null taken for false, a division by 0 that raises, 0 and -0 exchanged, horizontal functions with nulls."""
    pairs = list(itertools.product(NUMBERS, NUMBERS))
    frame = pl.DataFrame(pairs, schema={"a": pl.Float64, "b": pl.Float64}, orient="row")
    said = frame.select(each.cast(pl.Float64).alias(name) for name, each in EXPRESSIONS.items())
    found = program(EXPRESSIONS)
    assert tuple(found.results) == tuple(EXPRESSIONS)
    for pair, wanted in zip(pairs, said.rows(), strict=True):
        got = found.run([dict(zip("ab", pair, strict=True))[name] for name in found.columns])
        for name, x, y in zip(EXPRESSIONS, got, wanted, strict=True):
            known = y is not None and np.isfinite(y)
            assert x == (pytest.approx(y, rel=1e-12, abs=1e-12) if known else None), (name, pair)


def test_moments_and_days():
    late, early = dt.datetime(2025, 3, 10, 20, tzinfo=dt.UTC), dt.datetime(2025, 3, 10, 13, 30, tzinfo=dt.UTC)
    found = program({"minutes": (A - B).dt.total_microseconds() / 60e6, "open": (A < B).cast(pl.Float64),
                     "day": pl.col("d").dt.weekday().cast(pl.Float64)})  # fmt: skip
    row = {"a": late, "b": early, "d": dt.date(2025, 3, 9)}
    assert found.run([row[name] for name in found.columns]) == [390.0, 0.0, 7.0]
    assert found.run([None for _ in found.columns]) == [None, None, None]


def test_what_is_shared_is_done_once():
    found = program({"x": (A + B) * 2.0, "y": (A + B) * 3.0, "z": A + B})
    assert len(found.steps) == 3
    assert found.run([1.0, 2.0]) == [6.0, 9.0, 3.0]


@pytest.mark.parametrize("expression", [A.shift(1), A.rolling_mean(3), A.round(2), A.cast(pl.Int64), A + pl.lit("x")])
def test_a_node_that_is_not_known_gives_no_program(expression):
    assert set(program({"odd": expression, "plain": A + 1.0}).results) == {"plain"}
