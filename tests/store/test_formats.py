"""Each library's own format: exact round trips, equal bytes, every file hashed, members and calibrators included."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier, XGBRegressor

from openbell.core.errors import BadInput, IntegrityBroken
from openbell.quant import calibration
from openbell.quant.recurrent import Recurrent
from openbell.store.artifacts import MANIFEST, FittedModel, load_model, save_model
from openbell.store.formats import FORMATS, format_of
from openbell.store.predictors import Calibrated, Composite, OneClass, OneColumn, predictor_of

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 2)).astype(np.float32)
Y = (X[:, 0] + 0.2 * RNG.standard_normal(120)).astype(np.float32)
CODES = np.digitize(Y, [-0.5, 0.5])
TWO = (CODES > 1).astype(int)
FRAME = pl.DataFrame(X, schema=["a", "b"])
KEYS = pl.DataFrame({"session": np.arange(120).astype("datetime64[D]"), "symbol": ["S"] * 120})
QUIET: dict[str, Any] = {"thread_count": 1, "allow_writing_files": False, "logging_level": "Silent"}
DECODERS = {"calibrator": calibration.from_json, "recurrent": Recurrent.from_tensors}


def network(classes: int) -> Recurrent:
    shapes = {
        "lstm.weight_ih_l0": (8, 2),
        "lstm.weight_hh_l0": (8, 2),
        "lstm.bias_ih_l0": (8,),
        "lstm.bias_hh_l0": (8,),
    }
    shapes |= {"head.weight": (max(classes, 1), 2), "head.bias": (max(classes, 1),)}
    rng = np.random.default_rng(1)
    tensors = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return Recurrent(2, 2, 4, classes, 0.1, 0.3, 1.0, tensors)


def boosted(of: type = LGBMRegressor, target: np.ndarray = Y) -> Any:
    return predictor_of(of(n_estimators=3, verbosity=-1, n_jobs=1).fit(X, target))


def votes() -> Composite:
    members = (
        ("xgboost_classifier", XGBClassifier(n_estimators=3, n_jobs=1).fit(X, CODES)),
        ("tree", DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, CODES)),
        ("lstm_classifier", network(3)),
    )
    return Composite(members, 3, (0.4, 0.3, 0.3))


def stacked() -> Composite:
    members = votes().members[:2]
    meta = LogisticRegression().fit(
        np.hstack([each.predict_proba(X) for _, each in members])[CODES > 0], CODES[CODES > 0]
    )
    return Composite(members, 3, meta=meta, present=(1, 2))


def calibrated() -> Calibrated:
    inner = stacked()
    return Calibrated(inner, calibration.isotonic(inner.predict_proba(X), CODES))


#: How many classes each knows, and what makes it.
PREDICTORS: dict[str, tuple[int, str, Callable[[], Any]]] = {
    "booster": (0, "lightgbm-text", boosted),
    "booster of classes": (3, "lightgbm-text", lambda: boosted(LGBMClassifier, CODES)),
    "booster of two": (2, "lightgbm-text", lambda: boosted(LGBMClassifier, TWO)),
    "xgboost": (0, "xgboost-ubj", lambda: XGBRegressor(n_estimators=3, n_jobs=1).fit(X, Y)),
    "xgboost of classes": (3, "xgboost-classifier-ubj", lambda: XGBClassifier(n_estimators=3, n_jobs=1).fit(X, CODES)),
    "xgboost of two": (2, "xgboost-classifier-ubj", lambda: XGBClassifier(n_estimators=3, n_jobs=1).fit(X, TWO)),
    "catboost": (0, "catboost-cbm", lambda: CatBoostRegressor(n_estimators=3, **QUIET).fit(X, Y)),
    "catboost of classes": (3, "catboost-cbm", lambda: CatBoostClassifier(n_estimators=3, **QUIET).fit(X, CODES)),
    "catboost of two": (2, "catboost-cbm", lambda: CatBoostClassifier(n_estimators=3, **QUIET).fit(X, TWO)),
    "ridge": (0, "skops", lambda: Ridge().fit(X, Y)),
    "one column": (0, "one-column", lambda: OneColumn("b", 1)),
    "one class": (1, "one-class", OneClass),
    "network": (0, "torch", lambda: network(0)),
    "network of classes": (3, "torch", lambda: network(3)),
    "mean": (0, "composite", lambda: Composite((("a", Ridge().fit(X, Y)), ("b", boosted())), 0, (0.1, 0.7), 1 / 3)),
    "votes": (3, "composite", votes),
    "stack": (3, "composite", stacked),
    "calibrated": (3, "calibrated", calibrated),
    "blend of blends": (3, "composite", lambda: Composite((("v", votes()), ("c", calibrated())), 3, (0.5, 0.5))),
}  # fmt: skip
EACH = pytest.mark.parametrize("name", PREDICTORS)


def model(name: str) -> FittedModel:
    classes, _, make = PREDICTORS[name]
    return FittedModel(name, ("a", "b"), make(), classes=tuple(float(each) for each in range(classes)))


def said(fitted: FittedModel) -> np.ndarray:
    return fitted.predict_proba(FRAME, KEYS) if fitted.classes else fitted.predict(FRAME, KEYS)


@EACH
def test_a_round_trip_is_exact(name, tmp_path: Path):
    """Trap 18: what is loaded says the same bytes, also members of members and floats that JSON writes."""
    known = model(name)
    save_model(known, tmp_path / "it")
    loaded = load_model(tmp_path / "it", decoders=DECODERS)
    assert said(loaded).tobytes() == said(known).tobytes()
    assert json.loads((tmp_path / "it" / MANIFEST).read_text())["format"] == PREDICTORS[name][1]
    assert loaded.sequential == known.sequential


@EACH
def test_equal_predictors_are_equal_bytes(name, tmp_path: Path):
    assert save_model(model(name), tmp_path / "one") == save_model(model(name), tmp_path / "two")


@EACH
def test_saved_again_after_loading_it_is_the_same(name, tmp_path: Path):
    """Kills a loaded form that lost something, and one that cannot be kept."""
    save_model(model(name), tmp_path / "one")
    save_model(load_model(tmp_path / "one", decoders=DECODERS), tmp_path / "two")
    for each in (each for each in (tmp_path / "one").rglob("*.json") if each.name != MANIFEST):
        assert each.read_bytes() == (tmp_path / "two" / each.relative_to(tmp_path / "one")).read_bytes()


def test_every_format_has_a_case():
    assert {kind for _, kind, _ in PREDICTORS.values()} == set(FORMATS)


def test_probabilities_are_the_librarys_own():
    """Kills a swapped pair of columns where a library gives one probability alone."""
    for name, own in (("booster of two", LGBMClassifier(n_estimators=3, verbosity=-1, n_jobs=1)),):
        np.testing.assert_array_equal(
            said(model(name)), own.fit(X, TWO).booster_.predict(X)[:, None] * [-1, 1] + [1, 0]
        )
    for name in ("catboost of two", "catboost of classes", "xgboost of two"):
        known = model(name)
        np.testing.assert_allclose(said(known), known.predictor.predict_proba(X), atol=1e-12)


def test_a_stack_and_a_calibrator_by_hand():
    known = stacked()
    raw = np.hstack([each.predict_proba(X) for _, each in known.members])
    np.testing.assert_array_equal(known.predict_proba(X)[:, 0], 0.0)
    np.testing.assert_array_equal(known.predict_proba(X)[:, 1:], known.meta.predict_proba(raw))
    outer = calibrated()
    np.testing.assert_array_equal(outer.predict_proba(X), outer.calibrator.apply(known.predict_proba(X)))


def test_rows_on_which_a_member_abstains_stay_without_an_answer(tmp_path: Path):
    """Trap 7, through a calibrator too: NaN is never calibrated into a probability."""
    inner = votes()
    outer = Calibrated(
        inner,
        calibration.temperature(inner.predict_proba(X[:60], t=np.arange(60), symbol=np.zeros(60))[3:], CODES[3:60]),
    )
    scores = said(FittedModel("v", ("a", "b"), outer, classes=(0.0, 1.0, 2.0)))
    assert np.isnan(scores[:3]).all()
    assert np.isfinite(scores[3:]).all()


@pytest.mark.parametrize(
    ("name", "needed"), [("ridge", 1), ("network", 4), ("votes", 4), ("stack", 1), ("blend of blends", 4)]
)
def test_a_model_says_how_many_rows_it_reads(name, needed):
    """Kills a forecast that hands a sequence fewer rows than it needs, so that every name abstains."""
    known = model(name)
    assert known.history_rows == needed
    enough, short = (known.predict(FRAME[:n], KEYS[:n]) for n in (needed, needed - 1))
    assert np.isfinite(enough[-1])
    assert not np.isfinite(short).any()


def files_of(name: str, folder: Path) -> list[str]:
    save_model(model(name), folder)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_every_file_of_a_blend_is_watched(tmp_path: Path):
    """Issue's point 7: any one file tampered with or missing stops the load, and is named."""
    files = files_of("blend of blends", tmp_path / "it")
    assert len(files) > 12
    for name in files:
        for harm in ("changed", "missing"):
            shutil.copytree(tmp_path / "it", tmp_path / "harmed")
            path = tmp_path / "harmed" / name
            if harm == "missing":
                path.unlink()
            else:
                content = path.read_bytes()
                path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            with pytest.raises(IntegrityBroken, match=name.replace(".", r"\.")):
                load_model(tmp_path / "harmed", decoders=DECODERS, manifest_hash=None if name != MANIFEST else "0" * 64)
            shutil.rmtree(tmp_path / "harmed")


