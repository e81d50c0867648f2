"""Signals walked forward: the future is absent, sessions are whole, what was stopped goes on, skill is found."""

import datetime as dt
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from signal_worlds import FEATURES, FIRST, MODELS, SMALL, Everything, decisions

from openbell.core.errors import BadInput, Refused
from openbell.core.signal import FORECASTS
from openbell.research import signal_walk
from openbell.research.signal_models import candidate
from openbell.research.signal_scores import scored
from openbell.research.signal_walk import Fitting, walk

NAMES = ("xgboost_classifier", "base_rate")
HELD = {
    "ledger": Everything(), "min_train_sessions": 50, "refit_sessions": 20, "fitting": Fitting(coverage=0.8),
}  # fmt: skip


def walked(rows, names=NAMES, **more):
    return walk(rows, FEATURES, [candidate(name, MODELS, parameters=SMALL) for name in names], **{**HELD, **more})


@pytest.fixture(scope="module")
def rows():
    return decisions(sessions=110, symbols=3, skill=0.5, horizon=2)


@pytest.fixture(scope="module")
def whole(rows):
    return walked(rows)


def test_the_frame_is_that_of_forecasts_each_decision_once_for_each_model(whole, rows):
    frame = whole.forecasts
    assert dict(frame.schema) == dict(FORECASTS)
    assert frame.select("as_of", "symbol", "model").is_unique().all()
    assert frame["model"].to_list() == list(NAMES) * (frame.height // 2)
    assert frame.select("as_of", "symbol").equals(frame.select("as_of", "symbol").sort("as_of", "symbol"))
    # 50 sessions are known before the 54th: their labels come 3 sessions later.
    assert frame["session"].min() == FIRST.date() + dt.timedelta(days=52)
    assert frame["session"].max() == rows["session"].max()
    np.testing.assert_allclose(frame.select("p_sell", "p_hold", "p_buy").to_numpy().sum(axis=1), 1.0)


def test_a_decision_whose_outcome_is_open_is_forecast_too(whole):
    last = whole.forecasts.filter(pl.col("label").is_null())
    assert last.height == 3 * 3 * 2
    assert last["p_buy"].null_count() == 0


def test_no_fit_knew_a_label_of_its_future_or_a_session_of_its_test(whole):
    folds = whole.folds
    assert (folds["train_last"] < folds["test_first"]).all()
    assert folds["test_n"].sum() == whole.forecasts.height
    gap = folds.select((pl.col("fit_at").dt.date() == pl.col("test_first")).all()).item()
    assert gap


def test_burning_the_future_changes_no_bit_of_the_past(rows, whole):
    """Labels and features after the second fit are others: the first fold's forecasts are the same bits."""
    cut = whole.folds["fit_at"].unique().sort()[1]
    later, told = pl.col("as_of") >= cut, pl.col("label_known_at") >= cut
    burnt = rows.with_columns(
        *(pl.when(later).then(-pl.col(name)).otherwise(pl.col(name)).alias(name) for name in FEATURES),
        pl.when(told).then(-pl.col("label")).otherwise(pl.col("label")).alias("label"),
    )
    first = walked(burnt).forecasts.filter(pl.col("fold") == 0)
    numbers = [name for name in FORECASTS if name.startswith(("p_", "in_", "conf", "call"))]
    assert first.select(numbers).equals(whole.forecasts.filter(pl.col("fold") == 0).select(numbers))
    assert not walked(burnt).forecasts.select(numbers).equals(whole.forecasts.select(numbers))


def test_a_window_forgets_what_is_older(rows, whole):
    recent = walked(rows, train_sessions=40)
    assert (recent.folds["train_n"] < whole.folds["train_n"]).all()
    assert recent.folds["train_first"].n_unique() == recent.folds["fold"].n_unique()


def test_it_goes_on_where_it_was_stopped_and_threads_change_nothing(rows, whole, tmp_path, monkeypatch):
    """The cache holds whole folds: a walk that dies in its second fit fits only the rest when it is run again."""
    fits, fit = [], signal_walk.fit_signal_models

    def dying(*given, **named):
        fits.append(named["fit_at"])
        if len(fits) == 2:
            raise KeyboardInterrupt
        return fit(*given, **named)

    monkeypatch.setattr(signal_walk, "fit_signal_models", dying)
    # What is hashed is the code behind the real one.
    monkeypatch.setattr(signal_walk, "code_behind", lambda module: {"code": "1"})
    with pytest.raises(KeyboardInterrupt):
        walked(rows, cache=tmp_path)
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    again = walked(rows, cache=tmp_path, jobs=2)
    assert len(fits) == 2 + (whole.folds["fold"].n_unique() - 1)
    assert again.forecasts.equals(whole.forecasts)
    assert again.folds.equals(whole.folds)
    third = walked(rows, cache=tmp_path)
    assert third.folds.equals(whole.folds)
    assert len(fits) == 1 + whole.folds["fold"].n_unique()


def test_a_cache_knows_what_it_was_made_of(rows, tmp_path, monkeypatch):
    walked(rows, cache=tmp_path)
    kept = len(list(tmp_path.iterdir()))
    walked(rows, cache=tmp_path, min_confidence=0.4)  # the rule comes after
    assert len(list(tmp_path.iterdir())) == kept
    walked(rows.with_columns(pl.col("edge_1d") * 2), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 * kept


def test_members_that_read_sequences_abstain_where_they_have_no_context(rows):
    """A symbol that is listed late has no sequence at first; the vote goes on without that member."""
    late = rows["session"].unique().sort()[54]
    listed = rows.filter((pl.col("symbol") != "S2") | (pl.col("session") >= late))
    found = walked(listed, ("lstm_classifier", "voting"))
    per = found.forecasts.group_by("model").len().sort("model")["len"].to_list()
    assert per[1] - per[0] == 2
    assert found.notes == (f"`lstm_classifier` abstained on 2 of {per[1]} decisions.",)


def test_a_label_that_is_a_rule_is_refused(rows):
    """Check 1."""
    told = pl.col("label").is_not_null()
    rule = rows.with_columns(label=pl.when(told).then(pl.col("edge_1d").sign()).cast(pl.Int8))
    with pytest.raises(BadInput, match="The label is a rule, not an outcome"):
        walked(rule)


def test_too_short_a_history_and_an_uncounted_candidate_are_refused(rows):
    with pytest.raises(BadInput, match="needs the labels of 200 before it"):
        walked(rows, min_train_sessions=200)
    with pytest.raises(Refused, match="ledger"):
        walked(rows, ledger=())
    with pytest.raises(BadInput, match="a name of its own"):
        walked(rows, ("base_rate", "base_rate"))


@pytest.mark.slow
def test_planted_skill_is_found_and_proven_and_noise_is_not():
    """Check 2: the same world with and without an edge, twelve seeds of noise at a family-wise error of 1 %."""
    names = ("xgboost_classifier", "random_forest_classifier", "base_rate")
    held = {"min_train_sessions": 200, "refit_sessions": 200, "fitting": Fitting()}
    planted = decisions(sessions=700, symbols=4, skill=0.4)
    found = scored(walked(planted, names, **held).forecasts, planted, alpha=0.01)
    assert set(found.proven) == {"xgboost_classifier", "random_forest_classifier"}
    proven = 0
    for seed in range(12):
        noise = decisions(sessions=700, symbols=4, seed=seed)
        proven += bool(scored(walked(noise, names, **held).forecasts, noise, alpha=0.01).proven)
    assert proven <= 1
