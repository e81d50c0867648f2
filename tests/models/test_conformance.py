"""Every declared model keeps the same contract: seeds, rows, names, missing values, weights, classes, files."""

import inspect
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput, Refused
from openbell.models.naive import naive
from openbell.research.fitting import fingerprint, load_fitted
from openbell.store.artifacts import FittedModel, save_model

sys.path.insert(0, str(Path(__file__).parent))
from small_rows import DECLARED, NAMES, SMALL, SYMBOLS, fitted, keys, members_of, rows, said, target_of

EVERY = pytest.mark.parametrize("model", DECLARED.values(), ids=DECLARED.keys())
LEARNING = pytest.mark.parametrize("model", [m for n, m in DECLARED.items() if n != "naive"], ids=lambda m: m.name)
CLASSIFIERS = pytest.mark.parametrize(
    "model", [m for m in DECLARED.values() if m.task == "classification"], ids=lambda m: m.name
)
#: Context that a row needs before it to be scored: the sequence of the small networks, in dates.
CONTEXT = 2


@pytest.fixture(scope="module")
def fits() -> dict[str, FittedModel]:
    """Each model fitted once on the same rows; tests that only ask share it."""
    frame, target = rows()
    return {name: fitted(model, frame, target_of(model, target)) for name, model in DECLARED.items()}


def test_the_candidates_of_the_issue_are_declared():
    assert set(DECLARED) == {
        "naive", "ridge", "logistic", "random_forest", "random_forest_classifier", "xgboost", "xgboost_classifier",
        "lightgbm", "lightgbm_classifier", "catboost", "catboost_classifier", "lstm", "lstm_classifier", "ensemble",
        "voting", "stacking", "stacking_classifier",
    }  # fmt: skip


@EVERY
def test_every_parameter_has_a_default_and_the_search_stays_within_them(model):
    parameters = set(inspect.signature(model.build).parameters) - {"members"}
    assert set(model.settings) == parameters
    assert set(model.search) <= parameters
    assert all(set(space) in ({"low", "high"}, {"low", "high", "log"}, {"choices"}) for space in model.search.values())
    assert ("members" in inspect.signature(model.build).parameters) == bool(model.members)


@EVERY
def test_the_whole_search_space_can_be_built(model):
    """Kills a space whose ends the library refuses or that names a parameter otherwise than the build."""
    built = [(name, DECLARED[name].build()) for name in model.members]
    more = {"members": built} if built else {}
    for end in ("low", "high"):
        model.build(
            **{name: space.get(end, space.get("choices", [None])[0]) for name, space in model.search.items()}, **more
        )


@EVERY
def test_the_same_seed_gives_the_same_bytes(model, fits):
    frame, target = rows()
    again = fitted(model, frame, target_of(model, target))
    assert said(again, frame).tobytes() == said(fits[model.name], frame).tobytes()


@EVERY
def test_rows_in_another_order_say_the_same_of_each(model, fits):
    """Kills a prediction by position: what is said of a row is said of it wherever it stands."""
    frame, _ = rows()
    shuffled = np.random.default_rng(3).permutation(frame.height)
    whole = said(fits[model.name], frame)
    np.testing.assert_allclose(said(fits[model.name], frame[shuffled], keys()[shuffled]), whole[shuffled], atol=1e-6)


@EVERY
def test_one_row_is_scored_as_in_a_batch(model, fits):
    """Check 14: what is served one by one is what was scored in a batch; a sequence is served with its own context."""
    frame, _ = rows()
    batch, size = said(fits[model.name], frame), len(SYMBOLS)
    for at in range(CONTEXT * size, frame.height, 37):
        needed = [at - size * back for back in range(CONTEXT, -1, -1)] if fits[model.name].sequential else [at]
        alone = said(fits[model.name], frame[needed], keys()[needed])[-1]
        np.testing.assert_allclose(alone, batch[at], rtol=0, atol=1e-6)


@EVERY
def test_it_learns_what_is_there(model, fits):
    """Kills a model that scores a constant, another column, or the wrong sign."""
    fresh, truth = rows(seed=1)
    scores = said(fits[model.name], fresh)
    rising = scores[:, -1] - scores[:, 0] if scores.shape[1] > 1 else scores[:, 0]
    whole = np.isfinite(rising)
    assert np.corrcoef(rising[whole], truth[whole])[0, 1] > 0.5


@EVERY
def test_saved_and_loaded_it_says_the_same_bytes(model, fits, tmp_path: Path):
    """Trap 18: safe formats, and an exact round trip."""
    frame, _ = rows()
    save_model(fits[model.name], tmp_path / model.name)
    loaded = load_fitted(tmp_path / model.name)
    assert said(loaded, frame).tobytes() == said(fits[model.name], frame).tobytes()
    assert loaded.features == NAMES
    assert loaded.classes == fits[model.name].classes
    assert loaded.sequential == fits[model.name].sequential == model.sequential
    assert not [path for path in (tmp_path / model.name).rglob("*") if path.suffix in (".pkl", ".joblib", ".pt")]


