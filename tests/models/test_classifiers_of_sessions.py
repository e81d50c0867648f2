"""What the session desk asks of its classifiers: a scale of their own, and the parameters of S4.07."""

import numpy as np
import polars as pl
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from openbell.core.declare import Model, collect
from openbell.core.errors import BadInput
from openbell.models import lightgbm, linear, random_forest, stacking, xgboost
from openbell.research.fitting import fit, load_fitted
from openbell.research.session_models import DEFAULTS, session_candidate
from openbell.store.artifacts import save_model

MODELS = collect([lightgbm, linear, random_forest, stacking, xgboost], Model)
NAMES = ("wide", "narrow", "absent")


class Everything:
    def __contains__(self, fingerprint: str) -> bool:
        return True


def rows(n=200, seed=0):
    """Features on very different scales, one with holes and one without any value, and two classes."""
    rng = np.random.default_rng(seed)
    wide, narrow = rng.normal(5e3, 2e3, n), rng.normal(0.0, 1e-3, n)
    label = (rng.random(n) < 1 / (1 + np.exp(-(wide - 5e3) / 2e3 - narrow * 1e3))).astype(np.int64)
    frame = pl.DataFrame({"wide": wide, "narrow": narrow, "absent": pl.Series([None] * n, dtype=pl.Float64)})
    return frame.with_columns(pl.when(pl.int_range(n) % 7 != 0).then("narrow").alias("narrow")), label


def fitted(**parameters):
    frame, label = rows()
    return fit(MODELS["logistic"], frame, label, parameters, ledger=Everything())


def test_the_standardised_logistic_regression_is_that_of_scikit_learn():
    frame, label = rows()
    x = frame.cast(pl.Float32).to_numpy()
    theirs = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        MinMaxScaler(clip=True),
        StandardScaler(),
        LogisticRegression(C=0.5, solver="newton-cholesky", max_iter=1000),
    ).fit(x, label)
    ours = fitted(C=0.5, max_iter=1000, standardise=True)
    np.testing.assert_allclose(ours.predict_proba(frame), theirs.predict_proba(x), rtol=0, atol=1e-12)


def test_its_scale_is_that_of_the_rows_of_the_fit():
    """Kills a scaler that sees what is asked: the same row is answered alike whatever stands beside it."""
    frame, _ = rows()
    ours = fitted(standardise=True)
    outlier = pl.concat([frame, pl.DataFrame({"wide": [1e9], "narrow": [1e6], "absent": [None]}, schema=frame.schema)])
    assert ours.predict_proba(outlier)[:-1].tobytes() == ours.predict_proba(frame).tobytes()


def test_units_do_not_matter_to_it():
    frame, label = rows()
    other = frame.with_columns(pl.col("wide") * 1e-3, pl.col("narrow") * 1e3)
    here, there = (
        fit(MODELS["logistic"], each, label, {"standardise": True}, ledger=Everything()).predict_proba(each)
        for each in (frame, other)
    )
    np.testing.assert_allclose(here, there, rtol=0, atol=1e-5)


def test_saved_and_loaded_it_says_the_same_bytes(tmp_path):
    frame, _ = rows()
    ours = fitted(standardise=True)
    manifest = save_model(ours, tmp_path / "a")
    assert save_model(fitted(standardise=True), tmp_path / "b") == manifest
    again = load_fitted(tmp_path / "a", manifest_hash=manifest)
    assert again.predict_proba(frame).tobytes() == ours.predict_proba(frame).tobytes()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("logistic", {"max_iter": 1000}),
        ("lightgbm_classifier", {"num_leaves": 31, "learning_rate": 0.05, "n_estimators": 100, "random_state": 42}),
        ("xgboost_classifier", {"max_depth": 6, "learning_rate": 0.05, "n_estimators": 100, "random_state": 42}),
    ],
)
def test_the_defaults_of_the_request_reach_the_library(name, wanted):
    """S4.07; a boosted tree of 31 leaves is not cut at a depth."""
    member = session_candidate(name, MODELS).members[0]
    built = member.model.build(**{**member.model.settings, **member.parameters})
    own = built.steps[-1][1] if name == "logistic" else built
    assert {key: own.get_params()[key] for key in wanted} == wanted
    if name == "lightgbm_classifier":
        assert own.get_params()["max_depth"] == -1
    if name == "logistic":
        assert built.steps[-2][0] == "scale"


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_part_of_the_parameters_replaces_no_other_part(name):
    """S4.07: the original lost its defaults as soon as one parameter was given."""
    key = next(iter(DEFAULTS[name]))
    given = session_candidate(name, MODELS, parameters={name: {key: 7}, "other": {"x": 1}}, called="mine")
    assert given.name == "mine"
    assert given.members[0].parameters == {**DEFAULTS[name], key: 7}
    assert set(MODELS[name].search) <= set(MODELS[name].settings)
    assert MODELS[name].search


def test_what_is_no_single_classifier_is_refused_with_those_that_are():
    for name in ("stacking_classifier", "ridge", "logistics"):
        with pytest.raises(BadInput, match=f"no candidate of the session desk `{name}`"):
            session_candidate(name, MODELS)
    assert session_candidate("base_rate", MODELS).members[0].parameters == {}
