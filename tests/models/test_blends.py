"""Models made of models: what they weigh, by what they weigh it, and what they refuse to leave out."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openbell.core.declare import Model
from openbell.core.errors import BadInput, FeatureUnavailable
from openbell.models import stacking as stacked
from openbell.models.inner_folds import inner_folds, latest_fold
from openbell.research.fitting import fingerprint

sys.path.insert(0, str(Path(__file__).parent))
from small_rows import DECLARED, NAMES, SMALL, SYMBOLS, fitted, keys, members_of, rows, target_of

ENSEMBLE, VOTING = DECLARED["ensemble"], DECLARED["voting"]
STACKS = pytest.mark.parametrize("name", ["stacking", "stacking_classifier"])


def blend(model: Model, **parameters):
    """The blend itself, whose members need not be fitted to be combined."""
    return model.build(members=[(name, None) for name in model.members], **parameters)


def test_the_ensemble_is_the_mean_of_its_members():
    """S2.34, and by way of `combine` the engine need not fit twice."""
    frame, target = rows()
    alone = np.stack([fitted(member, frame, target).predict(frame) for member, _ in members_of(ENSEMBLE)])
    whole = fitted(ENSEMBLE, frame, target).predict(frame)
    np.testing.assert_allclose(whole, alone.mean(axis=0), atol=1e-12)
    assert blend(ENSEMBLE).combine(alone).tobytes() == whole.tobytes()


def test_the_voting_is_the_weighted_mean_of_the_probabilities():
    """S3.12: .4 / .3 / .3; kills a hard vote, equal weights and a changed order of members."""
    frame, target = rows()
    classes = target_of(VOTING, target)
    alone = np.stack([fitted(m, frame, classes).predict_proba(frame, keys()) for m, _ in members_of(VOTING)])
    said = fitted(VOTING, frame, classes).predict_proba(frame, keys())
    np.testing.assert_allclose(said, 0.4 * alone[0] + 0.3 * alone[1] + 0.3 * alone[2], atol=1e-12)
    assert blend(VOTING).combine(alone).tobytes() == said.tobytes()
    only = fitted(VOTING, frame, classes, parameters={"weights": (1.0, 0.0, 0.0)}).predict_proba(frame, keys())
    np.testing.assert_allclose(only[30:], alone[0][30:], atol=1e-12)


def test_where_a_member_abstains_the_blend_abstains():
    """Trap 7: kills a mean of those that are left, which is another model, also at weight 0."""
    scores = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 5.0], [1.0, 2.0, 4.0]])
    np.testing.assert_array_equal(blend(ENSEMBLE).combine(scores), [1.0, np.nan, 4.0])
    votes = np.stack([np.full((2, 2), 0.5)] * 3)
    votes[2, 1] = np.nan
    found = blend(VOTING, weights=(0.5, 0.5, 0.0)).combine(votes)
    np.testing.assert_array_equal(np.isnan(found), [[False, False], [True, True]])


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ((0.5, 0.5), "one for each of xgboost_classifier"),
        ((0.4, 0.3, 0.2), "sum to 1"),
        ((1.2, -0.1, -0.1), "negative"),
    ],
)
def test_weights_that_are_none_are_refused(weights, said):
    frame, target = rows()
    with pytest.raises(BadInput, match=said):
        fitted(VOTING, frame, target_of(VOTING, target), parameters={"weights": weights})


def test_members_are_handed_in_by_name_and_order():
    """Kills a blend of fewer, of others, or of the right ones in the order of other weights."""
    frame, target = rows()
    whole = members_of(ENSEMBLE)
    for members in ((), whole[:2], whole[::-1], [*whole, (DECLARED["ridge"], {})]):
        with pytest.raises(BadInput, match="is made of xgboost, random_forest, lightgbm; handed in were"):
            fitted(ENSEMBLE, frame, target, members=members)
    with pytest.raises(BadInput, match="`ridge` is made of no others"):
        fitted(DECLARED["ridge"], frame, target, members=whole)
    with pytest.raises(BadInput, match="`lightgbm` has no parameter `trees`"):
        fitted(ENSEMBLE, frame, target, members=[*whole[:2], (DECLARED["lightgbm"], {"trees": 3})])


def test_the_parameters_of_members_enter_the_fingerprint():
    """Kills a ledger that counts ten ensembles as one, and a cache that mistakes them."""
    members = members_of(ENSEMBLE)
    other = [*members[:2], (members[2][0], {**members[2][1], "n_estimators": 9})]
    assert fingerprint(ENSEMBLE, {}, members) != fingerprint(ENSEMBLE, {}, other)


@pytest.mark.parametrize("name", ["ensemble", "stacking"])
def test_a_member_that_fails_stops_the_blend(name):
    """Kills a blend that goes on without it."""
    frame, target = rows()
    model = DECLARED[name]
    members = [*members_of(model)[:2], (DECLARED["lightgbm"], {"num_leaves": -5})]
    with pytest.raises(Exception, match=f"`{name}` failed to train"):
        fitted(model, frame, target, members=members)


@STACKS
def test_a_stack_needs_the_time_of_each_row(name):
    """Trap 3: it never falls back to random folds."""
    frame, target = rows()
    model = DECLARED[name]
    with pytest.raises(BadInput, match="folds in the order of time: hand in `t`"):
        fitted(model, frame, target_of(model, target), keys=None)


@STACKS
def test_a_stack_learns_its_weights_from_later_rows_alone(name, monkeypatch: pytest.MonkeyPatch):
    """Every inner fit is on earlier sessions than those it speaks of, and no session is on both sides."""
    frame, target = rows()
    model, sessions, seen = DECLARED[name], keys()["session"].to_numpy(), []
    real = stacked._said_later

    def spied(member, method, X, y, train, test, **offered):
        seen.append((sessions[train].max(), sessions[test].min(), len(train), len(test)))
        return real(member, method, X, y, train, test, **offered)

    monkeypatch.setattr(stacked, "_said_later", spied)
    fitted(model, frame, target_of(model, target))
    assert len(seen) == 2 * len(model.members)
    assert all(last < first for last, first, *_ in seen)
    assert {(train, test) for *_, train, test in seen} == {(12 * 10, 13 * 10), (25 * 10, 14 * 10)}


def test_a_stack_trusts_whom_it_may():
    """Kills weights fitted in sample, where what memorises looks best (its weight is near 1), and equal ones."""
    rng = np.random.default_rng(0)
    frame, _ = rows()
    target = frame["noise"].to_numpy() * 0.2 + 0.3 * rng.standard_normal(frame.height)
    members = [
        (DECLARED["xgboost"], {"n_estimators": 60, "max_depth": 8, "min_child_weight": 0.0, "learning_rate": 0.5}),
        (DECLARED["random_forest"], {"n_estimators": 30, "max_depth": 1, "max_samples": 0.3, "max_features": 1.0}),
        (DECLARED["lightgbm"], SMALL["lightgbm"]),
    ]
    known = fitted(
        DECLARED["stacking"], frame, target, members=members, parameters={"alpha": 0.1, "folds": 3, "gap": 1}
    )
    memorises, learns, also = known.predictor.weights
    assert abs(memorises) < 0.2
    assert learns + also > 2 * abs(memorises)


def test_a_class_that_an_inner_fold_never_saw_is_no_obstacle():
    """Kills classifiers that want codes without gaps, and columns that stand for another class."""
    frame, target = rows()
    early = np.arange(len(target)) < 20 * len(SYMBOLS)
    classes = np.where(early, (target > 0).astype(int), 2 + (target > 0))
    known = fitted(DECLARED["stacking_classifier"], frame, classes)
    assert known.classes == (0.0, 1.0, 2.0, 3.0)
    probabilities = known.predict_proba(frame)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (known.predict(frame)[~early] >= 2).mean() > 0.8


def test_a_stack_whose_inner_folds_hold_one_class_is_refused():
    frame, target = rows()
    classes = np.where(np.arange(len(target)) < 50, (target > 0).astype(int), 1)
    with pytest.raises(FeatureUnavailable, match="fewer than two classes"):
        fitted(DECLARED["stacking_classifier"], frame, classes)


def test_inner_folds_by_hand():
    """Nine moments, two folds of three after the first three; a gap of one."""
    t = np.repeat(np.arange(9), 2)[::-1]
    (train, test), (later_train, later_test) = inner_folds(t, 2, gap=1)
    assert sorted(set(t[train])) == [0, 1]
    assert sorted(set(t[test])) == [3, 4, 5]
    assert sorted(set(t[later_train])) == [0, 1, 2, 3, 4]
    assert sorted(set(t[later_test])) == [6, 7, 8]
    earlier, later = latest_fold(t, 0.34, gap=0)
    assert (sorted(set(t[earlier])), sorted(set(t[later]))) == ([0, 1, 2, 3, 4, 5], [6, 7, 8])


def test_inner_folds_know_when_labels_were_known():
    """The purge of the house: rows whose label was not known at the first later moment are left out, no gap needed."""
    t = np.arange(9)
    known_at = t + np.where(t == 1, 3, 2)
    (train, _), (later, _) = inner_folds(t, 2, known_at=known_at, gap=99)
    assert train.tolist() == [0]
    assert later.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("moments", "gap"), [(2, 0), (3, 1), (1, 0), (6, 9)])
def test_too_few_moments_are_told(moments, gap):
    with pytest.raises(FeatureUnavailable, match=f"{moments} moments are too few"):
        list(inner_folds(np.arange(moments), 2, gap=gap) if moments != 1 else latest_fold(np.arange(1), 0.5))


def test_blends_do_not_mind_the_order_of_columns():
    frame, target = rows()
    known = fitted(DECLARED["stacking"], frame, target)
    assert known.predict(frame.select(NAMES[::-1])).tobytes() == known.predict(frame).tobytes()
    assert known.predict(frame.with_columns(pl.all().cast(pl.Float64))).tobytes() == known.predict(frame).tobytes()
