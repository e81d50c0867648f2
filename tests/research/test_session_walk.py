"""Sessions walked forward: the future is absent, sessions are whole, what was stopped goes on, skill is found."""

import datetime as dt
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from session_decisions import FEATURES, FIRST, MODELS, Everything, candidates, sessions

from openbell.core.errors import BadInput, LeakFound, Refused
from openbell.core.session import CLASSES, SessionSaid, probability
from openbell.desks.session import called as desk_called
from openbell.research import session_walk
from openbell.research.session_models import session_candidate
from openbell.research.session_scores import scored
from openbell.research.session_walk import called, forecast_columns, walk

NAMES = ("logistic", "base_rate")
HELD = {"ledger": Everything(), "min_train_sessions": 50, "refit_sessions": 20}
UP_DOWN = CLASSES["direction_from_cutoff"]


def walked(rows, names=NAMES, classes=UP_DOWN, **more):
    return walk(rows, FEATURES, classes, candidates(*names), **{**HELD, **more})


@pytest.fixture(scope="module")
def rows():
    return sessions(n=110, products=("ES", "NQ"), skill=0.5, open_last=1)


@pytest.fixture(scope="module")
def whole(rows):
    return walked(rows)


def test_the_frame_is_that_of_forecasts_each_decision_once_for_each_model(whole, rows):
    frame = whole.forecasts
    assert dict(frame.schema) == forecast_columns(UP_DOWN)
    assert frame["model"].to_list() == list(NAMES) * (frame.height // 2)
    assert frame.select("session", "symbol").equals(frame.select("session", "symbol").sort("session", "symbol"))
    assert frame.height == 2 * 2 * 60
    # The labels of 50 sessions are known at the cut-off of the 51st: each is known on its own evening.
    assert frame["session"].min() == FIRST + dt.timedelta(days=50)
    beside = frame.filter(pl.col("model") == "logistic").select(list(rows.columns[:11]))
    assert beside.equals(rows.filter(pl.col("session") >= frame["session"].min()).select(beside.columns))
    probabilities = frame.select("p_down", "p_up").to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (probabilities > 0).all()


def test_a_session_whose_outcome_is_open_is_forecast_too(whole, rows):
    last = whole.forecasts.filter(pl.col("session") == rows["session"].max())
    assert last["label"].null_count() == last.height == 4
    assert last["p_up"].null_count() == 0


def test_no_fit_knew_a_label_of_its_future_or_a_session_of_its_test(whole):
    """Check 3."""
    folds = whole.folds
    assert (folds["train_last"] < folds["test_first"]).all()
    assert folds["test_n"].sum() == whole.forecasts.height
    assert folds.select((pl.col("fit_at").dt.date() == pl.col("test_first")).all()).item()
    assert (
        (folds.filter(pl.col("fold") == 0).select(pl.col("train_n") + pl.col("calibrate_n")) == 100).to_series().all()
    )


def test_burning_the_future_changes_no_bit_of_the_past(rows, whole):
    """Check 4: labels and features after the second fit are others; the first fold's forecasts are the same bits."""
    cut = whole.folds["fit_at"].unique().sort()[1]
    later, told = pl.col("as_of") >= cut, pl.col("label_known_at") >= cut
    burnt = rows.with_columns(
        *(pl.when(later).then(-pl.col(name)).otherwise(pl.col(name)).alias(name) for name in FEATURES),
        pl.when(told).then(1 - pl.col("label")).otherwise(pl.col("label")).cast(pl.Int8).alias("label"),
    )
    names = ("logistic", "xgboost_classifier", "base_rate")
    numbers = ["p_down", "p_up", "confidence", "call"]
    was, now = (walked(each, names).forecasts for each in (rows, burnt))
    first = pl.col("fold") == 0
    assert now.filter(first).select(numbers).equals(was.filter(first).select(numbers))
    assert not now.select(numbers).equals(was.select(numbers))


def test_an_outcome_that_comes_late_is_not_learned_from(rows, whole):
    """A label that becomes known after the first cut-off of a test teaches nothing, whatever it says."""
    at = whole.folds["fit_at"].unique().sort()[0]
    late = pl.col("session") == at.date() - dt.timedelta(days=1)
    known = pl.when(late).then(pl.lit(at + dt.timedelta(seconds=1))).otherwise(pl.col("label_known_at"))
    held = rows.with_columns(known.alias("label_known_at"))
    turned = held.with_columns(pl.when(late).then(1 - pl.col("label")).otherwise("label").cast(pl.Int8).alias("label"))
    held_in = {"min_train_sessions": 49}
    was, now = (walked(each, **held_in) for each in (held, turned))
    first = pl.col("fit_at") <= at
    assert now.folds.filter(first)["train_last"].max() < at.date() - dt.timedelta(days=1)
    own = was.folds.filter(first)["fold"].unique()
    said = [each.forecasts.filter(pl.col("fold").is_in(own.to_list())).select("p_up") for each in (was, now)]
    assert said[0].equals(said[1])


def test_an_outcome_known_at_its_own_cutoff_and_an_entry_before_it_are_refused(rows):
    """Check 69: a position of the open holds the move that the forecast has seen."""
    early = rows.with_columns(pl.col("as_of").alias("label_known_at"))
    with pytest.raises(LeakFound, match="outcomes were known at their own cut-off"):
        walked(early)
    open_ = rows.with_columns(pl.col("as_of") - pl.duration(minutes=45))
    with pytest.raises(LeakFound, match="220 of 220 positions were entered before"):
        walked(rows.with_columns(open_["as_of"].alias("entry_at")))


def test_rows_that_are_no_decisions_are_refused(rows):
    for broken, words in (
        (rows.drop("atr"), "lack `atr`"),
        (pl.concat([rows, rows.head(1)]), "of a session of a product that has one already"),
        (rows.with_columns(pl.lit(2, pl.Int8).alias("label")), r"Labels run from 0 to 1 \(DOWN, UP\); 220 rows"),
        (rows.with_columns(pl.lit(None, pl.Datetime("us", "UTC")).alias("label_known_at")), "do not say when"),
        (rows.with_columns(pl.lit(None, pl.String).alias("symbol")), "no symbol"),
    ):
        with pytest.raises(BadInput, match=words):
            walked(broken)
    with pytest.raises(BadInput, match=r"Infinite values or NaN stand in `edge` \(100 rows\)"):
        walked(rows.with_columns(pl.lit(float("nan")).alias("edge")))


def test_the_order_of_the_rows_does_not_matter(rows, whole):
    """Check 14 of a walk: nothing is read by position."""
    shuffled = walked(rows.sample(fraction=1.0, shuffle=True, seed=3).select(reversed(rows.columns)))
    assert shuffled.forecasts.equals(whole.forecasts)
    assert shuffled.folds.equals(whole.folds)


def test_a_window_forgets_what_is_older(rows, whole):
    recent = walked(rows, train_sessions=40)
    assert (recent.folds["train_n"] < whole.folds["train_n"]).all()
    assert recent.folds["train_first"].n_unique() == recent.folds["fold"].n_unique()


def test_it_goes_on_where_it_was_stopped_and_threads_change_nothing(rows, whole, tmp_path, monkeypatch):
    """The cache holds whole folds: a walk that dies in its second fit fits only the rest, and gives the same bytes."""
    fits, fit = [], session_walk.fit_classes

    def dying(*given, **named):
        fits.append(named["fit_at"])
        if len(fits) == 2:
            raise KeyboardInterrupt
        return fit(*given, **named)

    monkeypatch.setattr(session_walk, "fit_classes", dying)
    # What is hashed is the code behind the real one.
    monkeypatch.setattr(session_walk, "code_behind", lambda module: {"code": "1"})
    with pytest.raises(KeyboardInterrupt):
        walked(rows, cache=tmp_path)
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    again = walked(rows, cache=tmp_path, jobs=2)
    assert len(fits) == 2 + (whole.folds["fold"].n_unique() - 1)
    assert again.forecasts.equals(whole.forecasts)
    assert again.folds.equals(whole.folds)
    third = walked(rows, cache=tmp_path)
    assert third.forecasts.write_json() == whole.forecasts.write_json()
    assert third.folds.equals(whole.folds)
    assert len(fits) == 1 + whole.folds["fold"].n_unique()


def test_a_cache_knows_what_it_was_made_of(rows, tmp_path):
    walked(rows, cache=tmp_path)
    kept = len(list(tmp_path.iterdir()))
    walked(rows, cache=tmp_path, min_confidence=0.9)  # the rule comes after
    assert len(list(tmp_path.iterdir())) == kept
    walked(rows, cache=tmp_path, calibration_share=0.4)
    assert len(list(tmp_path.iterdir())) == 2 * kept
    walked(rows.with_columns(pl.col("edge") * 2), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3 * kept
    early = pl.col("session") < FIRST + dt.timedelta(days=10)  # what is learned from alone
    turned = pl.when(early).then(1 - pl.col("label")).otherwise("label").cast(pl.Int8).alias("label")
    walked(rows.with_columns(turned), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4 * kept


def test_a_row_without_any_feature_is_not_forecast_but_stands_there():
    """Check 69: no prediction is null, never a class or a code, and no call."""
    rows = sessions(n=80, skill=0.5)
    last = rows["session"].max()
    bare = rows.with_columns(pl.when(pl.col("session") != last).then(pl.col(name)).alias(name) for name in FEATURES)
    found = walked(bare)
    silent = found.forecasts.filter((pl.col("session") == last) & (pl.col("model") == "logistic"))
    assert silent.select("p_up", "p_down", "confidence", "call").null_count().row(0) == (1, 1, 1, 1)
    assert found.notes == ("`logistic` abstained on 1 of 30 decisions.",)
    assert found.forecasts.filter(pl.col("model") == "base_rate")["p_up"].null_count() == 0
    told = scored(found.forecasts, bare, UP_DOWN, replications=1000)
    assert told.models.select("model", "n", "silent").rows() == [("logistic", 29, 1), ("base_rate", 30, 0)]


@pytest.mark.parametrize("label", CLASSES)
def test_a_call_is_the_likeliest_class_if_it_is_sure_enough_as_on_the_desk(label):
    """Check 69: below the confidence nothing is called; the desk and the history follow one rule."""
    classes = CLASSES[label]
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(len(classes)), 60)
    p[0], p[1] = np.eye(len(classes))[1] * 0.2 + 0.8 / len(classes), np.full(len(classes), 1 / len(classes))
    least = float(p[0].max())
    frame = pl.DataFrame({probability(name): p[:, at] for at, name in enumerate(classes)})
    told = called(frame, classes, least)
    assert told["call"][0] == classes[1]
    assert called(frame, classes, 0.0)["call"][1] == classes[0]  # of equal ones the first
    moment = dt.datetime(2024, 1, 2, 15, tzinfo=dt.UTC)
    for given, call, confidence in zip(p, told["call"], told["confidence"], strict=True):
        own = {"symbol": "ES", "session": moment.date(), "as_of": moment, "label": label, "price": 1.0, "atr": 1.0}
        said = SessionSaid(probabilities=tuple(given), model="m", proven=True, **own)
        word, sure = desk_called(said, least)
        assert (call or "NO CALL", confidence) == (word, sure)
    assert told["call"].null_count() > 0
    with pytest.raises(BadInput, match="min_confidence"):
        called(frame, classes, 1.2)


def test_one_product_and_two_share_their_sessions():
    """Rows that share an outcome's day stand on one side alone."""
    one = sessions(n=90, skill=0.3)
    two = sessions(n=90, products=("ES", "NQ"), skill=0.3)
    for rows in (one, two):
        found = walked(rows)
        count = rows["symbol"].n_unique()
        assert found.forecasts.group_by("session", "model").len()["len"].unique().to_list() == [count]
        assert found.forecasts.group_by("session").agg(pl.col("fold").n_unique())["fold"].max() == 1


def test_four_classes_and_one_that_training_has_not_seen():
    """A class that never happened has a probability above 0, and all sum to 1."""
    classes = CLASSES["archetype_by_structure"]
    rows = sessions(n=100, label="archetype_by_structure", shares=(0.4, 0.3, 0.0, 0.3))
    rows = rows.with_columns(
        pl.when(pl.col("session") > FIRST + dt.timedelta(days=80))
        .then(2)
        .otherwise("label")
        .cast(pl.Int8)
        .alias("label")
    )
    names = ("logistic", "lightgbm_classifier", "xgboost_classifier", "base_rate")
    found = walked(rows, names, classes)
    p = found.forecasts.select(probability(name) for name in classes).to_numpy()
    assert (p > 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    first = found.forecasts.filter((pl.col("fold") == 0) & (pl.col("model") == "base_rate"))
    assert first["p_reversal"].unique().to_list() == pytest.approx([1 / (50 + 4)])
    assert scored(found.forecasts, rows, classes, replications=1000).models["log_loss"].is_finite().all()


def test_one_class_alone_in_training():
    rows = sessions(n=80).with_columns(
        pl.when(pl.col("session") < FIRST + dt.timedelta(days=60))
        .then(1)
        .otherwise("label")
        .cast(pl.Int8)
        .alias("label")
    )
    found = walked(rows, ("logistic", "xgboost_classifier", "lightgbm_classifier", "base_rate"))
    first = found.forecasts.filter(pl.col("fold") == 0)
    assert (first["p_up"] > 0.8).all()
    assert (first["p_down"] > 0).all()


def test_too_short_a_history_an_uncounted_candidate_and_a_rule_are_refused(rows):
    with pytest.raises(BadInput, match=r"needs the labels of 200 before it.*session.min_train_sessions"):
        walked(rows, min_train_sessions=200)
    with pytest.raises(Refused, match="ledger"):
        walked(rows, ledger=())
    with pytest.raises(BadInput, match="a name of its own"):
        walked(rows, ("base_rate", "base_rate"))
    rule = rows.with_columns((pl.col("edge") > 0).cast(pl.Int8).alias("label")).filter(
        pl.col("label_known_at").is_not_null()
    )
    with pytest.raises(BadInput, match="The label is a rule, not an outcome"):
        walked(rule)


def test_planted_skill_is_found_by_every_candidate():
    """Check 2, the half that has something to find: sign and proof, no level."""
    rows = sessions(n=420, skill=0.8)
    names = ("logistic", "lightgbm_classifier", "xgboost_classifier", "base_rate")
    whole = [session_candidate(name, MODELS) for name in names]
    held = {**HELD, "min_train_sessions": 150, "refit_sessions": 90}
    found = walk(rows, FEATURES, UP_DOWN, whole, **held)
    told = scored(found.forecasts, rows, UP_DOWN, replications=1000)
    assert set(told.proven) == set(names[:3])
    beside = found.forecasts.join(rows.select("session", "symbol", "edge"), on=["session", "symbol"])
    for name in names[:3]:
        assert beside.filter(pl.col("model") == name).select(pl.corr("p_up", "edge")).item() > 0


def worlds_without_edge(seeds, names):
    """Candidates whose skill lies above 0 with its whole interval, and those that are proven, in shuffled worlds."""
    above, proven = [], []
    for seed in seeds:
        rows = sessions(n=220, skill=0.6, seed=seed)
        shuffled = rows.with_columns(pl.col("label").shuffle(seed=seed))
        found = walked(shuffled, (*names, "base_rate"), min_train_sessions=100, refit_sessions=60)
        told = scored(found.forecasts, shuffled, UP_DOWN, alpha=0.01, replications=1000, min_sessions=100, seed=seed)
        assert told.evidence.startswith(("Not enough evidence", "Worse")) == (not told.proven)
        tried = told.models.filter(pl.col("kind") == "candidate")
        above += tried.filter(pl.col("skill_nats_low") > 0)["model"].to_list()
        proven += told.proven
    return above, proven


def test_shuffled_labels_are_no_evidence():
    """Check 2: an honest two-sided 95 % interval lies above 0 in 2.5 % of worlds without an edge: 2 of 4 are no chance.

    It would be, once in 270; StepM at 1 % proves nothing in any of them.
    """
    above, proven = worlds_without_edge(range(4), ("logistic",))
    assert len(above) <= 1
    assert proven == []


@pytest.mark.slow
def test_the_rate_of_false_alarms_is_the_one_that_is_stated():
    """Check 2 over 40 worlds: at 2.5 % each, 5 or more intervals above 0 are chance once in 300; at 1 %, 4 proofs."""
    above, proven = worlds_without_edge(range(40), ("logistic", "xgboost_classifier"))
    assert max(above.count(name) for name in ("logistic", "xgboost_classifier")) <= 4
    assert len(proven) <= 3
