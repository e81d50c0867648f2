"""One fit: a declared model on named columns, and the hash of all that decides what it learns."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Model
from openbell.core.errors import BadInput
from openbell.core.hashing import digest
from openbell.store.artifacts import FittedModel, feature_matrix
from openbell.store.formats import predictor_of

_LIBRARIES = ("numpy", "scikit-learn", "lightgbm", "xgboost-cpu")


def fit(model: Model, frame: pl.DataFrame, target: np.ndarray, parameters: Mapping[str, Any]) -> FittedModel:
    """Fit `model` on the columns of `frame` (its features, by name) and `target`, shape (n,).

    Raises
    ------
    BadInput
        On no rows, a target that is not finite, an infinite feature, or an unknown parameter.
    FeatureUnavailable
        Where the model scores by a feature that is not there.
    """
    unknown = sorted(set(parameters) - set(model.settings))
    if unknown:
        raise BadInput(
            f"The model `{model.name}` has no parameter `{unknown[0]}`. Valid are: {', '.join(model.settings)}."
        )
    if frame.is_empty():
        raise BadInput(f"The model `{model.name}` has no rows to train on. Give a longer history.")
    if len(target) != frame.height or not np.isfinite(target).all():
        raise BadInput(f"The target of `{model.name}` needs one finite value for each of the {frame.height} rows.")
    names = tuple(frame.columns)
    matrix = feature_matrix(frame, names, handles_missing=model.handles_missing, model=model.name)
    del frame  # Where the caller keeps no other reference, its rows are in memory once while the library fits.
    estimator = model.build(**parameters)
    named = {"names": names} if "names" in inspect.signature(estimator.fit).parameters else {}
    estimator.fit(matrix, np.asarray(target, dtype=np.float32), **named)
    return FittedModel(model.name, names, predictor_of(estimator), model.handles_missing)


def fingerprint(model: Model, parameters: Mapping[str, Any]) -> str:
    """Hash of everything that decides what `model` learns from given rows: code, parameters, library versions."""
    module = inspect.getmodule(model.build)
    return digest(
        {
            "name": model.name,
            "code": inspect.getsource(module) if module is not None else model.module,
            "parameters": {**model.settings, **parameters},
            "versions": {library: version(library) for library in _LIBRARIES},
        }
    )
