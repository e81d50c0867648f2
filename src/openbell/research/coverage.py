"""Whether a model's intervals hold what they promise, session by session, and whether they still do after a drift."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

from openbell.quant.adaptive import adaptive_intervals, coverage_over_time, feedback_lag
from openbell.quant.conformal import intervals

CONFIDENCE = 0.9
#: Decisions over which a share is taken: about half a year of weeks.
WINDOW = 26
SCHEMA = {
    "model": pl.String,
    "session": pl.Date,
    "nominal": pl.Float64,
    "coverage": pl.Float64,
    "adaptive_coverage": pl.Float64,
    "n": pl.Int64,
}


def coverage(
    scores: pl.DataFrame, panel: pl.DataFrame, folds: pl.DataFrame, label: str, models: Sequence[str]
) -> pl.DataFrame:
    """Coverage of conformal intervals of the out-of-sample scores over time.

    Parameters
    ----------
    scores : ``session``, `label` and a column per model, out of sample. panel : ``session``, ``symbol``,
        ``as_of`` and ``<label>_known_at``: when outcomes were known. folds : as in `walkforward.WalkForward`.
    models : to be looked at. Intervals are fitted on the residuals of the first fold, and followed over the others.

    Returns
    -------
    polars.DataFrame
        ``model``, ``session``, ``nominal``, ``coverage`` (fixed), ``adaptive_coverage``, ``n``; empty with one fold.
    """
    if folds.height < 2:
        return pl.DataFrame(schema=SCHEMA)
    begun = folds["test_first"][1]
    decisions = panel.filter(pl.col("session") >= begun).select(
        "session", "as_of", pl.col(f"{label}_known_at").alias("known_at")
    )
    lag = feedback_lag(decisions)
    # What calibrates must have been known when the first interval was given.
    known = panel.filter(pl.col(f"{label}_known_at") <= decisions["as_of"].min()).select("session", "symbol")
    parts = [_followed(scores, known, label, model, begun, lag) for model in models]
    return pl.concat(parts) if parts else pl.DataFrame(schema=SCHEMA)


def _followed(
    scores: pl.DataFrame, known: pl.DataFrame, label: str, model: str, begun: dt.date, lag: int
) -> pl.DataFrame:
    rows = scores.select("session", "symbol", pl.col(model).alias("predicted"), pl.col(label).alias("observed"))
    rows = rows.drop_nulls("predicted")
    first = rows.filter(pl.col("session") < begun).join(known, on=["session", "symbol"], how="semi").drop_nulls()
    later = rows.filter(pl.col("session") >= begun)
    if first.height < 100 or later.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    fitted = intervals(first["predicted"].to_numpy(), first["observed"].to_numpy())
    followed = adaptive_intervals(later, fitted, confidence=CONFIDENCE, lag=lag)
    fixed = coverage_over_time(followed, WINDOW)
    adaptive = coverage_over_time(followed, WINDOW, covered="adaptive_covered").select(
        "session", pl.col("coverage").alias("adaptive_coverage")
    )
    told = fixed.join(adaptive, on="session", maintain_order="left").drop_nulls("coverage")
    return told.select(
        pl.lit(model).alias("model"),
        "session",
        pl.lit(CONFIDENCE).alias("nominal"),
        "coverage",
        "adaptive_coverage",
        pl.col("n").cast(pl.Int64),
    )
