"""Contributions sum to the forecast, equal shap's, or are refused; and what is lost without a feature."""

import datetime as dt
import math
import sys
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).parent))
from training_window import counted

from openbell.core.declare import ROOMS, Model, collect
from openbell.core.errors import BadInput, IntegrityBroken
from openbell.models import catboost, ensemble, lightgbm, linear, naive, random_forest, stacking, xgboost
from openbell.quant.calibration import temperature
from openbell.research.explanation import contributions, in_words, permutation_importance, summary
from openbell.research.fitting import fit
from openbell.store.artifacts import FittedModel
from openbell.store.predictors import Calibrated, Composite

NAMES = ("driver", "helper", "partner", "idle_1", "idle_2")
SMALL = {
    "xgboost": {"n_estimators": 15},
    "lightgbm": {"n_estimators": 15, "min_child_samples": 10},
    "catboost": {"n_estimators": 15},
    "random_forest": {"n_estimators": 10, "max_samples": 0.3},
}
MODELS = {
    model.name: model
    for room in (catboost, ensemble, lightgbm, linear, naive, random_forest, stacking, xgboost)
    for model in collect([room], ROOMS["models"][1]).values()
}
REGRESSORS = ["ridge", "lightgbm", "xgboost", "catboost", "random_forest", "ensemble", "stacking"]
CLASSIFIERS = [
    "logistic",
    "lightgbm_classifier",
    "xgboost_classifier",
    "catboost_classifier",
    "random_forest_classifier",
]


