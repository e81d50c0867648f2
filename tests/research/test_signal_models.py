"""Models of the signals desk: who learns from what, votes that stay calibrated whoever is missing, and the future."""

import datetime as dt
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from signal_worlds import FEATURES, FIRST, MODELS, SMALL, Everything, decisions

from openbell.core.errors import BadInput, FeatureUnavailable, OpenbellError, Refused
from openbell.core.signal import Call
from openbell.quant.reliability import expected_calibration_error, log_loss
from openbell.quant.signal_rule import called
from openbell.research import signal_models
from openbell.research.signal_models import candidate, fit_signal_model, fit_signal_models, trials_of, with_context
from openbell.research.signal_parts import label_weights, labels_alone, parts, thinned
from openbell.research.signal_ranks import Ranks
from openbell.research.signal_votes import BASE_RATE, SignalModel

XGB, FOREST, LSTM = "xgboost_classifier", "random_forest_classifier", "lstm_classifier"
QUICK = {"ledger": Everything(), "importance_rows": 0, "coverage": 0.8}


def small(name, **more):
    return candidate(name, MODELS, parameters=SMALL, **more)


def keys(rows):
    return rows.select(pl.col("as_of").alias("t"), "symbol")


def said(model, rows):
    return {name: model.say(name, rows, keys(rows)) for name in model.members}


@pytest.fixture(scope="module")
def rows():
    return decisions(sessions=120, symbols=4, skill=0.5)


@pytest.fixture(scope="module")
def trees(rows):
    """A vote of two trees."""
    return fit_signal_model(rows, FEATURES, small("voting", weights=(0.7, 0.3, 0.0)), **QUICK)


# What is learned from what.


def test_sessions_are_never_split_and_every_part_knew_its_labels_before_the_next():
    rows = decisions(sessions=80, symbols=3, horizon=3)
    at = FIRST + dt.timedelta(days=60)
    found = parts(rows, FEATURES, at, 0.25)
    own = [set(part["session"]) for part in (found.train, found.calibrate, found.conform)]
    assert sum(map(len, own)) == len(own[0] | own[1] | own[2])
    assert found.train["label_known_at"].max() <= found.late["as_of"].min()
    assert found.calibrate["label_known_at"].max() <= found.conform["as_of"].min()
    assert found.conform["label_known_at"].max() <= at
    # 57 sessions were known: 14 late ones, 7 and 7; labels of the 3 sessions before each border came too late.
    assert [len(each) for each in own] == [40, 4, 7]
    assert found.purged == 6 * 3
    assert found.unknown == 4 * 3
    assert found.context.height == 43 * 3


def test_labels_that_share_their_life_weigh_less():
    short, long = decisions(sessions=40, horizon=1), decisions(sessions=40, horizon=9)
    known = [each.filter(pl.col("label").is_not_null()) for each in (short, long)]
    alone = [labels_alone(each) / each.height for each in known]
    assert alone[0] == pytest.approx(1 / 2, abs=0.05)
    assert alone[1] == pytest.approx(1 / 10, abs=0.05)
    assert label_weights(known[1]).mean() == pytest.approx(1.0)
    assert label_weights(known[1])[0] > label_weights(known[1])[60]


def test_too_many_rows_are_thinned_by_whole_sessions_evenly_and_for_sequences_to_the_latest(rows):
    kept, one_in = thinned(rows, 200, sequential=False)
    assert (one_in, kept.height, kept["session"].n_unique()) == (3, 160, 40)
    assert kept["session"].max() == rows["session"].max()
    assert kept["session"].unique().sort().diff().drop_nulls().n_unique() == 1
    latest, _ = thinned(rows, 200, sequential=True)
    assert latest["session"].min() == FIRST.date() + dt.timedelta(days=80)
    assert thinned(rows, 10_000, sequential=False)[1] == 1


def test_thinning_is_said(rows):
    model = fit_signal_model(rows, FEATURES, small(XGB), max_train_rows=100, **QUICK)
    assert model.report["members"][XGB]["sessions_one_in"] == 4
    assert model.report["train"]["n"] == 348


