"""One fit: a declared model on named columns, and the hash of all that decides what it learns."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import polars as pl

from openbell.core.declare import Model
from openbell.core.errors import BadInput, OpenbellError, Refused
from openbell.core.estimators import accepted
from openbell.core.hashing import digest
from openbell.store.artifacts import FittedModel, feature_matrix, key_columns, load_model
from openbell.store.predictors import OneClass, predictor_of

#: Distributions whose version may decide what is learnt, and the name they are imported by.
_LIBRARIES = {
    "numpy": "numpy",
    "scikit-learn": "sklearn",
    "lightgbm": "lightgbm",
    "xgboost-cpu": "xgboost",
    "catboost": "catboost",
    "torch": "torch",
}
_ALWAYS = ("numpy", "scikit-learn")

Members = Sequence[tuple[Model, Mapping[str, Any]]]


class Ledger(Protocol):
    """What knows which configurations were counted before they were fitted."""

    def __contains__(self, fingerprint: str, /) -> bool:
        """Whether the configuration is counted."""
        ...


def fit(
    model: Model,
    frame: pl.DataFrame,
    target: np.ndarray,
    parameters: Mapping[str, Any],
    *,
    ledger: Ledger,
    sample_weight: np.ndarray | None = None,
    keys: pl.DataFrame | None = None,
    members: Members = (),
) -> FittedModel:
    """Fit `model` on the columns of `frame` (its features, by name) and `target`, shape (n,).

    Parameters
    ----------
    target : finite; for a classification the class of each row, as numbers. Where it holds one class alone, nothing is
        fitted, and that class has probability 1.
    parameters : over the model's defaults.
    ledger : of trials. A configuration that is not counted there is not fitted: what a result is worth depends on how
        many were tried.
    sample_weight : not negative, shape (n,); None weighs all rows alike.
    keys : ``session`` and ``symbol`` of the same rows, which a model that reads sequences, or is stacked, needs; with
        ``known_at`` (when each label became known) its inner folds are purged by that instead of by a gap.
    members : each model that `model` is made of, with its parameters.

    Raises
    ------
    Refused
        Where the ledger does not hold the configuration.
    BadInput
        On no rows, a target that is not finite, an infinite feature, or an unknown parameter.
    FeatureUnavailable
        Where the model cannot be had with these columns, this history or these libraries.
    OpenbellError
        Where the library raised.
    """
    _check_parameters(model, parameters, members)
    _check_ledger(model, parameters, members, ledger)
    if frame.is_empty():
        raise BadInput(f"The model `{model.name}` has no rows to train on. Give a longer history.")
    y, classes = _checked_target(model, target, frame.height)
    weight = _checked_weight(model, sample_weight, frame.height)
    offered = {"sample_weight": weight, **_ordering(model, keys, frame.height)}
    names = tuple(frame.columns)
    matrix = feature_matrix(frame, names, handles_missing=model.handles_missing, model=model.name)
    del frame  # Where the caller keeps no other reference, its rows are in memory once while the library fits.
    if len(classes) == 1:
        return FittedModel(model.name, names, OneClass(), model.handles_missing, classes=classes)
    estimator = _built(model, parameters, members)
    try:
        estimator.fit(matrix, y, **accepted(estimator.fit, names=names, **offered))
    except (OpenbellError, MemoryError):
        raise
    except Exception as failure:
        raise OpenbellError(
            f"The model `{model.name}` failed to train: {type(failure).__name__}: {failure}."
        ) from failure
    return FittedModel(model.name, names, predictor_of(estimator), model.handles_missing, classes=classes)


def load_fitted(folder: Path, *, manifest_hash: str | None = None) -> FittedModel:
    """The model in `folder` with all that it holds: see `store.artifacts.load_model`."""
    from openbell.quant.calibration import from_json
    from openbell.quant.recurrent import Recurrent

    decoders = {"calibrator": from_json, "recurrent": Recurrent.from_tensors}
    return load_model(folder, manifest_hash=manifest_hash, decoders=decoders)


def _check_parameters(model: Model, parameters: Mapping[str, Any], members: Members) -> None:
    unknown = sorted(set(parameters) - set(model.settings))
    if unknown:
        raise BadInput(
            f"The model `{model.name}` has no parameter `{unknown[0]}`. Valid are: {', '.join(model.settings)}."
        )
    given = tuple(member.name for member, _ in members)
    if given != model.members:
        raise BadInput(
            f"The model `{model.name}` is made of {', '.join(model.members) or 'no others'}; "
            f"handed in were {', '.join(given) or 'none'}."
        )
    for member, own in members:
        _check_parameters(member, own, ())


def _check_ledger(model: Model, parameters: Mapping[str, Any], members: Members, ledger: Ledger) -> None:
    configuration = fingerprint(model, parameters, members)
    if configuration not in ledger:
        raise Refused(
            f"The configuration {configuration[:12]} of `{model.name}` is not in the ledger of trials, so it is not "
            "fitted. Record it first (`Trials.record`); a result is worth what remains after every try is counted."
        )


def _checked_target(model: Model, target: np.ndarray, rows: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """The target as the estimator wants it, and the classes it is coded by."""
    numbers = np.asarray(target)
    if numbers.dtype.kind not in "fiub" or numbers.shape != (rows,) or not np.isfinite(numbers).all():
        raise BadInput(f"The target of `{model.name}` needs one finite value for each of the {rows} rows.")
    if model.task != "classification":
        return numbers.astype(np.float32), ()
    classes, codes = np.unique(numbers.astype(np.float64), return_inverse=True)
    if (classes != np.round(classes)).any():
        raise BadInput(f"The classes of `{model.name}` must be whole numbers; one was {classes[classes % 1 != 0][0]}.")
    return codes.astype(np.int64), tuple(classes.tolist())


def _checked_weight(model: Model, sample_weight: np.ndarray | None, rows: int) -> np.ndarray | None:
    if sample_weight is None:
        return None
    weight = np.asarray(sample_weight, dtype=np.float64)
    usable = weight.shape == (rows,) and np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0
    if not usable:
        raise BadInput(
            f"The sample weights of `{model.name}` must be {rows} finite numbers, none below 0 and not all 0."
        )
    return weight


def _ordering(model: Model, keys: pl.DataFrame | None, rows: int) -> dict[str, np.ndarray]:
    """What orders the rows; a model that reads sequences is refused without it, the others may do without."""
    if keys is None and not model.sequential:
        return {}
    t, symbol = key_columns(keys, rows, model.name)
    found = {"t": t, "symbol": symbol}
    if keys is not None and "known_at" in keys.columns:
        if keys["known_at"].null_count():
            raise BadInput(f"The keys of `{model.name}` need a `known_at` on every row; some have none.")
        found["known_at"] = keys["known_at"].dt.replace_time_zone(None).to_numpy()
    return found


def _built(model: Model, parameters: Mapping[str, Any], members: Members) -> Any:
    if not members:
        return model.build(**parameters)
    return model.build(**parameters, members=[(each.name, each.build(**own)) for each, own in members])


def fingerprint(model: Model, parameters: Mapping[str, Any], members: Members = ()) -> str:
    """Hash of everything that decides what `model` learns from given rows: code, parameters, members, versions."""
    code = code_behind(inspect.getmodule(model.build))
    text = "\n".join(code.values())
    used = [each for each, name in _LIBRARIES.items() if each in _ALWAYS or re.search(rf"\b{name}\b", text)]
    return digest(
        {
            "name": model.name,
            "code": code or model.module,
            "parameters": {**model.settings, **parameters},
            "members": [fingerprint(member, own) for member, own in members],
            "versions": {each: _version(each) for each in used},
        }
    )


@cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


def code_behind(module: ModuleType | None) -> dict[str, str]:
    """Source of `module` and of what it takes from its own room and from the mathematics, by module."""
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        each = waiting.pop()
        if each is None or each.__name__ in found:
            continue
        found[each.__name__] = inspect.getsource(each)
        rooms = {each.__name__.rpartition(".")[0], "openbell.quant"} - {""}  # a module may stand in no package
        taken = {
            value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            for value in vars(each).values()
        }
        waiting += [sys.modules.get(name) for name in taken if name and name.rpartition(".")[0] in rooms]
    return dict(sorted(found.items()))
