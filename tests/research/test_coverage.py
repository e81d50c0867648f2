"""Intervals of out-of-sample scores over time: fitted on outcomes that were known, followed session by session."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from openbell.quant.adaptive import adaptive_intervals, coverage_over_time
from openbell.quant.conformal import intervals
from openbell.research import coverage as module
from openbell.research.coverage import coverage

LABEL = "forward_rank_5d"
WEEKS, NAMES, FIRST_FOLD = 60, 12, 20
#: Weeks until an outcome is known.
LATE = 3


def day(week: int) -> dt.date:
    return dt.date(2015, 1, 5) + dt.timedelta(weeks=int(week))


def made(drift_from: int = WEEKS, seed: int = 0, late: int = LATE) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Scores, panel and two folds; from `drift_from` on outcomes are three times as far from the scores."""
    rng = np.random.default_rng(seed)
    week = np.repeat(np.arange(WEEKS), NAMES)
    score = rng.normal(size=len(week))
    outcome = score + rng.normal(size=len(week)) * np.where(week >= drift_from, 3.0, 1.0)
    as_of = [dt.datetime.combine(day(at), dt.time(14), tzinfo=dt.UTC) for at in week]
    known = [each + dt.timedelta(weeks=late - 1, days=5) for each in as_of]
    names = {"session": [day(at) for at in week], "symbol": [f"S{at:02d}" for at in range(NAMES)] * WEEKS}
    scores = pl.DataFrame({**names, "ridge": score, LABEL: outcome})
    panel = pl.DataFrame({**names, "as_of": as_of, f"{LABEL}_known_at": known})
    folds = pl.DataFrame({"test_first": [day(0), day(FIRST_FOLD)]})
    return scores, panel, folds


def test_by_hand():
    """The 0.9 quantile of the known residuals of the first fold holds for all later weeks."""
    scores, panel, folds = made()
    table = coverage(scores, panel, folds, LABEL, ["ridge"])
    known = [
        scores[at]
        for at in range(scores.height)
        if panel[f"{LABEL}_known_at"][at] <= panel["as_of"][FIRST_FOLD * NAMES]
    ]
    assert len(known) == (FIRST_FOLD - LATE + 1) * NAMES
    residuals = sorted(abs(row["ridge"][0] - row[LABEL][0]) for row in known)
    width = residuals[math.ceil(0.9 * (len(residuals) + 1)) - 1]
    inside = (scores["ridge"] - scores[LABEL]).abs().to_numpy().reshape(WEEKS, NAMES) <= width
    weeks = range(FIRST_FOLD + module.WINDOW - 1, WEEKS)
    assert table["session"].to_list() == [day(at) for at in weeks]
    assert table["coverage"].to_list() == pytest.approx([inside[at - 25 : at + 1].mean() for at in weeks])
    assert table["n"].to_list() == [26 * NAMES] * len(weeks)
    assert set(table["nominal"]) == {0.9}
    assert table.schema == pl.Schema(module.SCHEMA)


def test_what_was_not_known_calibrates_nothing():
    """Outcomes of the first fold that became known after its end are turned into nonsense: the same intervals."""
    scores, panel, folds = made()
    begun = panel["as_of"][FIRST_FOLD * NAMES]
    unknown = pl.Series(panel[f"{LABEL}_known_at"] > begun) & (scores["session"] < day(FIRST_FOLD))
    assert unknown.sum() == (LATE - 1) * NAMES
    burnt = scores.with_columns(pl.when(unknown).then(1e6).otherwise(LABEL).alias(LABEL))
    one, other = (coverage(each, panel, folds, LABEL, ["ridge"]) for each in (scores, burnt))
    assert_frame_equal(one, other, check_exact=True)
    known = scores.with_columns(
        pl.when(~unknown & (scores["session"] < day(FIRST_FOLD))).then(1e6).otherwise(LABEL).alias(LABEL)
    )
    assert set(coverage(known, panel, folds, LABEL, ["ridge"])["coverage"]) == {1.0}


def test_the_level_moves_only_with_outcomes_that_were_known():
    """An outcome is known three weeks later: the lag of the adaptation is 3, not 1."""
    scores, panel, folds = made(drift_from=30)
    rows = scores.select("session", pl.col("ridge").alias("predicted"), pl.col(LABEL).alias("observed"))
    first = rows.head((FIRST_FOLD - LATE + 1) * NAMES)
    fitted = intervals(first["predicted"].to_numpy(), first["observed"].to_numpy())
    told = coverage(scores, panel, folds, LABEL, ["ridge"])["adaptive_coverage"].to_list()
    by_lag = {
        lag: coverage_over_time(
            adaptive_intervals(rows.filter(pl.col("session") >= day(FIRST_FOLD)), fitted, confidence=0.9, lag=lag),
            module.WINDOW,
            covered="adaptive_covered",
        )["coverage"].drop_nulls().to_list()
        for lag in (1, LATE)
    }  # fmt: skip
    assert told == by_lag[LATE]
    assert by_lag[1] != by_lag[LATE]


def test_after_a_drift_the_adaptive_one_comes_back():
    """Issue 3, point 6, over a tournament's scores: the fixed interval stays wrong."""
    table = coverage(*made(drift_from=24), LABEL, ["ridge"])
    last = table.row(-1, named=True)
    assert last["coverage"] < 0.6
    assert last["adaptive_coverage"] > last["coverage"] + 0.1


def test_every_model_is_followed_by_itself():
    scores, panel, folds = made()
    both = scores.with_columns(
        pl.when(pl.col("session") < day(FIRST_FOLD)).then(pl.col("ridge")).alias("shy"),
        pl.when(pl.col("session") > day(FIRST_FOLD)).then(pl.col("ridge")).alias("late"),
        pl.when(pl.col("session") != day(40)).then(pl.col("ridge")).alias("gap"),
    )
    table = coverage(both, panel, folds, LABEL, ["gap", "ridge", "shy", "late"])
    assert table["model"].unique(maintain_order=True).to_list() == ["gap", "ridge"]
    assert table.filter(pl.col("model") == "ridge").equals(coverage(scores, panel, folds, LABEL, ["ridge"]))
    assert day(40) not in table.filter(pl.col("model") == "gap")["session"].to_list()


def test_too_little_to_follow_is_an_empty_table():
    scores, panel, folds = made()
    empty = pl.DataFrame(schema=module.SCHEMA)
    assert coverage(scores, panel, folds.head(1), LABEL, ["ridge"]).equals(empty)
    assert coverage(scores, panel, folds, LABEL, []).equals(empty)
    few = pl.col("symbol").is_in(["S00", "S01", "S02"])
    assert coverage(scores.filter(few), panel.filter(few), folds, LABEL, ["ridge"]).equals(empty)


def test_an_outcome_that_is_not_known_yet_counts_nowhere():
    """The last weeks have none: they are no misses."""
    scores, panel, folds = made()
    open_ = pl.col("session") >= day(WEEKS - 2)
    still = scores.with_columns(pl.when(open_).then(None).otherwise(LABEL).alias(LABEL))
    unknown = panel.with_columns(pl.when(open_).then(None).otherwise(f"{LABEL}_known_at").alias(f"{LABEL}_known_at"))
    table = coverage(still, unknown, folds, LABEL, ["ridge"])
    assert table["n"].to_list()[-3:] == [26 * NAMES, 25 * NAMES, 24 * NAMES]
    assert table["coverage"][-3] == coverage(scores, panel, folds, LABEL, ["ridge"])["coverage"][-3]
