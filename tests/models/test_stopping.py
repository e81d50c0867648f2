"""Early stopping of the boosted trees: the rounds come from later rows alone, the trees then from all."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone

from openbell.core.errors import BadInput, FeatureUnavailable
from openbell.models.inner_folds import latest_fold
from openbell.research.fitting import load_fitted
from openbell.store.artifacts import save_model
from openbell.store.predictors import library_of

sys.path.insert(0, str(Path(__file__).parent))
from small_rows import DECLARED, SYMBOLS, fitted, keys, rows, said, target_of

NAMES = [name + task for name in ("xgboost", "lightgbm", "catboost") for task in ("", "_classifier")]
BOOSTED = pytest.mark.parametrize("name", NAMES)
#: Trees that learn the noise soon, so that later rows call a halt long before the 60th.
EAGER = {"n_estimators": 60, "learning_rate": 0.4, "max_depth": 4}
PATIENCE = 5


def parameters(name: str, **more):
    """Of a small eager model; the LightGBM regressor has leaves instead of a depth."""
    eager = {**EAGER, **more}
    if name == "lightgbm":
        eager.pop("max_depth")
        eager["min_child_samples"] = 5
    return eager


def problem(name: str, dates: int = 40):
    """Features, a noisy target or its classes, and moments."""
    frame, target = rows(dates)
    noisy = target + 0.3 * np.random.default_rng(9).standard_normal(len(target))
    y = target_of(DECLARED[name], noisy)
    y = y.astype(np.float32) if DECLARED[name].task == "regression" else y + 1
    return frame.to_numpy(), y, keys(dates)["session"].to_numpy()


def built(name: str, **more):
    return DECLARED[name].build(**parameters(name, early_stopping_rounds=PATIENCE, **more))


def asked(estimator, X):
    return estimator.predict_proba(X) if hasattr(estimator, "predict_proba") else estimator.predict(X)


def losses(name: str, X, y, train, test) -> np.ndarray:
    """Loss on `test` after each number of rounds, one fit for each: squared error or log-loss, by hand."""
    found = []
    for rounds in range(1, 21):
        plain = DECLARED[name].build(**parameters(name, n_estimators=rounds)).fit(X[train], y[train])
        out = np.asarray(asked(plain, X[test]), dtype=np.float64)
        right = out[np.arange(len(test)), y[test]] if out.ndim == 2 else None
        found.append(((out - y[test]) ** 2).mean() if right is None else -np.log(right).mean())
    return np.array(found)


@BOOSTED
def test_the_rounds_are_the_best_on_the_last_fifth_and_the_trees_are_of_all_rows(name):
    """Kills a split at random, no refit, a refit of all rounds, and a count that is off by one."""
    X, y, t = problem(name)
    stopped = built(name).fit(X, y, t=t)
    train, test = latest_fold(t, 0.2)
    assert set(t[train]).isdisjoint(t[test])
    assert len(np.unique(t[test])) == 8
    measured = losses(name, X, y, train, test)
    assert 1 < stopped.n_rounds_ < 15
    assert stopped.n_rounds_ == 1 + int(np.argmin(measured[: stopped.n_rounds_ + PATIENCE]))
    plain = DECLARED[name].build(**parameters(name, n_estimators=stopped.n_rounds_)).fit(X, y)
    np.testing.assert_array_equal(asked(stopped, X), asked(plain, X))


@BOOSTED
def test_what_was_not_known_before_the_last_fifth_does_not_choose(name):
    """The purge: rows of the moments between, and rows whose outcome came late, may say anything."""
    X, y, t = problem(name)
    moments = np.unique(t)
    known_at = (t + np.timedelta64(14, "D")).astype("datetime64[us]")
    between = (t < moments[32]) & (known_at > moments[32].astype("datetime64[us]"))
    assert between.sum() == len(SYMBOLS)  # dates[31] alone: those of dates[30] were known on the day
    burnt = np.where(between, y.max() - y, y)
    one = built(name).fit(X, y, t=t, known_at=known_at)
    two = built(name).fit(X, burnt, t=t, known_at=known_at)
    assert one.n_rounds_ == two.n_rounds_
    without = ~between
    three = built(name).fit(X[without], y[without], t=t[without], known_at=known_at[without])
    assert three.n_rounds_ == one.n_rounds_


@pytest.mark.parametrize("name", ["xgboost", "lightgbm_classifier", "catboost"])
def test_rows_in_another_order_are_stopped_by_the_same_rows(name):
    """Kills a fold by position: what is late is told by `t`."""
    X, y, t = problem(name)
    order = np.random.default_rng(2).permutation(len(t))
    later = t >= np.unique(t)[32]
    told = built(name)
    seen = {}
    real = type(told)._targets

    def spied(self, values, earlier, test):
        seen["later"] = test
        return real(self, values, earlier, test)

    try:
        type(told)._targets = spied
        told.fit(X[order], y[order], t=t[order])
    finally:
        type(told)._targets = real
    np.testing.assert_array_equal(np.sort(order[seen["later"]]), np.flatnonzero(later))


@BOOSTED
def test_off_it_is_the_library_itself_to_the_bit(name):
    off, default = (DECLARED[name].build(**parameters(name, **more)) for more in ({"early_stopping_rounds": 0}, {}))
    assert type(off) is type(default)
    assert library_of(off) == name.partition("_")[0]
    frame, target = rows()
    y = target_of(DECLARED[name], target)
    plain = parameters(name, n_estimators=5)
    one = fitted(DECLARED[name], frame, y, parameters=plain)
    two = fitted(DECLARED[name], frame, y, parameters={**plain, "early_stopping_rounds": 0}, keys=None)
    assert said(one, frame).tobytes() == said(two, frame).tobytes()


@BOOSTED
def test_the_weights_reach_both_fits(name):
    """A row without weight is as if it were not there: neither to stop by, nor to learn from."""
    X, y, t = problem(name)
    half = np.arange(len(t)) % 2 == 0
    shuffled = np.where(half, y, y[::-1])
    one = built(name).fit(X, y, sample_weight=np.where(half, 2.0, 0.0), t=t)
    two = built(name).fit(X, shuffled, sample_weight=np.where(half, 2.0, 0.0), t=t)
    assert one.n_rounds_ == two.n_rounds_
    np.testing.assert_allclose(asked(one, X), asked(two, X), atol=1e-6)
    torn = np.where(half, y, y.max() - y)
    believed = [built(name).fit(X, torn, sample_weight=np.where(each, 1.0, 0.01), t=t) for each in (half, ~half)]
    assert np.abs(asked(believed[0], X) - asked(believed[1], X)).max() > 0.05


@BOOSTED
def test_it_is_fitted_by_name_kept_in_the_library_s_format_and_says_the_same(name, tmp_path: Path):
    """The saved form knows nothing of the stopping."""
    frame, target = rows()
    known = fitted(
        DECLARED[name],
        frame,
        target_of(DECLARED[name], target),
        parameters=parameters(name, n_estimators=12, early_stopping_rounds=3),
    )
    assert library_of(known.predictor) == name.partition("_")[0]
    save_model(known, tmp_path / "it")
    assert said(load_fitted(tmp_path / "it"), frame).tobytes() == said(known, frame).tobytes()


@BOOSTED
def test_without_moments_it_is_refused_in_a_sentence(name):
    frame, target = rows()
    with pytest.raises(FeatureUnavailable, match="hand in `t`, the moment of each row"):
        fitted(
            DECLARED[name],
            frame,
            target_of(DECLARED[name], target),
            parameters=parameters(name, early_stopping_rounds=3),
            keys=None,
        )
    with pytest.raises(FeatureUnavailable, match="too few"):
        built(name).fit(np.zeros((20, 4)), np.arange(20) % 2, t=np.repeat([0, 1], 10))


@pytest.mark.parametrize("name", NAMES[1::2])
def test_a_class_that_only_the_later_rows_hold_is_refused(name):
    X, y, t = problem(name)
    y = np.where(t >= np.unique(t)[32], 2, y % 2)
    with pytest.raises(FeatureUnavailable, match="1 came later only"):
        built(name).fit(X, y, t=t)
    with pytest.raises(FeatureUnavailable, match="earlier held 1"):
        built(name).fit(X, (t >= np.unique(t)[32]).astype(int), t=t)


@pytest.mark.parametrize("name", NAMES[1::2])
def test_a_class_of_the_purged_rows_alone_is_still_learnt(name):
    """The inner fit counts its own classes; the kept one knows all."""
    X, y, t = problem(name)
    dates = np.unique(t)
    y = np.where((t >= dates[27]) & (t < dates[32]), 0, 1 + y % 2)
    stopped = built(name).fit(X, y, t=t)
    assert stopped.classes_.tolist() == [0, 1, 2]
    assert asked(stopped, X).shape == (len(t), 3)


@pytest.mark.parametrize("bad", [-1, 2.5, True, "3", None])
def test_impossible_rounds_are_refused(bad):
    with pytest.raises(BadInput, match="`early_stopping_rounds` must be a whole number"):
        DECLARED["xgboost"].build(early_stopping_rounds=bad)


@BOOSTED
def test_a_clone_is_the_same_and_not_fitted(name):
    X, y, t = problem(name, dates=20)
    once = built(name, n_estimators=6).fit(X, y, t=t)
    again = clone(once)
    assert not hasattr(again, "predictor_")
    np.testing.assert_array_equal(asked(again.fit(X, y, t=t), X), asked(once, X))


@pytest.mark.parametrize("blend", ["ensemble", "stacking"])
def test_a_stopped_member_of_a_blend_gets_its_moments_and_is_kept_as_itself(blend, tmp_path: Path):
    frame, target = rows(80)
    small = {"xgboost": 6, "random_forest": 3, "lightgbm": 6}
    members = [(DECLARED[each], {"n_estimators": trees}) for each, trees in small.items()]
    for each in ("xgboost", "lightgbm"):
        members[list(small).index(each)][1]["early_stopping_rounds"] = 2
    known = fitted(DECLARED[blend], frame, target, members=members)
    assert [library_of(member) for _, member in known.predictor.members] == ["xgboost", "sklearn", "lightgbm"]
    save_model(known, tmp_path / blend)
    assert np.isfinite(said(load_fitted(tmp_path / blend), frame)).all()
    with pytest.raises((BadInput, FeatureUnavailable), match="hand in `t`"):
        fitted(DECLARED[blend], frame, target, members=members, keys=None)


def test_missing_values_reach_the_later_rows_too():
    frame, target = rows()
    holes = frame.with_columns(pl.when(pl.col("noise") > 0).then(pl.col("noise")))
    for name in ("xgboost", "lightgbm", "catboost"):
        known = fitted(
            DECLARED[name], holes, target, parameters=parameters(name, n_estimators=8, early_stopping_rounds=2)
        )
        assert np.isfinite(said(known, holes)).all()
