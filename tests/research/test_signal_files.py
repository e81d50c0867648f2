"""Models of the signals desk as folders: the same bits back, every file under one hash, nothing foreign."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from signal_worlds import FEATURES, MODELS, SMALL, Everything, decisions

from openbell.core.errors import BadInput, IntegrityBroken, StorageFailed
from openbell.research.signal_files import load_signal_model, save_signal_model
from openbell.research.signal_models import candidate, fit_signal_model

ROWS = decisions(sessions=90, symbols=4, skill=0.5)
KEYS = ROWS.select(pl.col("as_of").alias("t"), "symbol")


def fitted(seed=0, name="voting"):
    given = {"ledger": Everything(), "coverage": 0.8, "importance_rows": 40}
    rows = decisions(sessions=90, symbols=4, skill=0.5, seed=seed)
    return fit_signal_model(rows, FEATURES, candidate(name, MODELS, parameters=SMALL), **given)


@pytest.fixture(scope="module")
def model():
    return fitted()


@pytest.fixture(scope="module")
def kept(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "voting"
    return folder, save_signal_model(model, folder)


def test_loaded_it_says_the_same_bits(model, kept):
    """Trap 18; members, ranks, every calibrator and every conformal set."""
    folder, manifest = kept
    again = load_signal_model(folder, manifest)
    for name in model.members:
        assert again.say(name, ROWS, KEYS).tobytes() == model.say(name, ROWS, KEYS).tobytes()
    own = {name: model.say(name, ROWS, KEYS) for name in model.members}
    for heard in (own, *({name: each} for name, each in own.items())):
        was, now = model.vote(heard), again.vote(heard)
        assert now.probabilities.tobytes() == was.probabilities.tobytes()
        assert (now.in_set == was.in_set).all()
    assert (again.features, again.coverage, again.history_rows) == (model.features, model.coverage, model.history_rows)
    assert dict(again.report) == json.loads(json.dumps(dict(model.report)))


def test_the_importance_of_the_features_is_kept_with_the_model(kept):
    """S3.08."""
    told = pl.DataFrame(load_signal_model(kept[0]).report["importance"])
    assert told.group_by("member").len()["len"].to_list() == [3, 3, 3]
    first = told.filter(pl.col("method") == "contribution").group_by("member", maintain_order=True).first()
    assert first["feature"].to_list() == ["edge_1d", "edge_1d"]


def test_nothing_is_pickled(kept):
    names = {path.name for path in kept[0].rglob("*") if path.is_file()}
    assert not [name for name in names if name.endswith((".pkl", ".joblib", ".pt", ".pickle"))]
    assert "manifest.json" in names


def test_the_same_again_is_a_no_op_and_another_model_is_refused(model, kept):
    folder, manifest = kept
    assert save_signal_model(fitted(), folder) == manifest
    with pytest.raises(StorageFailed, match="already holds another model"):
        save_signal_model(fitted(seed=1), folder)


def test_a_changed_a_missing_and_an_additional_file_are_found(kept, tmp_path):
    for number, path in enumerate(sorted(each for each in kept[0].rglob("*") if each.is_file())):
        copy = tmp_path / str(number)
        shutil.copytree(kept[0], copy)
        changed = copy / path.relative_to(kept[0])
        changed.write_bytes(changed.read_bytes()[:-1] + bytes([changed.read_bytes()[-1] ^ 1]))
        with pytest.raises(IntegrityBroken):
            load_signal_model(copy, kept[1])
        changed.unlink()
        with pytest.raises(IntegrityBroken):
            load_signal_model(copy, kept[1])
    (tmp_path / "0" / "more.json").write_text("{}")
    with pytest.raises(IntegrityBroken):
        load_signal_model(tmp_path / "0")


def test_a_foreign_manifest_is_refused(kept, tmp_path):
    """A model that is whole in itself but is not the registered one, and a model of another kind."""
    other = save_signal_model(fitted(seed=1), tmp_path / "other")
    assert other != kept[1]
    with pytest.raises(IntegrityBroken, match="not the one on record"):
        load_signal_model(tmp_path / "other", kept[1])
    with pytest.raises(IntegrityBroken, match="does not hold a model of the signals desk"):
        load_signal_model(kept[0] / "members" / "xgboost_classifier")


def test_an_untrained_model_is_not_saved(model, tmp_path):
    """Check 57."""
    from xgboost import XGBClassifier

    with pytest.raises(BadInput, match="untrained"):
        save_signal_model(replace(model, calibrators={}, sets={}), tmp_path / "empty")
    raw = replace(model.members["xgboost_classifier"], predictor=XGBClassifier())
    with pytest.raises(BadInput, match="not fitted"):
        save_signal_model(replace(model, members={**model.members, "xgboost_classifier": raw}), tmp_path / "raw")
    assert not list(tmp_path.iterdir())