def test_nothing_after_the_fit_changes_a_bit_of_it():
    """Burn the future: rows decided later, and labels known later, are other ones; the model is the same bits."""
    rows = decisions(sessions=70, symbols=3, skill=0.4, horizon=2)
    at = FIRST + dt.timedelta(days=55)
    later, told = pl.col("as_of") > at, pl.col("label_known_at") > at
    burnt = rows.with_columns(
        *(pl.when(later).then(pl.lit(7.0)).otherwise(pl.col(name)).cast(pl.Float32).alias(name) for name in FEATURES),
        pl.when(told).then(pl.lit(1)).otherwise(pl.col("label")).cast(pl.Int8).alias("label"),
    )
    assert not burnt.equals(rows)
    asked, votes = rows.head(150), []
    for each in (rows, burnt, rows.filter(~later)):
        model = fit_signal_model(each, FEATURES, small("voting"), fit_at=at, **QUICK)
        vote = model.vote(said(model, asked))
        votes.append((vote.probabilities.tobytes(), vote.in_set.tobytes(), model.report["rows"]))
    assert votes[0] == votes[1] == votes[2]


def test_ranks_are_learned_from_the_training_rows_alone():
    """Kills a scaler that is fitted on the calibrating rows too, which an outlier there would show."""
    rows = decisions(sessions=60)
    late = rows["session"] >= rows["session"].unique().sort()[-10]
    wild = rows.with_columns(pl.when(late).then(1e6).otherwise(pl.col("edge_1d")).cast(pl.Float32).alias("edge_1d"))
    made = [fit_signal_model(each, FEATURES, small(XGB), **QUICK).ranks for each in (rows, wild)]
    assert made[0].knots.tobytes() == made[1].knots.tobytes()


def test_ranks_keep_the_order_give_the_middle_0_and_leave_missing_values_missing():
    gone = np.nan
    values = np.array([[1.0, 5.0, gone, 2.0], [2.0, 5.0, gone, 2.0], [4.0, 5.0, gone, gone], [8.0, 5.0, gone, 7.0]])
    ranks = Ranks.of(values)
    np.testing.assert_allclose(ranks.apply(values)[:, 0], [-0.375, -0.125, 0.125, 0.375])
    np.testing.assert_allclose(ranks.apply(values)[:, 1], 0.0)
    np.testing.assert_allclose(ranks.apply(values)[[0, 1, 3], 3], [-1 / 6, -1 / 6, 1 / 3], atol=1e-6)
    assert np.isnan(ranks.apply(values)[:, 2]).all()
    np.testing.assert_allclose(ranks.apply(np.array([[-9.0, 9.0, 3.0, 99.0]])), [[-0.375, 0.0, 0.0, 1 / 3]], atol=1e-6)
    wide = np.random.default_rng(0).normal(size=(300, 4))
    learned = Ranks.of(wide)
    for at in range(4):
        own = slice(learned.borders[at], learned.borders[at + 1])
        expected = np.interp(wide[:, at] * 1.5, learned.knots[own], learned.places[own])
        np.testing.assert_allclose(learned.apply(wide * 1.5)[:, at], expected, atol=1e-6)
    again = Ranks.from_arrays(ranks.arrays())
    assert again.apply(values).tobytes() == ranks.apply(values).tobytes()


# What is refused.


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_what_is_not_finite_is_refused_with_its_columns_before_anything_is_fitted(rows, bad):
    """Check 57: inf/NaN gate before the fit."""
    spoilt = rows.with_columns(
        edge_1d=pl.when(pl.int_range(pl.len()) == 3).then(bad).otherwise("edge_1d").cast(pl.Float32)
    )
    with pytest.raises(BadInput, match=r"`edge_1d` \(1 rows\)"):
        fit_signal_model(spoilt, FEATURES, small(XGB), **QUICK)


def test_a_missing_value_is_no_fault_and_a_feature_without_any_is_told(rows):
    empty = rows.with_columns(pl.lit(None, dtype=pl.Float32).alias("gone_5m"))
    model = fit_signal_model(empty, (*FEATURES, "gone_5m"), small(XGB), **QUICK)
    assert model.report["without_values"] == ["gone_5m"]
    with pytest.raises(BadInput, match="infinite"):
        model.say(XGB, empty.with_columns(pl.lit(float("inf")).alias("edge_1d")))


