"""How each library's models lie in a folder: its own safe format, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openbell.core.errors import BadInput, FeatureUnavailable, IntegrityBroken
from openbell.core.hashing import canonical_json
from openbell.store.predictors import Calibrated, Composite, OneClass, OneColumn, library_of
from openbell.store.scikit import load_skops, save_skops

#: What makes an object of plain fields that this room does not know: ``recurrent`` (fields, arrays) and ``calibrator``
#: (text). Those above hand them in.
Decoders = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Format:
    """Writes a predictor into an empty folder, and reads it back."""

    save: Callable[[Any, Path], None]
    load: Callable[[Path, Decoders], Any]


def _save_lightgbm(predictor: Any, folder: Path) -> None:
    (folder / "model.txt").write_text(predictor.model_to_string(), encoding="utf-8")


def _load_lightgbm(folder: Path, _: Decoders) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=(folder / "model.txt").read_text(encoding="utf-8"))


def _save_xgboost(predictor: Any, folder: Path) -> None:
    predictor.save_model(folder / "model.ubj")


def _load_xgboost(folder: Path, _: Decoders) -> Any:
    import xgboost

    predictor = xgboost.XGBRegressor(n_jobs=1)
    predictor.load_model(folder / "model.ubj")
    return predictor


def _load_xgboost_classifier(folder: Path, _: Decoders) -> Any:
    import xgboost

    predictor = xgboost.XGBClassifier(n_jobs=1)
    predictor.load_model(folder / "model.ubj")
    return predictor


def _save_catboost(predictor: Any, folder: Path) -> None:
    """CatBoost writes a clock and a random number into its metadata: without them equal models are equal bytes."""
    metadata = predictor.get_metadata()
    for name in ("train_finish_time", "model_guid"):
        metadata[name] = ""
    predictor.save_model(str(folder / "model.cbm"))


def _load_catboost(folder: Path, _: Decoders) -> Any:
    import catboost

    return catboost.CatBoost().load_model(str(folder / "model.cbm"))


def _save_one_column(predictor: Any, folder: Path) -> None:
    _write_json(folder / "model.json", {"column": predictor.column, "position": int(predictor.position_)})


def _load_one_column(folder: Path, _: Decoders) -> Any:
    stored = _read_json(folder / "model.json")
    return OneColumn(column=stored["column"], position_=stored["position"])


def _save_one_class(_: Any, folder: Path) -> None:
    _write_json(folder / "model.json", {"classes": 1})


def _load_one_class(_: Path, __: Decoders) -> Any:
    return OneClass()


def _save_torch(predictor: Any, folder: Path) -> None:
    from safetensors.numpy import save

    plain, tensors = predictor.to_tensors()
    _write_json(folder / "network.json", plain)
    (folder / "network.safetensors").write_bytes(
        save({name: np.ascontiguousarray(each) for name, each in tensors.items()})
    )


def _load_torch(folder: Path, decoders: Decoders) -> Any:
    try:
        from safetensors.numpy import load
    except ImportError as failure:
        raise FeatureUnavailable(
            f"The model in {folder} is kept as safetensors, which cannot be read here ({failure}). Install it with "
            "`pip install openbell[lstm]`."
        ) from failure
    decode = _decoder(decoders, "recurrent", folder)
    return decode(_read_json(folder / "network.json"), load((folder / "network.safetensors").read_bytes()))


def _save_composite(predictor: Composite, folder: Path) -> None:
    """Each member in a folder of its own, and how they are joined."""
    kinds = [
        {"name": name, "format": write(each, folder / f"member-{at}")}
        for at, (name, each) in enumerate(predictor.members)
    ]
    stored = {
        "members": kinds,
        "classes": predictor.classes,
        "weights": predictor.weights,
        "intercept": predictor.intercept,
        "meta": None if predictor.meta is None else write(predictor.meta, folder / "meta"),
        "present": predictor.present,
    }
    _write_json(folder / "composite.json", stored)


def _load_composite(folder: Path, decoders: Decoders) -> Any:
    stored = _read_json(folder / "composite.json")
    return Composite(
        members=tuple(
            (each["name"], read(each["format"], folder / f"member-{at}", decoders))
            for at, each in enumerate(stored["members"])
        ),
        classes=stored["classes"],
        weights=None if stored["weights"] is None else tuple(stored["weights"]),
        intercept=stored["intercept"],
        meta=None if stored["meta"] is None else read(stored["meta"], folder / "meta", decoders),
        present=tuple(stored["present"]),
    )


def _save_calibrated(predictor: Calibrated, folder: Path) -> None:
    (folder / "calibrator.json").write_text(predictor.calibrator.to_json(), encoding="utf-8")
    _write_json(folder / "calibrated.json", {"format": write(predictor.predictor, folder / "predictor")})


def _load_calibrated(folder: Path, decoders: Decoders) -> Any:
    decode = _decoder(decoders, "calibrator", folder)
    calibrator = decode((folder / "calibrator.json").read_text(encoding="utf-8"))
    return Calibrated(
        read(_read_json(folder / "calibrated.json")["format"], folder / "predictor", decoders), calibrator
    )


def _decoder(decoders: Decoders, what: str, folder: Path) -> Callable[..., Any]:
    if what not in decoders:
        raise BadInput(
            f"The model in {folder} holds a {what}, and nobody said how to make one. Load it with "
            "`research.fitting.load_fitted`, which knows."
        )
    return decoders[what]


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(canonical_json(content), encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


FORMATS: Mapping[str, Format] = {
    "lightgbm-text": Format(_save_lightgbm, _load_lightgbm),
    "xgboost-ubj": Format(_save_xgboost, _load_xgboost),
    "xgboost-classifier-ubj": Format(_save_xgboost, _load_xgboost_classifier),
    "catboost-cbm": Format(_save_catboost, _load_catboost),
    "skops": Format(save_skops, load_skops),
    "one-column": Format(_save_one_column, _load_one_column),
    "one-class": Format(_save_one_class, _load_one_class),
    "torch": Format(_save_torch, _load_torch),
    "composite": Format(_save_composite, _load_composite),
    "calibrated": Format(_save_calibrated, _load_calibrated),
}
_BY_LIBRARY = {"lightgbm": "lightgbm-text", "xgboost": "xgboost-ubj", "catboost": "catboost-cbm", "sklearn": "skops"}
_OWN: tuple[tuple[type[Any], str], ...] = (
    (Composite, "composite"),
    (Calibrated, "calibrated"),
    (OneClass, "one-class"),
)


def format_of(predictor: Any) -> str:
    """The name of the format that `predictor` is kept in; one without a safe format, or not fitted, is refused."""
    for kind, name in _OWN:
        if isinstance(predictor, kind):
            return name
    library = library_of(predictor)
    if library in _BY_LIBRARY:
        _refuse_unfitted(predictor)
        classifier = library == "xgboost" and hasattr(predictor, "predict_proba")
        return "xgboost-classifier-ubj" if classifier else _BY_LIBRARY[library]
    if hasattr(predictor, "to_tensors"):
        return "torch"
    if hasattr(predictor, "column") and hasattr(predictor, "position_"):
        return "one-column"
    raise BadInput(
        f"There is no safe format for a {type(predictor).__module__}.{type(predictor).__name__}; models are kept, once "
        "fitted, as LightGBM text, XGBoost UBJ, CatBoost cbm, skops (scikit-learn), safetensors or JSON, never pickled."
    )


def _refuse_unfitted(predictor: Any) -> None:
    """A model that never saw a row must not be kept as one that did."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    library = library_of(predictor)
    if library == "lightgbm":
        fitted = not hasattr(predictor, "fit")  # what is kept of a fitted one is its Booster
    elif library == "catboost":
        fitted = bool(predictor.is_fitted())
    else:
        try:
            check_is_fitted(predictor)
            fitted = True
        except NotFittedError:
            fitted = False
    if not fitted:
        raise BadInput(f"The {type(predictor).__name__} is not fitted; an untrained model is not saved.")


def write(predictor: Any, folder: Path) -> str:
    """Write `predictor` into the new or empty `folder`; returns the name of its format."""
    kind = format_of(predictor)
    folder.mkdir(exist_ok=True)
    FORMATS[kind].save(predictor, folder)
    return kind


def read(kind: Any, folder: Path, decoders: Decoders) -> Any:
    """The predictor that `write` put into `folder` in the format `kind`."""
    if kind not in FORMATS:
        raise IntegrityBroken(f"{folder} names the format {kind!r}, which is not one of ours.")
    return FORMATS[kind].load(folder, decoders)