@EVERY
def test_two_fits_are_saved_as_the_same_bytes(model, fits, tmp_path: Path):
    """Kills clocks, random names and memory addresses in a file."""
    frame, target = rows()
    again = fitted(model, frame, target_of(model, target))
    assert (
        len({save_model(each, tmp_path / str(at) / "model") for at, each in enumerate((fits[model.name], again))}) == 1
    )


@EVERY
def test_columns_are_matched_by_name(model, fits):
    """Trap 5: reordered columns score the same; a missing or an additional one is refused."""
    frame, _ = rows()
    known = fits[model.name]
    assert said(known, frame.select(NAMES[::-1])).tobytes() == said(known, frame).tobytes()
    with pytest.raises(BadInput, match="missing here: noise"):
        known.predict(frame.drop("noise"), keys())
    with pytest.raises(BadInput, match="not known to it: later"):
        known.predict(frame.with_columns(later=pl.lit(1.0)), keys())
    with pytest.raises(BadInput, match="Did you mean `noises`"):
        known.predict(frame.rename({"noise": "noises"}), keys())


@EVERY
def test_missing_values_are_handled_as_declared(model):
    """Null and NaN are the same thing; a model that does not handle them refuses."""
    frame, target = rows()
    holes = frame.with_columns(pl.when(pl.col("noise") > 0).then(pl.col("noise")))
    if not model.handles_missing:
        with pytest.raises(BadInput, match="does not handle missing"):
            fitted(model, holes, target_of(model, target))
        return
    known = fitted(model, holes, target_of(model, target))
    scores = said(known, holes)
    assert np.isfinite(scores[CONTEXT * len(SYMBOLS) :]).all()
    assert said(known, holes.fill_null(float("nan"))).tobytes() == scores.tobytes()


@LEARNING
def test_a_missing_value_counts_the_same_whatever_stands_beside_it(model, fits):
    """Kills an imputer that is fitted: what is said of a row with holes must not depend on other rows (trap 16)."""
    frame, _ = rows()
    at = np.arange(frame.height) % len(SYMBOLS) == 4
    hole = frame.with_columns(volatility=pl.when(~pl.Series(at)).then("volatility"))
    other = hole.with_columns(volatility=pl.when(~pl.Series(at)).then(pl.col("volatility") * 5))
    one, two = said(fits[model.name], hole)[at], said(fits[model.name], other)[at]
    np.testing.assert_allclose(one, two, atol=1e-7)


@EVERY
@pytest.mark.parametrize("bad", [float("inf"), float("-inf")])
def test_infinite_values_are_refused(model, fits, bad):
    """Check 57: the gate stands before the fit and before the prediction."""
    frame, target = rows()
    infinite = frame.with_columns(pl.when(pl.int_range(pl.len()) == 3).then(bad).otherwise("volatility").alias("noise"))
    for act in (lambda: fitted(model, infinite, target_of(model, target)), lambda: said(fits[model.name], infinite)):
        with pytest.raises(BadInput, match="`noise` holds infinite"):
            act()


@LEARNING
def test_a_constant_column_is_survived(model):
    """Kills a division by the spread of a column that has none, and a split on it."""
    frame, target = rows()
    frame = frame.with_columns(constant=pl.lit(3.0, dtype=pl.Float32))
    scores = said(fitted(model, frame, target_of(model, target)), frame)
    assert np.isfinite(scores[CONTEXT * len(SYMBOLS) :]).all()
    assert np.nanstd(scores[:, 0]) > 0


@LEARNING
def test_a_column_missing_everywhere_is_survived(model):
    frame, target = rows()
    known = fitted(model, frame.with_columns(noise=pl.lit(None, dtype=pl.Float32)), target_of(model, target))
    assert np.isfinite(said(known, frame)[CONTEXT * len(SYMBOLS) :]).all()


@CLASSIFIERS
@pytest.mark.parametrize("only", [-1, 0, 5])
def test_a_single_class_has_probability_one(model, only, tmp_path: Path):
    """Trap: libraries that refuse, or that call the only class 0."""
    frame, target = rows()
    known = fitted(model, frame, np.full(len(target), only))
    save_model(known, tmp_path / "one")
    for each in (known, load_fitted(tmp_path / "one")):
        assert each.classes == (only,)
        np.testing.assert_array_equal(each.predict_proba(frame, keys()), np.ones((frame.height, 1)))
        np.testing.assert_array_equal(each.predict(frame, keys()), np.full(frame.height, only))