def test_a_member_that_fails_stops_the_vote(rows, monkeypatch):
    """Check 57: a training failure of any model is an error, never a vote of fewer."""
    broken = replace(MODELS[FOREST], build=lambda **_: Broken())
    with pytest.raises(OpenbellError, match="random_forest_classifier"):
        fit_signal_model(rows, FEATURES, candidate("voting", {**MODELS, FOREST: broken}), **QUICK)


class Broken:
    def fit(self, x, y):
        raise RuntimeError("no memory for trees")


def test_a_vote_whose_library_is_missing_is_refused_with_the_extra(rows, monkeypatch):
    def absent():
        raise FeatureUnavailable("The LSTM needs PyTorch: `pip install openbell[lstm]`.")

    monkeypatch.setattr("openbell.quant.recurrent.torch_library", absent)
    for name in ("voting", LSTM):
        with pytest.raises(FeatureUnavailable, match=rf"`{name}` cannot be trained.*openbell\[lstm\]"):
            fit_signal_model(rows, FEATURES, small(name), **QUICK)
    assert fit_signal_model(rows, FEATURES, small("voting", weights=(1, 1, 0)), **QUICK).history_rows == 1


def test_nothing_is_fitted_that_the_ledger_does_not_hold(rows):
    with pytest.raises(Refused, match="ledger"):
        fit_signal_model(rows, FEATURES, small(XGB), **{**QUICK, "ledger": ()})
    asked = [small("voting"), small(XGB), small(BASE_RATE)]
    trials = trials_of(asked, desk="signals", data="d")
    assert [each.name for each in trials] == [XGB, FOREST, LSTM, "voting", BASE_RATE]
    fit_signal_models(rows, FEATURES, asked, **{**QUICK, "ledger": {each.fingerprint for each in trials}})


def test_unknown_candidates_and_strange_weights_are_refused():
    with pytest.raises(BadInput, match="Did you mean `xgboost_classifier`"):
        candidate("xgboost_clasifier", MODELS)
    with pytest.raises(BadInput, match="candidate of the signals desk"):
        candidate("xgboost", MODELS)  # it foretells a number, not a class
    for weights in ((0.5, 0.5), (1.0, -0.1, 0.1), (0.0, 0.0, 0.0)):
        with pytest.raises(BadInput, match="weights of `voting`"):
            candidate("voting", MODELS, weights=weights)


def test_too_few_rows_for_the_promised_coverage_are_refused():
    with pytest.raises(BadInput, match=r"conformal sets of base_rate.*cannot carry"):
        fit_signal_model(decisions(sessions=14, symbols=1), FEATURES, small(BASE_RATE), **{**QUICK, "coverage": 0.95})
    with pytest.raises(BadInput, match="Give a longer history"):
        fit_signal_model(decisions(sessions=4), FEATURES, small(BASE_RATE), **QUICK)


# What a vote says.


def test_the_preset_weights_are_those_of_the_declaration():
    """S3.12: soft voting of 0.4, 0.3 and 0.3."""
    found = candidate("voting", MODELS)
    assert {each.name: each.weight for each in found.members} == {XGB: 0.4, FOREST: 0.3, LSTM: 0.3}
    assert found.members[0].model.settings["max_depth"] == 6
    assert found.members[2].model.settings["sequence_length"] == 50


