"""Inner folds: in time order, purged, sessions whole; what is said out of fold was fitted on what was known."""

import datetime as dt
import math
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parent))
from training_window import FIT_AT, Fits, Ledger, counted, leaning, window

from openbell.core.errors import BadInput, LeakFound, Refused
from openbell.models.linear import logistic, ridge
from openbell.quant.reliability import log_loss, scores
from openbell.research.fitting import fit
from openbell.research.inner import (
    TrainingRows,
    aligned,
    calibrated,
    date_rank_ics,
    fold_prediction,
    fold_values,
    inner_folds,
    out_of_fold,
)

RIDGE, LOGISTIC = ridge[0], logistic[0]


@settings(deadline=None, max_examples=40)
@given(st.integers(12, 50), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_nothing_is_trained_on_that_was_not_known(sessions: int, names: int, horizon: int, n: int, seed: int) -> None:
    """Check 3: purge and embargo, whole sessions, every later session tested once, whatever the order of the rows."""
    keys = window(sessions, names, horizon=horizon).keys
    keys = keys[np.random.default_rng(seed).permutation(keys.height)]
    try:
        folds = inner_folds(keys, n)
    except BadInput:
        assert sessions // (n + 1) <= horizon
        return
    tested = np.concatenate([fold.test for fold in folds])
    assert len(set(tested.tolist())) == len(tested)
    for fold in folds:
        train, test = keys[fold.train], keys[fold.test]
        assert train["label_known_at"].max() <= fold.fit_at <= test["as_of"].min()
        assert train["session"].max() < test["session"].min()
        assert test.group_by("session").len()["len"].to_list() == [names] * test["session"].n_unique()
        known = keys.filter(pl.col("label_known_at") <= fold.fit_at)
        assert known.height == train.height
    assert keys[tested]["session"].n_unique() == sessions - max(sessions // (n + 1), 1)
    assert [len(fold.train) for fold in folds] == sorted(len(fold.train) for fold in folds)


def test_a_window_that_is_too_short_is_refused() -> None:
    with pytest.raises(BadInput, match="no row whose label was known"):
        inner_folds(window(10, horizon=6).keys, 3)
    with pytest.raises(BadInput, match="too few"):
        inner_folds(window(3).keys, 3)


def test_rows_must_belong_together_and_to_the_window() -> None:
    rows = window(10)
    with pytest.raises(BadInput, match="120 rows of features"):
        TrainingRows(rows.frame, rows.target[1:], rows.keys)
    with pytest.raises(BadInput, match="weights"):
        TrainingRows(rows.frame, rows.target, rows.keys, np.ones(3))
    with pytest.raises(BadInput, match="label_known_at"):
        TrainingRows(rows.frame, rows.target, rows.keys.drop("label_known_at"))
    last = rows.keys["label_known_at"].max()
    rows.check_known(last)
    with pytest.raises(LeakFound, match="12 of 120 rows"):
        rows.check_known(last - dt.timedelta(seconds=1))
    unknown = rows.keys.with_columns(label_known_at=pl.lit(None, pl.Datetime("us", "UTC")))
    with pytest.raises(LeakFound, match="120 of 120"):
        TrainingRows(rows.frame, rows.target, unknown).check_known(FIT_AT)


def test_out_of_fold_is_fold_by_fold() -> None:
    rows = window(40)
    folds = inner_folds(rows.keys, 3)
    found = out_of_fold(RIDGE, rows, folds, {"alpha": 10.0}, ledger=counted(RIDGE, {"alpha": 10.0}))
    assert (np.diff(found.rows) > 0).all()
    assert found.spoken.all()
    for fold in folds:
        own = fit(
            RIDGE,
            rows.frame[fold.train],
            rows.target[fold.train],
            {"alpha": 10.0},
            ledger=counted(RIDGE, {"alpha": 10.0}),
        )
        there = np.isin(found.rows, fold.test)
        assert (found.fold[there] == fold.number).all()
        assert (found.predictions[there] == own.predict(rows.frame[np.sort(fold.test)])).all()
    with pytest.raises(Refused, match="not in the ledger"):
        out_of_fold(RIDGE, rows, folds, {}, ledger=Ledger())


def test_weights_and_moments_reach_the_fit() -> None:
    """The fit is told when each label became known, so that a composite's own folds purge by it too."""
    rows = window(20)
    weighted = TrainingRows(rows.frame, rows.target, rows.keys, np.arange(240.0))
    fits, fold = Fits(), inner_folds(rows.keys, 1)[0]
    fold_prediction(leaning(), weighted, fold, {}, ledger=counted(leaning()), fit=fits)
    _, keys, weight = fits.seen[0]
    assert keys.columns == ["session", "symbol", "known_at"]
    assert (weight == fold.train).all()
    assert keys["known_at"].max() <= fold.fit_at


def test_a_sequential_model_is_shown_the_past() -> None:
    shown = []

    class Past:
        sequential, classes = True, ()

        def predict(self, frame, keys):
            shown.append(keys)
            return frame["signal"].to_numpy()

    rows = window(20)
    fold = inner_folds(rows.keys, 3)[1]
    said, _ = fold_prediction(leaning(sequential=True), rows, fold, {}, ledger=Ledger(), fit=lambda *_, **__: Past())
    np.testing.assert_array_equal(said, rows.frame["signal"].to_numpy()[fold.test])
    assert shown[0]["session"].min() == rows.keys["session"].min()
    assert shown[0]["session"].max() == rows.keys["session"][fold.test].max()


def test_rank_ics_count_a_silent_date_as_nothing() -> None:
    """Check 55: date by date; constant or missing scores are an IC of 0, dates without an outcome are left out."""
    rng = np.random.default_rng(0)
    score, outcome = rng.normal(size=(2, 6, 10))
    score[1], score[2], outcome[3], outcome[4, :8] = 1.0, math.nan, 5.0, math.nan
    sessions = pl.Series([dt.date(2020, 1, 1 + i) for i in range(6) for _ in range(10)])
    found = date_rank_ics(score.ravel(), outcome.ravel(), sessions)
    want = [spearmanr(score[0], outcome[0])[0], 0.0, 0.0, spearmanr(score[5], outcome[5])[0]]
    np.testing.assert_allclose(found, want, atol=1e-12)


def test_classification_is_worth_its_log_loss() -> None:
    rows = window(40, classes=3)
    fold = inner_folds(rows.keys, 2)[1]
    said, classes = fold_prediction(LOGISTIC, rows, fold, {}, ledger=counted(LOGISTIC))
    total, count = fold_values(LOGISTIC, rows, fold, said, classes)
    assert classes == (0.0, 1.0, 2.0)
    assert count == len(fold.test)
    assert total / count == pytest.approx(-log_loss(said, rows.target[fold.test].astype(int)))
    silent = np.full_like(said, math.nan)
    with pytest.raises(BadInput, match="abstained on all"):
        fold_values(LOGISTIC, rows, fold, silent, classes)
    silent[0] = said[0]
    assert fold_values(LOGISTIC, rows, fold, silent, classes)[1] == 1


def test_a_class_that_a_fold_never_saw_has_probability_zero() -> None:
    out = aligned(np.array([[0.3, 0.7], [math.nan, 0.5]]), (0.0, 5.0), (0.0, 2.0, 5.0))
    np.testing.assert_array_equal(out, [[0.3, 0.0, 0.7], [math.nan] * 3])
    with pytest.raises(BadInput, match="2 columns"):
        aligned(np.ones((1, 2)), (1.0,), (1.0, 2.0))


def test_calibrated_on_inner_folds_only() -> None:
    """Trees that learnt the noise are far too sure; what their inner folds said mends that on rows never seen."""
    from openbell.models.xgboost import xgboost_classifier

    model, given = xgboost_classifier[0], {"n_estimators": 60, "learning_rate": 0.3}
    rows, later = window(60, 30, classes=2), window(60, 30, classes=2, seed=1)
    ledger = counted(model, given)
    found = out_of_fold(model, rows, inner_folds(rows.keys, 3), given, ledger=ledger)
    raw = fit(model, rows.frame, rows.target, given, ledger=ledger)
    labels = later.target.astype(int)
    before = scores(raw.predict_proba(later.frame), labels)
    for method in ("isotonic", "sigmoid", "temperature"):
        after = scores(calibrated(raw, found, rows.target, method=method).predict_proba(later.frame), labels)
        assert after.calibration_error < before.calibration_error
        assert after.log_loss_skill > before.log_loss_skill
    with pytest.raises(BadInput, match="calibrate a classifier"):
        calibrated(fit(RIDGE, rows.frame, rows.target, {}, ledger=counted(RIDGE)), found, rows.target)
