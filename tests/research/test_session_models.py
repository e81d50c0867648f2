"""Models of the session desk: what they learn from, what they say, and that a folder gives the same bits back."""

import datetime as dt
import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss

sys.path.insert(0, str(Path(__file__).parent))
from session_decisions import FEATURES, FIRST, Everything, candidates, sessions

from openbell.core.errors import BadInput, IntegrityBroken, Refused, StorageFailed
from openbell.core.hashing import canonical_json
from openbell.core.session import CLASSES
from openbell.research.calibration_choice import AS_IT_IS, chosen_calibrator, ways_to_calibrate
from openbell.research.session_files import FORMAT_VERSION, load_session_model, save_session_model, with_card
from openbell.research.session_models import Candidate, fit_session_models, smoothed, trials_of
from openbell.research.session_scores import scored
from openbell.research.session_walk import walk
from openbell.store.artifacts import MANIFEST

LABEL = "archetype_by_range"
NAMES = ("logistic", "lightgbm_classifier", "xgboost_classifier", "base_rate")
ROWS = sessions(n=140, products=("ES", "NQ"), label=LABEL, skill=0.5, open_last=1)


def fitted(rows=ROWS, names=NAMES, label=LABEL, **more):
    return fit_session_models(rows, FEATURES, label, candidates(*names), **{"ledger": Everything(), **more})


@pytest.fixture(scope="module")
def models():
    return fitted()


# What is learned from what.


def test_every_row_known_at_the_fit_is_used_once_and_no_other(models):
    report = models["logistic"].report
    assert (report["train"]["n"], report["calibrate"]["n"], report["unknown"]) == (208, 70, 0)
    assert report["train"]["last"] < report["calibrate"]["first"]
    assert report["method"] in (AS_IT_IS, "temperature", "sigmoid")
    # At the cut-off of the 101st session 100 outcomes are known, and its own is not.
    at = dt.datetime.combine(FIRST + dt.timedelta(days=100), dt.time(14, 15), dt.UTC)
    early = fitted(names=("logistic",), fit_at=at)["logistic"].report
    assert early["calibrate"]["last"] == str(FIRST + dt.timedelta(days=99))
    assert early["fit_at"].startswith("2020-04-15T14:15")
    assert early["unknown"] == 2


def test_the_calibrating_sessions_are_not_seen_by_the_classifier():
    """Turning them round changes the calibrator and the base rates, and no bit of the classifier."""
    cut = fitted(names=("logistic",))["logistic"].report["calibrate"]["first"]
    late = pl.col("session") >= pl.lit(cut).str.to_date()
    turned = ROWS.with_columns(pl.when(late).then(2 - pl.col("label")).otherwise("label").cast(pl.Int8).alias("label"))
    was, now = (fitted(each, ("xgboost_classifier",))["xgboost_classifier"] for each in (ROWS, turned))
    own = [each.fitted.predict_proba(ROWS.select(FEATURES)) for each in (was, now)]
    assert own[0].tobytes() == own[1].tobytes()
    assert was.probabilities(ROWS).tobytes() != now.probabilities(ROWS).tobytes()


def test_the_base_rate_is_that_of_all_known_labels(models):
    """`(n_k + 1) / (n + k)` by hand, the same for every row, also one without features."""
    known = ROWS["label"].drop_nulls()
    hand = [(int((known == code).sum()) + 1) / (known.len() + 3) for code in range(3)]
    bare = ROWS.head(2).with_columns(pl.lit(None, pl.Float64).alias(name) for name in FEATURES)
    for frame in (ROWS, bare):
        np.testing.assert_allclose(models["base_rate"].probabilities(frame), np.tile(hand, (frame.height, 1)))


def test_what_is_not_in_the_ledger_is_not_fitted():
    """Every configuration is counted before it is tried, and the count is what `trials_of` tells."""
    asked = candidates("logistic", "base_rate")
    counted = {trial.fingerprint for trial in trials_of(asked, desk="session", data="d")}
    assert set(fit_session_models(ROWS, FEATURES, LABEL, asked, ledger=counted)) == {"logistic", "base_rate"}
    with pytest.raises(Refused, match="not in the ledger of trials"):
        fit_session_models(ROWS, FEATURES, LABEL, candidates("xgboost_classifier"), ledger=counted)


