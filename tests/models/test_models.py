"""Every declared model keeps the same contract: seeds, rows, names, missing values, files."""

import inspect
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openbell import models
from openbell.core.declare import Model, _modules, collect
from openbell.core.errors import BadInput, FeatureUnavailable
from openbell.models.naive import naive
from openbell.research.fitting import fingerprint, fit
from openbell.store.artifacts import load_model, save_model

DECLARED: dict[str, Model] = collect(_modules(models.__name__), Model)
SMALL = {"random_forest": {"trees": 8, "row_share": 0.3}, "xgboost": {"trees": 8}, "lightgbm": {"trees": 8}}
NAMES = ("momentum_12_1", "volatility", "constant", "noise")

every_model = pytest.mark.parametrize("model", DECLARED.values(), ids=DECLARED.keys())
fitted_models = pytest.mark.parametrize(
    "model", [each for each in DECLARED.values() if each.name != "naive"], ids=[n for n in DECLARED if n != "naive"]
)


def rows(n: int = 400, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    matrix = (rng.random((n, len(NAMES))) - 0.5).astype(np.float32)
    matrix[:, 2] = 0.0
    target = 0.6 * matrix[:, 0] - 0.3 * matrix[:, 1] + 0.1 * rng.standard_normal(n)
    return pl.DataFrame(matrix, schema=list(NAMES)), target


def small(model: Model) -> dict:
    return SMALL.get(model.name, {})


def test_five_candidates_are_declared():
    assert set(DECLARED) == {"naive", "ridge", "random_forest", "xgboost", "lightgbm"}


@every_model
def test_the_same_seed_gives_the_same_bytes(model):
    frame, target = rows()
    one, two = (fit(model, frame, target, small(model)).predict(frame) for _ in range(2))
    assert one.tobytes() == two.tobytes()


@every_model
def test_every_parameter_has_a_default_and_the_build_accepts_it(model):
    parameters = inspect.signature(model.build).parameters
    assert set(model.settings) == set(parameters)
    assert set(model.search) <= set(parameters)
    model.build(**model.settings)


@every_model
def test_one_row_is_scored_as_in_a_batch(model):
    """Check 14: what is served one by one is what was scored in a batch."""
    frame, target = rows()
    fitted = fit(model, frame, target, small(model))
    batch = fitted.predict(frame)
    single = np.concatenate([fitted.predict(frame[at]) for at in range(0, frame.height, 37)])
    np.testing.assert_allclose(single, batch[::37], rtol=0, atol=1e-7)


@every_model
def test_it_learns_what_is_there(model):
    """Kills a model that scores a constant, another column, or the wrong sign."""
    frame, target = rows()
    fresh, truth = rows(seed=1)
    scores = fit(model, frame, target, small(model)).predict(fresh)
    assert np.corrcoef(scores, truth)[0, 1] > 0.5


@every_model
def test_saved_and_loaded_it_scores_the_same_bytes(model, tmp_path: Path):
    """Trap 18: safe formats, and an exact round trip."""
    frame, target = rows()
    fitted = fit(model, frame, target, small(model))
    save_model(fitted, tmp_path / model.name)
    loaded = load_model(tmp_path / model.name)
    assert loaded.predict(frame).tobytes() == fitted.predict(frame).tobytes()
    assert loaded.features == NAMES


@every_model
def test_two_fits_are_saved_as_the_same_bytes(model, tmp_path: Path):
    frame, target = rows()
    hashes = {save_model(fit(model, frame, target, small(model)), tmp_path / name / "model") for name in "ab"}
    assert len(hashes) == 1


@every_model
def test_columns_are_matched_by_name(model):
    """Trap 5: reordered columns score the same; a missing or an additional one is refused."""
    frame, target = rows()
    fitted = fit(model, frame, target, small(model))
    assert fitted.predict(frame.select(NAMES[::-1])).tobytes() == fitted.predict(frame).tobytes()
    with pytest.raises(BadInput, match="missing here: noise"):
        fitted.predict(frame.drop("noise"))
    with pytest.raises(BadInput, match="not known to it: later"):
        fitted.predict(frame.with_columns(later=pl.lit(1.0)))
    with pytest.raises(BadInput, match="Did you mean `noises`"):
        fitted.predict(frame.rename({"noise": "noises"}))


@every_model
def test_missing_values_are_handled_as_declared(model):
    """Null and NaN are the same thing; a model that does not handle them refuses."""
    frame, target = rows()
    holes = frame.with_columns(pl.when(pl.col("noise") > 0).then(pl.col("noise")))
    if not model.handles_missing:
        with pytest.raises(BadInput, match="does not handle missing"):
            fit(model, holes, target, small(model))
        return
    fitted = fit(model, holes, target, small(model))
    assert np.isfinite(fitted.predict(holes)).all()
    assert fitted.predict(holes.fill_null(float("nan"))).tobytes() == fitted.predict(holes).tobytes()


@every_model
@pytest.mark.parametrize("bad", [float("inf"), float("-inf")])
def test_infinite_values_are_refused(model, bad):
    """Check 57: the gate stands before the fit and before the prediction."""
    frame, target = rows()
    infinite = frame.with_columns(pl.when(pl.int_range(pl.len()) == 3).then(bad).otherwise("volatility").alias("noise"))
    fitted = fit(model, frame, target, small(model))
    for act in (lambda: fit(model, infinite, target, {}), lambda: fitted.predict(infinite)):
        with pytest.raises(BadInput, match="`noise` holds infinite"):
            act()


@every_model
def test_an_empty_training_set_is_refused(model):
    frame, target = rows()
    with pytest.raises(BadInput, match="no rows to train on"):
        fit(model, frame.clear(), target[:0], small(model))


@every_model
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_target_that_is_not_finite_is_refused(model, bad):
    frame, target = rows()
    target[5] = bad
    with pytest.raises(BadInput, match="finite value"):
        fit(model, frame, target, small(model))


@every_model
def test_an_unknown_parameter_is_refused(model):
    frame, target = rows()
    with pytest.raises(BadInput, match="no parameter `depht`"):
        fit(model, frame, target, {"depht": 3})


@every_model
def test_a_column_missing_everywhere_changes_nothing_for_the_others(model):
    frame, target = rows()
    fitted = fit(model, frame.with_columns(noise=pl.lit(None, dtype=pl.Float32)), target, small(model))
    assert np.isfinite(fitted.predict(frame)).all()


@fitted_models
def test_the_middle_of_the_date_is_what_a_missing_value_counts_for(model):
    """Kills an imputer that is fitted: the score of a row with holes must not depend on other rows (trap 16)."""
    frame, target = rows()
    fitted = fit(model, frame, target, small(model))
    hole = frame[:1].with_columns(volatility=pl.lit(None, dtype=pl.Float32))
    other = frame[1:].with_columns(pl.col("volatility") * 5)
    alone, among = fitted.predict(hole)[0], fitted.predict(pl.concat([hole, other]))[0]
    assert alone == pytest.approx(among, abs=1e-7)


def test_naive_abstains_where_its_feature_is_missing():
    """Trap 7: no prediction is NaN, never a number."""
    frame, target = rows()
    fitted = fit(naive[0], frame, target, {})
    scores = fitted.predict(frame.with_columns(momentum_12_1=pl.lit(None, dtype=pl.Float32)))
    assert np.isnan(scores).all()
    np.testing.assert_array_equal(fitted.predict(frame), frame["momentum_12_1"].to_numpy())


def test_naive_says_why_it_abstains_without_its_feature():
    frame, target = rows()
    with pytest.raises(FeatureUnavailable, match="`momentum_12_1`, which is not among the 3 features"):
        fit(naive[0], frame.drop("momentum_12_1"), target, {})
    assert fit(naive[0], frame, target, {"column": "noise"}).predict(frame)[0] == frame["noise"][0]


@every_model
def test_the_fingerprint_changes_with_the_parameters_and_only_with_them(model):
    same = fingerprint(model, {}) == fingerprint(model, dict(model.settings))
    name = next(iter(model.settings))
    assert same
    assert fingerprint(model, {name: "else"}) != fingerprint(model, {})