def market(dates: int = 40, per_date: int = 15, *, seed: int = 0, missing: float = 0.1) -> tuple:
    """Features with holes, an outcome of the driver, less of the helper, and the helper with its partner; the dates."""
    rng = np.random.default_rng(seed)
    n = dates * per_date
    values = rng.uniform(-0.5, 0.5, size=(n, len(NAMES)))
    outcome = 2 * values[:, 0] + values[:, 1] + 2 * values[:, 1] * values[:, 2] + 0.3 * rng.normal(size=n)
    values[rng.random(values.shape) < missing] = np.nan
    frame = pl.DataFrame(values, schema=list(NAMES)).fill_nan(None).cast(pl.Float32)
    sessions = pl.Series("session", [dt.date(2020, 1, 1) + dt.timedelta(days=i // per_date) for i in range(n)])
    return frame, sessions, outcome


@cache
def fitted(name: str, classes: int = 0) -> FittedModel:
    model: Model = MODELS[name]
    frame, sessions, outcome = market()
    target = np.digitize(outcome, np.quantile(outcome, np.arange(1, classes) / classes)).astype(float)
    keys = pl.DataFrame({"session": sessions, "symbol": [str(i % 15) for i in range(frame.height)]})
    members = tuple((MODELS[each], own_parameters(each)) for each in model.members)
    own = {} if members else own_parameters(name)
    return fit(
        model,
        frame,
        target if classes else outcome,
        own,
        ledger=counted(model, own, members),
        keys=keys if members else None,
        members=members,
    )


def own_parameters(name: str) -> dict:
    return SMALL.get(name.removesuffix("_classifier"), {}) | (
        {"min_samples_leaf": 0.02} if name == "random_forest" else {"max_samples": 0.5} if "forest" in name else {}
    )


ASKED = market(4, 15, seed=1)[0]


@pytest.mark.parametrize("name", REGRESSORS)
def test_contributions_sum_to_the_forecast(name: str) -> None:
    """Every kind of regressor, on rows with holes; what drives the outcome comes first."""
    model = fitted(name)
    found = contributions(model, ASKED)
    assert found.values.shape == (ASKED.height, 5)
    assert found.unit == "score"
    assert found.method != "permutation"
    assert found.additivity_error < 1e-5
    said = model.predict(ASKED)
    np.testing.assert_allclose(found.values.sum(axis=1) + found.base, said, atol=1e-5 * np.abs(said).max())
    assert summary(found, model.features)["feature"][0] == "driver"


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_contributions_to_a_class(name: str, classes: int) -> None:
    """Each class in turn; log-odds lead back to the probability that is forecast."""
    model = fitted(name, classes)
    probabilities = model.predict_proba(ASKED)
    totals = []
    for of in range(classes):
        found = contributions(model, ASKED, of=of)
        assert found.additivity_error < 1e-4
        assert summary(found, model.features)["feature"][0] == "driver" or of == 1 < classes - 1
        totals.append(found.values.sum(axis=1) + found.base)
    assert found.unit == ("probability" if "forest" in name else "log-odds")
    odds = np.column_stack(totals)
    if found.unit == "probability":
        said = odds
    elif classes == 2:
        np.testing.assert_allclose(odds[:, 0], -odds[:, 1], atol=1e-9)
        said = np.column_stack([1 - expit(odds[:, 1]), expit(odds[:, 1])])
    else:
        said = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(said, probabilities, atol=1e-5)
    last = contributions(model, ASKED)
    assert (last.values == found.values).all()


def shap_library():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap
    return shap


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost", "random_forest"])
def test_trees_equal_the_tree_explainer(name: str) -> None:
    """The library's own values against shap's reading of the same trees."""
    model = fitted(name)
    matrix = ASKED.to_numpy()
    predictor = model.predictor
    if name == "random_forest":
        matrix, predictor = np.nan_to_num(matrix), predictor.steps[-1][1]
    explainer = shap_library().TreeExplainer(predictor, feature_perturbation="tree_path_dependent")
    theirs = np.asarray(explainer.shap_values(matrix, check_additivity=False))
    found = contributions(model, ASKED)
    assert found.method == "tree"
    np.testing.assert_allclose(found.values, theirs, atol=1e-5)
    np.testing.assert_allclose(found.base, np.ravel(explainer.expected_value)[0], atol=1e-5)


def test_a_ridge_is_coefficient_times_value() -> None:
    model = fitted("ridge")
    ridge = model.predictor.steps[-1][1]
    found = contributions(model, ASKED)
    np.testing.assert_allclose(found.values, np.nan_to_num(ASKED.to_numpy()) * ridge.coef_, rtol=1e-6)
    assert (found.base == ridge.intercept_).all()
    one = contributions(model, ASKED[:1])
    assert (one.values == found.values[:1]).all()


def test_a_blend_is_the_sum_of_its_members() -> None:
    model = fitted("ensemble")
    found = contributions(model, ASKED)
    assert found.method == "sum"
    parts = [
        contributions(FittedModel(name, model.features, member, handles_missing=True), ASKED).values
        for name, member in model.predictor.members
    ]
    np.testing.assert_allclose(found.values, np.mean(parts, axis=0), atol=1e-12)


def test_the_naive_model_is_its_column() -> None:
    """Where it abstains its contributions are missing, not 0, and the summary leaves the row out."""
    frame, _, outcome = market()
    model = fit(
        MODELS["naive"], frame, outcome, {"column": "driver"}, ledger=counted(MODELS["naive"], {"column": "driver"})
    )
    found = contributions(model, ASKED)
    there = ASKED["driver"].is_not_null().to_numpy()
    assert not there.all()
    assert np.isnan(found.values[~there]).all()
    assert np.isnan(found.base[~there]).all()
    np.testing.assert_array_equal(found.values[there, 0], ASKED["driver"].to_numpy()[there].astype(float))
    table = summary(found, model.features)
    assert table["feature"][0] == "driver"
    assert table["mean_abs"][0] == pytest.approx(ASKED["driver"].abs().mean())


class Pairs:
    """Additive but for one product: half of it belongs to each of the two."""

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        x = np.nan_to_num(np.asarray(matrix, dtype=np.float64))
        return 3 * x[:, 0] + x[:, 1] - 2 * x[:, 1] * x[:, 2]


def test_permutation_is_exact_for_pairs() -> None:
    """Shapley by hand against a background: kills one order alone, a wrong background, a feature too many."""
    model = FittedModel("pairs", NAMES, Pairs(), handles_missing=True)
    background = market(2, 15, seed=3)[0]
    found = contributions(model, ASKED, background=background)
    x, b = np.nan_to_num(ASKED.to_numpy().astype(float)), np.nan_to_num(background.to_numpy().astype(float))
    mean, product = b.mean(axis=0), (b[:, 1] * b[:, 2]).mean()
    want = np.zeros_like(x)
    want[:, 0] = 3 * (x[:, 0] - mean[0])
    both, first, second = x[:, 1] * x[:, 2], x[:, 1] * mean[2], mean[1] * x[:, 2]
    want[:, 1] = x[:, 1] - mean[1] - (both - second + first - product)
    want[:, 2] = -(both - first + second - product)
    np.testing.assert_allclose(found.values, want, atol=1e-6)
    assert found.method == "permutation"
    assert found.additivity_error < 1e-9
    assert found.base[0] == pytest.approx(Pairs().predict(background.to_numpy()).mean())
    again = contributions(model, ASKED, background=background)
    assert (again.values == found.values).all()
    drawn = contributions(model, ASKED, seed=1)
    assert drawn.values[0, 0] == pytest.approx(3 * x[0, 0] - 3 * (drawn_mean := (3 * x[0, 0] - drawn.values[0, 0]) / 3))
    assert abs(drawn_mean) < 0.5


@pytest.mark.slow
def test_permutation_equals_the_exact_explainer_of_shap() -> None:
    """Slow: the library compiles for ten seconds."""
    model = FittedModel("pairs", NAMES, Pairs(), handles_missing=True)
    background, asked = market(1, 15, seed=3, missing=0)[0], market(1, 10, seed=4, missing=0)[0]
    masker = shap_library().maskers.Independent(background.to_numpy(), max_samples=15)
    theirs = shap_library().ExactExplainer(Pairs().predict, masker)(asked.to_numpy())
    ours = contributions(model, asked, background=background)
    np.testing.assert_allclose(ours.values, theirs.values, atol=1e-6)


def test_what_no_library_explains_is_permuted() -> None:
    """A calibrated classifier and a stack of classifiers, in probabilities of the class asked for."""
    raw = fitted("logistic", 2)
    calibrated = replace(
        raw, predictor=Calibrated(raw.predictor, temperature(raw.predict_proba(ASKED), np.arange(60) % 2))
    )
    stack = fitted("stacking_classifier", 2)
    for model in (calibrated, stack):
        found = contributions(model, ASKED[:4])
        assert found.method == "permutation"
        assert found.unit == "probability"
        np.testing.assert_allclose(found.values.sum(axis=1) + found.base, model.predict_proba(ASKED[:4])[:, 1])


class Swapped:
    """A forest whose answers are not those of its trees."""

    def __init__(self, booster, by: float) -> None:
        self.booster, self.by = booster, by

    def predict(self, matrix, **asked):
        out = self.booster.predict(matrix, **asked)
        return out if asked.get("pred_contrib") else out + self.by


Swapped.__module__ = "lightgbm.tampered"


def test_contributions_of_another_model_are_refused() -> None:
    """Kills a check that is never made, or made against the contributions' own sum."""
    model = fitted("lightgbm")
    largest = np.abs(model.predict(ASKED)).max()
    assert contributions(replace(model, predictor=Swapped(model.predictor, 1e-6 * largest)), ASKED)
    with pytest.raises(IntegrityBroken, match="they explain another model"):
        contributions(replace(model, predictor=Swapped(model.predictor, 1e-3 * largest)), ASKED)


def test_what_cannot_be_explained_is_refused() -> None:
    class Sequence:
        sequential = True

    model = fitted("ridge")
    with pytest.raises(BadInput, match="reads sequences"):
        contributions(replace(model, predictor=Sequence()), ASKED)
    with pytest.raises(BadInput, match="no rows"):
        contributions(model, ASKED.clear())
    with pytest.raises(BadInput, match="knows 0; was 1"):
        contributions(model, ASKED, of=1)
    with pytest.raises(BadInput, match="missing here: driver"):
        contributions(model, ASKED.drop("driver"))
    with pytest.raises(BadInput, match="background"):
        contributions(FittedModel("pairs", NAMES, Pairs(), handles_missing=True), ASKED, background=ASKED.clear())
    silent = Composite((("pairs", Pairs()),), 0, (math.nan,))
    with pytest.raises(BadInput, match="abstains on 16 rows"):
        contributions(FittedModel("silent", NAMES, silent, handles_missing=True), ASKED)


def test_forecasts_in_words() -> None:
    row = {"driver": 0.4567, "helper": None, "partner": -0.1, "idle_1": 0.0, "idle_2": 0.2}
    told = in_words(np.array([0.1, -0.3, 0.05, 0.0, -0.01]), NAMES, row)
    assert told == (
        "`helper`, which is missing, lowered the score by 0.3.",
        "`driver` at 0.457 raised the score by 0.1.",
        "`partner` at -0.1 raised the score by 0.05.",
    )
    assert in_words(np.array([0.0, 0.0, 0.0, 0.0, 1.0]), NAMES, row, unit="log-odds") == (
        "`idle_2` at 0.2 raised the log-odds by 1.",
    )
    assert in_words(np.full(5, math.nan), NAMES, row) == ("The model abstains here.",)
    with pytest.raises(BadInput, match="no value of the feature `idle_2`"):
        in_words(np.zeros(5), NAMES, {name: row[name] for name in NAMES[:4]})
    with pytest.raises(BadInput, match="5 columns of contributions and 4 names"):
        in_words(np.zeros(5), NAMES[:4], row)


def test_a_shuffled_driver_costs_its_rank_ic() -> None:
    model = fitted("lightgbm")
    frame, sessions, outcome = market(30, 15, seed=2)
    table = permutation_importance(model, frame, sessions, outcome, seed=3)
    assert table["feature"][0] == "driver"
    assert set(table["feature"]) == set(NAMES)
    assert table["n_dates"].to_list() == [30] * 5
    values = dict(zip(table["feature"], table["drop"], strict=True))
    spread = dict(zip(table["feature"], table["spread"], strict=True))
    assert values["driver"] > 0.3
    assert abs(values["idle_1"]) < 0.05
    assert 0 < spread["driver"] < 0.1
    assert table.equals(permutation_importance(model, frame, sessions, outcome, seed=3))
    assert not table.equals(permutation_importance(model, frame, sessions, outcome, seed=4))


def test_families_are_shuffled_together() -> None:
    """Two copies of the driver share its work: alone each costs half of it, together all. Kills single shuffles."""
    frame, sessions, outcome = market(30, 15, seed=2, missing=0)
    twin = frame.with_columns(copy=pl.col("driver"))
    model = fit(MODELS["ridge"], twin, outcome, {"alpha": 1.0}, ledger=counted(MODELS["ridge"], {"alpha": 1.0}))
    families = {"both": ["driver", "copy"], "one": ["driver"], "idle": ["idle_1", "idle_2"]}
    table = permutation_importance(model, twin, sessions, outcome, families=families)
    drop = dict(zip(table["feature"], table["drop"], strict=True))
    assert drop["both"] > 2 * drop["one"] > 0.1
    assert abs(drop["idle"]) < 0.02
    alone = fit(MODELS["ridge"], frame, outcome, {"alpha": 1.0}, ledger=counted(MODELS["ridge"], {"alpha": 1.0}))
    single = permutation_importance(alone, frame, sessions, outcome, features=["driver"])
    assert single["drop"][0] == pytest.approx(drop["both"], abs=0.05)


def test_shuffling_stays_within_a_date_and_is_undone() -> None:
    """Check 55: a feature that tells dates apart, not names, has nothing to lose; the frame is not touched."""
    seen = []

    class Watched:
        def predict(self, matrix):
            seen.append(np.asarray(matrix))
            return np.asarray(matrix, dtype=float)[:, 0]

    rng = np.random.default_rng(0)
    sessions = pl.Series([dt.date(2020, 1, 1) + dt.timedelta(days=int(each)) for each in rng.integers(0, 8, size=120)])
    level = sessions.rank("dense").cast(pl.Float64) * 100
    frame = pl.DataFrame({"x": level + pl.Series(rng.normal(size=120)), "level": level}).cast(pl.Float32)
    kept = frame.clone()
    model = FittedModel("watched", ("x", "level"), Watched())
    table = permutation_importance(model, frame, sessions, rng.normal(size=120), repeats=2)
    drop = dict(zip(table["feature"], table["drop"], strict=True))
    assert drop["level"] == 0.0
    assert drop["x"] != 0.0
    assert frame.equals(kept)
    for matrix in seen[1:]:
        for session in sessions.unique():
            own = (sessions == session).to_numpy()
            np.testing.assert_array_equal(np.sort(matrix[own, 0]), np.sort(kept["x"].to_numpy()[own]))
    assert any((matrix[:, 0] != kept["x"].to_numpy()).any() for matrix in seen[1:])
    assert permutation_importance(model, frame, sessions, rng.normal(size=120), repeats=1)["spread"].to_list() == [
        None,
        None,
    ]


def test_importance_of_a_classifier_is_log_loss() -> None:
    frame, sessions, outcome = market(30, 15, seed=2)
    table = permutation_importance(fitted("logistic", 2), frame, sessions, (outcome > 0).astype(float))
    assert table["feature"][0] == "driver"
    assert table["drop"][0] > 0.1
    assert table["n_dates"][0] == 30


def test_importance_refuses_what_it_cannot_measure() -> None:
    model, (frame, sessions, outcome) = fitted("ridge"), market(3, 15)
    with pytest.raises(BadInput, match="not both"):
        permutation_importance(model, frame, sessions, outcome, features=["driver"], families={"a": ["driver"]})
    with pytest.raises(BadInput, match="Did you mean `driver`"):
        permutation_importance(model, frame, sessions, outcome, features=["drivers"])
    with pytest.raises(BadInput, match="`a` has no columns"):
        permutation_importance(model, frame, sessions, outcome, families={"a": []})
    with pytest.raises(BadInput, match="at least one shuffle"):
        permutation_importance(model, frame, sessions, outcome, repeats=0)
    with pytest.raises(BadInput, match="at least one shuffle"):
        permutation_importance(model, frame, sessions, outcome[1:])
    with pytest.raises(BadInput, match="no ranking to lose"):
        permutation_importance(model, frame, sessions, np.ones(45))