def test_what_nothing_can_be_learned_from_is_refused():
    with pytest.raises(BadInput, match="no label of the session desk `archetype`"):
        fitted(label="archetype")
    with pytest.raises(BadInput, match="Labels run from 0 to 1"):
        fitted(label="direction_of_day")
    with pytest.raises(BadInput, match="There are known labels of 2 sessions; 2 of them calibrate, and the members"):
        fitted(ROWS.filter(pl.col("session") < FIRST + dt.timedelta(days=2)))
    two = Candidate("both", (*candidates("logistic")[0].members, *candidates("base_rate")[0].members))
    with pytest.raises(BadInput, match="`both` of the session desk must be one classifier"):
        fit_session_models(ROWS, FEATURES, LABEL, [two], ledger=Everything())


# What they say.


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_complete_and_never_0(models, name):
    said = models[name].probabilities(ROWS)
    assert said.shape == (ROWS.height, 3)
    np.testing.assert_allclose(said.sum(axis=1), 1.0)
    assert (said > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_answered_alike_alone_and_among_others(models, name):
    """Check 14: what is served is what was scored; columns are read by name, and no other column is."""
    whole = models[name].probabilities(ROWS)
    for at in range(0, ROWS.height, 41):
        alone = models[name].probabilities(ROWS[at : at + 1].select(*reversed(FEATURES), "price"))
        np.testing.assert_allclose(alone[0], whole[at], rtol=0, atol=1e-6)


def test_a_missing_column_and_an_infinite_value_are_refused(models):
    with pytest.raises(BadInput, match="missing here: noise"):
        models["logistic"].probabilities(ROWS.drop("noise"))
    with pytest.raises(BadInput, match="`edge` hold infinite values"):
        models["logistic"].probabilities(ROWS.with_columns(edge=pl.lit(math.inf)))


def test_a_row_without_any_value_is_not_answered(models):
    bare = ROWS.head(2).with_columns(pl.lit(None, pl.Float64).alias(name) for name in FEATURES)
    assert np.isnan(models["logistic"].probabilities(pl.concat([bare, ROWS.head(1)]))).all(axis=1).tolist() == [
        True, True, False,
    ]  # fmt: skip


def test_what_rests_on_few_rows_stays_near_the_base_rates():
    rates = np.array([0.5, 0.3, 0.2])
    sure = np.array([[1.0, 0.0, 0.0]])
    np.testing.assert_allclose(smoothed(sure, rates, 3), [[0.75, 0.15, 0.1]])
    np.testing.assert_allclose(smoothed(sure, rates, 0), [rates])
    assert smoothed(sure, rates, 10**9)[0, 1] > 0


def test_a_class_that_only_the_calibrating_rows_know_is_not_impossible():
    """Kills 36 nats for one row: what training never saw would make every other probability useless."""
    late = pl.col("session") > FIRST + dt.timedelta(days=110)
    rare = pl.when(late).then("label").otherwise(pl.col("label").clip(upper_bound=1)).cast(pl.Int8).alias("label")
    model = fitted(ROWS.with_columns(rare), ("xgboost_classifier",))["xgboost_classifier"]
    assert model.report["seen"] == ["TREND_DOWN", "RANGE"]
    raw = model.raw(ROWS)[:, 2]
    np.testing.assert_allclose(raw, 3 * model.rates[2] / (model.trained + 3))
    assert (model.probabilities(ROWS)[:, 2] > 0).all()


def test_the_way_to_calibrate_is_the_one_that_held_on_the_later_third():
    """Overconfident probabilities are softened; true ones, and those that never change, are left as they are."""
    rng = np.random.default_rng(1)
    true = 1 / (1 + np.exp(-rng.normal(0, 1, 3000)))
    label = (rng.random(3000) < true).astype(np.int64)
    boast = true**4 / (true**4 + (1 - true) ** 4)
    for given, wanted in ((boast, True), (true, False)):
        raw = np.column_stack([1 - given, given])
        ways = ways_to_calibrate(raw)
        assert list(ways) == [AS_IT_IS, "temperature", "sigmoid"]
        name, calibrator = chosen_calibrator(ways, raw, label)
        losses = {
            each: sklearn_log_loss(label[2000:], way(raw[:2000], label[:2000]).apply(raw[2000:]))
            for each, way in ways.items()
        }
        assert name == min(losses, key=losses.__getitem__)
        moved = np.abs(calibrator.apply(raw)[:, 1] - given).max()
        assert (moved > 0.1) == wanted
    assert list(ways_to_calibrate(np.tile([0.4, 0.6], (5, 1)))) == [AS_IT_IS]


# How they are kept.


@pytest.fixture(scope="module")
def kept(models, tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {name: (root / name, save_session_model(model, root / name)) for name, model in models.items()}


@pytest.mark.parametrize("name", NAMES)
def test_loaded_it_says_the_same_bits_and_is_the_same(models, kept, name):
    folder, manifest = kept[name]
    again = load_session_model(folder, manifest)
    assert again.probabilities(ROWS).tobytes() == models[name].probabilities(ROWS).tobytes()
    own = ("name", "label", "classes", "features", "trained", "calibrated", "card")
    assert [getattr(again, each) for each in own] == [getattr(models[name], each) for each in own]
    assert canonical_json(dict(again.report)) == canonical_json(dict(models[name].report))
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".joblib", ".pt", ".pickle")]