def test_an_additional_file_deep_inside_is_refused(tmp_path: Path):
    files_of("votes", tmp_path / "it")
    (tmp_path / "it" / "member-1" / "evil.pkl").write_bytes(b"x")
    with pytest.raises(IntegrityBroken, match=r"not in it: member-1/evil\.pkl"):
        load_model(tmp_path / "it", decoders=DECODERS)


def test_a_link_to_elsewhere_is_watched_like_a_file(tmp_path: Path):
    files_of("votes", tmp_path / "it")
    (tmp_path / "it" / "elsewhere").symlink_to(tmp_path)
    with pytest.raises(IntegrityBroken, match="not in it: elsewhere"):
        load_model(tmp_path / "it", decoders=DECODERS)


@pytest.mark.parametrize(("name", "what"), [("network", "recurrent"), ("calibrated", "calibrator")])
def test_what_nobody_decodes_is_told(name, what, tmp_path: Path):
    save_model(model(name), tmp_path / "it")
    with pytest.raises(BadInput, match=f"holds a {what}, and nobody said how to make one"):
        load_model(tmp_path / "it")


@pytest.mark.parametrize(
    "estimator",
    [
        LGBMRegressor(),
        LGBMClassifier(),
        XGBRegressor(),
        XGBClassifier(),
        CatBoostRegressor(),
        CatBoostClassifier(),
        Ridge(),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_is_not_fitted_is_not_saved(estimator, tmp_path: Path):
    """Check 57."""
    with pytest.raises(BadInput, match="is not fitted; an untrained model is not saved"):
        save_model(FittedModel("untrained", ("a", "b"), estimator), tmp_path / "it")
    inside = Composite((("ridge", Ridge().fit(X, Y)), ("untrained", estimator)), 0, (0.5, 0.5))
    with pytest.raises(BadInput, match="is not fitted"):
        save_model(FittedModel("blend", ("a", "b"), inside), tmp_path / "it")
    assert list(tmp_path.iterdir()) == []


def test_a_number_of_classes_that_is_not_its_own_is_refused():
    known = XGBClassifier(n_estimators=2, n_jobs=1).fit(X, CODES)
    with pytest.raises(BadInput, match=r"shape \(120, 3\); it knows 2"):
        FittedModel("x", ("a", "b"), known, classes=(0.0, 1.0)).predict(FRAME)


def test_numbers_that_are_no_probabilities_are_refused():
    class Broken:
        def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
            return np.tile([1.4, -0.4], (len(matrix), 1))

    with pytest.raises(BadInput, match="gave 240 numbers that are no probabilities"):
        FittedModel("broken", ("a", "b"), Broken(), classes=(0.0, 1.0)).predict(FRAME)


def test_none_of_the_formats_is_asked_of_a_stranger():
    with pytest.raises(BadInput, match=r"no safe format for a builtins\.object"):
        format_of(object())