@CLASSIFIERS
@pytest.mark.parametrize("classes", [(-1, 1), (0, 1), (3, 10, 20, 40)])
def test_any_number_of_classes_under_any_name(model, classes, tmp_path: Path):
    """Kills codes that are taken for classes, and a library's own order or shape of two."""
    frame, target = rows()
    edges = np.quantile(target, np.linspace(0, 1, len(classes) + 1)[1:-1])
    named = np.array(classes)[np.digitize(target, edges)]
    known = fitted(model, frame, named)
    save_model(known, tmp_path / "it")
    for each in (known, load_fitted(tmp_path / "it")):
        probabilities, chosen = each.predict_proba(frame, keys()), each.predict(frame, keys())
        whole = np.isfinite(chosen)
        assert each.classes == classes
        np.testing.assert_allclose(probabilities[whole].sum(axis=1), 1.0, atol=1e-5)
        np.testing.assert_array_equal(chosen[whole], np.array(classes)[probabilities[whole].argmax(axis=1)])
        assert (np.isnan(probabilities).all(axis=1) == ~whole).all()
        assert (chosen[whole] == named[whole]).mean() > 1.2 / len(classes)


@LEARNING
def test_weights_decide_which_rows_are_learnt_from(model):
    """Half of the rows say the opposite; whoever has the weight is believed. Kills weights that are not passed on."""
    frame, target = rows()
    contrary = np.arange(len(target)) % 2 == 1
    torn = target_of(model, np.where(contrary, -target, target))
    fresh, truth = rows(seed=1)
    for believed, sign in ((~contrary, 1), (contrary, -1)):
        scores = said(fitted(model, frame, torn, sample_weight=np.where(believed, 1.0, 0.01)), fresh)
        rising = scores[:, -1] - scores[:, 0] if scores.shape[1] > 1 else scores[:, 0]
        whole = np.isfinite(rising)
        assert sign * np.corrcoef(rising[whole], truth[whole])[0, 1] > 0.2


@pytest.mark.parametrize("name", ["ridge", "logistic"])
def test_no_weight_is_as_if_the_row_were_not_there(name):
    frame, target = rows()
    model, half = DECLARED[name], np.arange(len(target)) < 200
    y = target_of(model, target)
    weighted = fitted(model, frame, y, sample_weight=half.astype(float))
    alone = fitted(model, frame.filter(pl.Series(half)), y[half])
    np.testing.assert_allclose(said(weighted, frame), said(alone, frame), atol=1e-5)


@EVERY
def test_the_fingerprint_changes_with_the_parameters_and_only_with_them(model):
    members = members_of(model)
    assert fingerprint(model, {}, members) == fingerprint(model, dict(model.settings), members)
    for name in model.settings:
        assert fingerprint(model, {name: "else"}, members) != fingerprint(model, {}, members)


@EVERY
def test_what_is_not_fitted_is_not_saved(model, tmp_path: Path):
    """Check 57: an untrained model never becomes an artifact."""
    estimator = model.build(**SMALL.get(model.name, {}), **({"members": []} if model.members else {}))
    kept = getattr(estimator, "predictor_", estimator) if model.name in ("ridge", "logistic") else estimator
    for each in {id(estimator): estimator, id(kept): kept}.values():
        with pytest.raises(BadInput, match=r"not fitted|once fitted"):
            save_model(FittedModel(model.name, NAMES, each), tmp_path / "untrained")
    assert list(tmp_path.iterdir()) == []


@EVERY
def test_nothing_is_fitted_that_was_not_counted(model):
    """The ledger of trials cannot be passed by: kills a default ledger and a check after the fit."""
    frame, target = rows()
    with pytest.raises(Refused, match="not in the ledger"):
        fitted(model, frame, target_of(model, target), ledger=frozenset())
    counted = {fingerprint(model, SMALL.get(model.name, {}), members_of(model))}
    fitted(model, frame, target_of(model, target), ledger=counted)


def test_naive_abstains_where_its_feature_is_missing(fits):
    """Trap 7: no prediction is NaN, never a number."""
    frame, _ = rows()
    scores = fits["naive"].predict(frame.with_columns(momentum_12_1=pl.lit(None, dtype=pl.Float32)))
    assert np.isnan(scores).all()
    np.testing.assert_array_equal(fits["naive"].predict(frame), frame["momentum_12_1"].to_numpy())


def test_naive_says_why_it_abstains_without_its_feature():
    frame, target = rows()
    with pytest.raises(BadInput, match="`momentum_12_1`, which is not among the 3 features"):
        fitted(naive[0], frame.drop("momentum_12_1"), target)
    other = fitted(naive[0], frame, target, parameters={"column": "noise"})
    assert other.predict(frame)[0] == frame["noise"][0]
