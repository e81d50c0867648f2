"""Data checks on the 84: values that never change (check 13), and values outside the ranges of Annex A (check 12)."""

from __future__ import annotations

import polars as pl

from openbell.quant.feature_groups import COUNTERS, EIGHTY_FOUR, RANGES, STEPWISE
from openbell.research.sanity import CONSTANT_SESSIONS


def constant_features(frame: pl.DataFrame, *, sessions: int = CONSTANT_SESSIONS) -> pl.DataFrame:
    """Features that hold one value for more than `sessions` sessions on end: placeholders, not measurements.

    Nulls end a run and are none. Flags, regimes and levels may rightly keep a value for months and are not told; a
    counter of sessions is told where it stands anywhere but at 0 or its cap. `frame` is sorted by ``session``.

    Returns
    -------
    polars.DataFrame
        ``feature``, ``value``, ``first``, ``last`` (sessions), ``sessions`` (how many) and ``reason``, longest first;
        at most one row per feature, its longest run.
    """
    empty = {"feature": pl.String, "value": pl.Float64, "first": pl.Date, "last": pl.Date, "sessions": pl.UInt32}
    parts = [
        _longest_run(frame, name).filter(pl.col("sessions") > sessions).select(list(empty))
        for name in frame.columns
        if name in EIGHTY_FOUR and name not in STEPWISE
    ]
    found = pl.concat([pl.DataFrame(schema=empty), *parts]).sort(["sessions", "feature"], descending=[True, False])
    sentence = pl.format(
        "`{}` is {} in {} sessions on end, {} to {}: a placeholder, not a measurement.",
        "feature", "value", "sessions", "first", "last",
    )  # fmt: skip
    return found.with_columns(sentence.alias("reason"))


def _longest_run(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    value = pl.col(name).cast(pl.Float64)
    runs = (
        frame.select("session", value.alias("value"), pl.col(name).rle_id().alias("run"))
        .filter(pl.col("value").is_not_null() & ~pl.col("value").is_in(list(COUNTERS.get(name, ()))))
        .group_by("run")
        .agg(
            pl.col("value").first(),
            pl.col("session").min().alias("first"),
            pl.col("session").max().alias("last"),
            pl.len().alias("sessions"),
        )
    )
    return (
        runs.sort(["sessions", "first"], descending=[True, False]).head(1).with_columns(pl.lit(name).alias("feature"))
    )


def out_of_range(frame: pl.DataFrame) -> pl.DataFrame:
    """Values outside the ranges of Annex A, counted by feature.

    A value outside a `hard` range contradicts the definition of its feature: the data or the code are wrong. The others
    are where a feature usually lies; markets leave them, and such a value is reported, never clipped.

    Returns
    -------
    polars.DataFrame
        ``feature``, ``low``, ``high``, ``hard``, ``count``, ``of`` (values), ``smallest``, ``largest``: one row for
        each feature with a value outside its range, hard ones first.
    """
    schema = {
        "feature": pl.String, "low": pl.Float64, "high": pl.Float64, "hard": pl.Boolean, "count": pl.UInt32,
        "of": pl.UInt32, "smallest": pl.Float64, "largest": pl.Float64,
    }  # fmt: skip
    parts = [pl.DataFrame(schema=schema)]
    for name, bounds in RANGES.items():
        if name in frame.columns:
            value = pl.col(name)
            outside = (value < bounds.low) | (value > bounds.high)
            parts.append(
                frame.select(
                    pl.lit(name).alias("feature"),
                    pl.lit(bounds.low).alias("low"),
                    pl.lit(bounds.high).alias("high"),
                    pl.lit(bounds.hard).alias("hard"),
                    outside.sum().cast(pl.UInt32).alias("count"),
                    value.count().cast(pl.UInt32).alias("of"),
                    value.min().cast(pl.Float64).alias("smallest"),
                    value.max().cast(pl.Float64).alias("largest"),
                )
            )
    found = pl.concat(parts).filter(pl.col("count") > 0)
    return found.sort(["hard", "count", "feature"], descending=[True, True, False])
