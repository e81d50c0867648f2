"""Models on the disk: whole or absent, unchanged or refused, never unpickled."""

import json
import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from openbell.core.errors import BadInput, IntegrityBroken, StorageFailed
from openbell.store import artifacts, formats, predictors, scikit
from openbell.store.artifacts import FittedModel, load_model, manifest_digest, save_model

FRAME = pl.DataFrame({"a": [0.1, 0.2, 0.4], "b": [1.0, -1.0, 0.0]})


def ridge(scale: float = 1.0, **more) -> FittedModel:
    predictor = Ridge(alpha=1.0).fit(FRAME.to_numpy().astype(np.float32), np.array([1.0, 2.0, 3.0]) * scale)
    return FittedModel("ridge", ("a", "b"), predictor, **more)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_model(ridge(meta={"as_of": "2020-01-02T14:00:00+00:00"}), tmp_path / "m" / "ridge")
    return tmp_path / "m" / "ridge"


def test_round_trip_with_its_meta(saved: Path):
    loaded = load_model(saved)
    assert loaded.meta == {"as_of": "2020-01-02T14:00:00+00:00"}
    assert loaded.predict(FRAME).tobytes() == ridge().predict(FRAME).tobytes()


@pytest.mark.parametrize("harm", ["flip", "cut", "empty"])
def test_a_changed_file_is_refused(saved: Path, harm: str):
    path = saved / "model.skops"
    content = path.read_bytes()
    path.write_bytes({"flip": content[:-1] + bytes([content[-1] ^ 1]), "cut": content[:-9], "empty": b""}[harm])
    with pytest.raises(IntegrityBroken, match="was changed"):
        load_model(saved)


@pytest.mark.parametrize("name", ["model.skops", "manifest.json"])
def test_a_missing_file_is_refused(saved: Path, name: str):
    (saved / name).unlink()
    with pytest.raises(IntegrityBroken, match=name.replace(".", r"\.")):
        load_model(saved)


def test_an_additional_file_is_refused(saved: Path):
    (saved / "model.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(IntegrityBroken, match=r"missing: none; not in it: model\.pkl"):
        load_model(saved)


def test_a_changed_manifest_is_refused_by_the_registered_hash(saved: Path):
    """Kills a check of the files alone: swapped feature names pass every file hash."""
    registered = manifest_digest(saved)
    manifest = json.loads((saved / "manifest.json").read_text())
    manifest["features"] = ["b", "a"]
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(IntegrityBroken, match="not the registered one"):
        load_model(saved, manifest_hash=registered)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}'])
def test_a_manifest_that_is_none_is_refused(saved: Path, text: str):
    (saved / "manifest.json").write_text(text)
    with pytest.raises(IntegrityBroken):
        load_model(saved)


def test_a_format_that_is_not_ours_is_refused(saved: Path):
    manifest = json.loads((saved / "manifest.json").read_text())
    (saved / "manifest.json").write_text(json.dumps({**manifest, "format": "pickle"}))
    with pytest.raises(IntegrityBroken, match="'pickle'"):
        load_model(saved)


def test_the_same_model_again_is_a_no_op_and_another_is_refused(saved: Path):
    before = manifest_digest(saved)
    assert save_model(ridge(meta={"as_of": "2020-01-02T14:00:00+00:00"}), saved) == before
    with pytest.raises(StorageFailed, match="never overwritten"):
        save_model(ridge(scale=2.0), saved)
    assert manifest_digest(saved) == before


def test_a_save_that_dies_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*paths: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifacts, "_sync", full)
    with pytest.raises(StorageFailed, match="No space left"):
        save_model(ridge(), tmp_path / "ridge")
    assert list(tmp_path.iterdir()) == []


def test_what_skops_does_not_trust_is_not_saved(tmp_path: Path):
    """Trap 18: the list of trusted types is fixed, not the file's own."""
    inner = Pipeline([("f", FunctionTransformer(predictors.library_of)), ("r", Ridge())])
    inner.steps[1][1].fit(np.eye(2), [1.0, 2.0])
    with pytest.raises(BadInput, match="library_of"):
        save_model(FittedModel("odd", ("a",), inner), tmp_path / "odd")
    assert list(tmp_path.iterdir()) == []


def test_a_predictor_without_a_safe_format_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="no safe format"):
        save_model(FittedModel("odd", ("a",), object()), tmp_path / "odd")


def test_infinite_scores_are_refused():
    class Broken:
        def predict(self, matrix: np.ndarray) -> np.ndarray:
            return np.full(len(matrix), np.inf)

    with pytest.raises(BadInput, match="scored 3 rows as infinite"):
        FittedModel("broken", ("a", "b"), Broken()).predict(FRAME)


def test_many_rows_are_scored_in_parts_and_none_is_none(monkeypatch: pytest.MonkeyPatch):
    whole = ridge().predict(FRAME)
    monkeypatch.setattr(artifacts, "ROWS_AT_ONCE", 2)
    np.testing.assert_allclose(ridge().predict(FRAME), whole, rtol=1e-6)
    assert ridge().predict(FRAME.clear()).shape == (0,)


def test_nothing_here_reads_a_pickle():
    for module in (artifacts, formats, predictors, scikit):
        source = Path(str(module.__file__)).read_text()
        assert "import pickle" not in source
        assert "joblib" not in source