def test_a_vote_is_the_calibrated_weighted_mean_of_those_who_are_heard(trees, rows):
    own = said(trees, rows)
    vote = trees.vote(own)
    mean = 0.7 * own[XGB] + 0.3 * own[FOREST]
    expected = trees.calibrators[f"{XGB}+{FOREST}"].apply(mean / mean.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(vote.probabilities, expected, rtol=1e-12)
    np.testing.assert_allclose(vote.probabilities.sum(axis=1), 1.0)
    assert (vote.in_set == trees.sets[f"{XGB}+{FOREST}"].of(expected, confidence=0.8)).all()


def test_a_member_that_says_nothing_leaves_the_vote_of_its_rows_alone(trees, rows):
    """Its rows are the other's, with that one's own calibrator; kills a NaN that spreads, or counts as 0."""
    own = said(trees, rows)
    holed = {**own, XGB: own[XGB].copy()}
    holed[XGB][10:20] = np.nan
    mixed, whole, alone = trees.vote(holed), trees.vote(own), trees.vote({FOREST: own[FOREST]})
    assert mixed.probabilities[10:20].tobytes() == alone.probabilities[10:20].tobytes()
    assert (mixed.in_set[10:20] == alone.in_set[10:20]).all()
    assert mixed.probabilities[20:].tobytes() == whole.probabilities[20:].tobytes()
    assert mixed.heard[15].tolist() == [False, True]
    np.testing.assert_allclose(
        alone.probabilities, trees.calibrators[FOREST].apply(own[FOREST] / own[FOREST].sum(axis=1, keepdims=True))
    )


def test_nobody_heard_is_no_vote_and_a_silent_row_has_neither_numbers_nor_classes(trees, rows):
    """Trap 7: no prediction is not a class."""
    own = said(trees, rows.head(4))
    silent = {name: np.full_like(each, np.nan) for name, each in own.items()}
    assert trees.vote(silent) is None
    assert trees.vote({}) is None
    for each in own.values():
        each[2] = np.nan
    vote = trees.vote(own)
    assert np.isnan(vote.probabilities[2]).all()
    assert not vote.in_set[2].any()
    assert not vote.heard[2].any()
    with pytest.raises(BadInput, match="Did you mean"):
        trees.vote({"xgboost_clasifier": own[XGB]})
    with pytest.raises(BadInput, match="different numbers of rows"):
        trees.vote({XGB: own[XGB], FOREST: own[FOREST][:2]})


def test_every_subset_of_a_vote_is_calibrated_on_rows_it_has_not_seen():
    """Check 60: by calibration error and log-loss, never by accuracy. Raw votes are sure of what is noise."""
    rows = decisions(sessions=700, symbols=4, seed=5)
    deep = {
        XGB: {"n_estimators": 60, "max_depth": 6, "learning_rate": 0.3},
        FOREST: {"n_estimators": 20, "max_depth": 15, "min_samples_split": 2, "min_samples_leaf": 1},
    }
    cut = rows["session"].unique().sort()[500]
    known, fresh = rows.filter(pl.col("session") < cut), rows.filter(pl.col("session") >= cut)
    fresh = fresh.filter(pl.col("label").is_not_null())
    model = fit_signal_model(known, FEATURES, candidate("voting", MODELS, weights=(1, 1, 0), parameters=deep), **QUICK)
    own, label = said(model, fresh), fresh["label"].to_numpy() + 1
    for names in ((XGB,), (FOREST,), (XGB, FOREST)):
        raw = np.mean([own[name] for name in names], axis=0)
        told = model.vote({name: own[name] for name in names}).probabilities
        assert expected_calibration_error(told, label) < expected_calibration_error(raw, label) - 0.05
        assert log_loss(told, label) < log_loss(raw, label)


def test_a_base_rate_says_the_shares_of_its_training_rows(rows):
    model = fit_signal_model(rows, FEATURES, small(BASE_RATE), **QUICK)
    vote = model.vote(said(model, rows))
    np.testing.assert_allclose(vote.probabilities[0], model.report["train"]["shares"], atol=0.03)
    assert (vote.probabilities == vote.probabilities[0]).all()
    assert model.report["votes"][BASE_RATE]["method"] == signal_models.AS_IT_IS


def test_a_class_that_never_happened_has_the_probability_0():
    rows = decisions(sessions=60, hold=0.0).filter(pl.col("label").is_null() | (pl.col("label") != -1))
    model = fit_signal_model(rows, FEATURES, small(XGB), **QUICK)
    assert (model.say(XGB, rows)[:, 0] == 0).all()
    only = rows.with_columns(pl.when(pl.col("label").is_not_null()).then(pl.lit(1, dtype=pl.Int8)).alias("label"))
    model = fit_signal_model(only, FEATURES, small(XGB), **QUICK)
    assert (model.say(XGB, only) == [0, 0, 1]).all()
    assert np.isfinite(model.vote(said(model, only)).probabilities).all()


@pytest.mark.parametrize(
    ("probabilities", "in_set", "call"),
    [
        ((0.1, 0.3, 0.6), (False, False, True), Call.BUY),
        ((0.6, 0.3, 0.1), (True, False, False), Call.SELL),
        ((0.1, 0.8, 0.1), (False, True, False), Call.HOLD),
        ((0.1, 0.3001, 0.5999), (False, False, True), Call.HOLD),
        ((0.1, 0.1, 0.8), (False, True, True), Call.HOLD),
        ((0.1, 0.1, 0.8), (False, False, False), Call.HOLD),
    ],
    ids=["buy at the edge", "sell at the edge", "hold", "just below", "two in the set", "empty set"],
)
def test_each_call_can_be_reached_and_the_edge_belongs_to_it(probabilities, in_set, call):
    """Check 59: constructed cases of BUY, SELL and HOLD."""
    row = dict(zip(("p_sell", "p_hold", "p_buy"), probabilities, strict=True))
    row |= dict(zip(("in_sell", "in_hold", "in_buy"), in_set, strict=True))
    assert called(pl.DataFrame([row]))["call"].item() == call


def test_a_model_of_a_sure_world_reaches_buy_and_sell():
    """Check 59 through a model: where the edge decides, both are called on the right side; where nothing does, none."""
    rows = decisions(sessions=200, symbols=4, skill=0.95)
    model = fit_signal_model(rows, FEATURES, small(XGB), **QUICK)
    vote = model.vote(said(model, rows))
    shown = pl.DataFrame(
        np.column_stack([vote.probabilities, vote.in_set]),
        schema=["p_sell", "p_hold", "p_buy", "in_sell", "in_hold", "in_buy"],
    ).with_columns(pl.col("in_sell", "in_hold", "in_buy").cast(pl.Boolean))
    call = called(shown)["call"].to_numpy()
    edge = rows["edge_1d"].to_numpy()
    assert set(call) >= {"BUY", "SELL"}
    assert (edge[call == "BUY"] > -0.2).all()
    assert (edge[call == "SELL"] < 0.2).all()


# Sequences.


@pytest.fixture(scope="module")
def recurrent(rows):
    return fit_signal_model(rows, FEATURES, small(LSTM), **QUICK)


def test_a_sequence_is_asked_with_its_context_and_abstains_without(recurrent, rows):
    assert recurrent.history_rows == 3
    whole = recurrent.say(LSTM, rows, keys(rows))
    first = rows.with_row_index().filter(pl.int_range(pl.len()).over("symbol") < 2)["index"].to_list()
    assert np.flatnonzero(np.isnan(whole).any(axis=1)).tolist() == first
    last = rows.tail(4)
    shown, wanted = with_context(rows.head(-4), last, recurrent.history_rows)
    assert shown.height == 4 + 4 * 2
    np.testing.assert_allclose(recurrent.say(LSTM, shown, keys(shown))[wanted], whole[-4:], atol=1e-6)
    assert np.isnan(recurrent.say(LSTM, last, keys(last))).all()


def test_moments_may_be_microseconds(recurrent, rows):
    some = rows.head(60)
    numbers = keys(some).with_columns(pl.col("t").dt.epoch("us"))
    assert recurrent.say(LSTM, some, numbers).tobytes() == recurrent.say(LSTM, some, keys(some)).tobytes()
    with pytest.raises(BadInput, match="`t` and `symbol`"):
        recurrent.say(LSTM, some)


def test_what_is_said_of_a_row_does_not_depend_on_its_company(trees, rows):
    """Check 14: one by one it is what it was in the batch; the ranked matrix may be made once for all members."""
    whole = trees.vote(said(trees, rows)).probabilities
    matrix = trees.matrix(rows.select(reversed(rows.columns)))
    for at in (0, 17, 200):
        one = {name: trees.say(name, matrix[at : at + 1]) for name in trees.members}
        assert trees.vote(one).probabilities[0].tolist() == whole[at].tolist()
    with pytest.raises(BadInput, match="missing here: noise_1d"):
        trees.say(XGB, rows.drop("noise_1d"))


def test_a_classifier_that_several_candidates_hold_is_fitted_once(rows, monkeypatch):
    fitted = []
    fit = signal_models.fit
    monkeypatch.setattr(signal_models, "fit", lambda model, *a, **k: fitted.append(model.name) or fit(model, *a, **k))
    asked = [small("voting", weights=(1, 1, 0)), small(XGB), small(FOREST)]
    made = fit_signal_models(rows, FEATURES, asked, **QUICK)
    assert fitted == [XGB, FOREST]
    alone = fit_signal_model(rows, FEATURES, small(XGB), **QUICK)
    assert isinstance(alone, SignalModel)
    told = [each.vote(said(each, rows)).probabilities.tobytes() for each in (alone, made[XGB])]
    assert told[0] == told[1]