def test_the_same_again_is_a_no_op_and_another_model_is_refused(models, kept):
    folder, manifest = kept["xgboost_classifier"]
    assert save_session_model(fitted(names=("xgboost_classifier",))["xgboost_classifier"], folder) == manifest
    with pytest.raises(StorageFailed, match="already holds another model"):
        save_session_model(models["base_rate"], folder)


def test_a_changed_a_missing_and_an_additional_file_are_found(kept, tmp_path):
    folder, manifest = kept["lightgbm_classifier"]
    for number, path in enumerate(sorted(each for each in folder.rglob("*") if each.is_file())):
        copy = tmp_path / str(number)
        shutil.copytree(folder, copy)
        old = path.read_bytes()
        (copy / path.relative_to(folder)).write_bytes(
            old.replace(b"1", b"2", 1) if path.name == MANIFEST else old + b" "
        )
        with pytest.raises(IntegrityBroken):
            load_session_model(copy, manifest)
    (copy / "more.txt").write_text("x")
    with pytest.raises(IntegrityBroken):
        load_session_model(copy)


def test_another_format_and_another_kind_are_refused_with_a_sentence(kept, tmp_path):
    folder, _ = kept["base_rate"]
    for field, value, error, words in (
        ("format_version", FORMAT_VERSION + 1, BadInput, r"of the format version 2.*reads 1\. Train again"),
        ("kind", "signals", IntegrityBroken, "does not hold a model of the session desk"),
    ):
        copy = tmp_path / field
        shutil.copytree(folder, copy)
        manifest = json.loads((copy / MANIFEST).read_text())
        (copy / MANIFEST).write_text(canonical_json({**manifest, field: value}))
        with pytest.raises(error, match=words):
            load_session_model(copy)


def test_the_card_tells_what_it_is_and_what_it_was_worth(tmp_path):
    """S4.13, S4.14."""
    classes = CLASSES[LABEL]
    found = walk(
        ROWS, FEATURES, classes, candidates("logistic", "base_rate"), ledger=Everything(), min_train_sessions=80
    )
    scores = scored(found.forecasts, ROWS, classes, replications=1000, made_up="generated")
    lineage = pl.DataFrame({"feature": FEATURES, "source": "bars", "as_of": ROWS["as_of"].max()})
    model = with_card(fitted(names=("logistic",))["logistic"], scores=scores, lineage=lineage)
    manifest = save_session_model(model, tmp_path / "m")
    card = load_session_model(tmp_path / "m", manifest).card
    assert card["data_range"] == {"first": "2020-01-06", "last": "2020-05-23", "sessions": 139, "rows": 278}
    assert card["feature_set"] == list(FEATURES)
    assert card["lineage"]["edge"] == {"source": "bars", "as_of": str(ROWS["as_of"].max())}
    assert card["scores"]["skill_nats"] == scores.models["skill_nats"][0]
    assert (card["scores"]["made_up"], card["scores"]["n"]) == ("generated", 118)
    assert card["trained"].startswith("2020-05-23T21:00")
    assert card["parameters"]["standardise"] is True
    with pytest.raises(BadInput, match="lineage lacks `edge`"):
        with_card(model, lineage=lineage.tail(2))
    with pytest.raises(BadInput, match="`other` was not in this walk"):
        with_card(replace(model, name="other"), scores=scores)
