"""A small weekly cross-section with something to learn, and parameters that make every declared model quick."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Model, discover
from openbell.research.fitting import fit
from openbell.store.artifacts import FittedModel

DECLARED: Mapping[str, Model] = discover().models
NAMES = ("momentum_12_1", "volatility", "constant", "noise")
SYMBOLS = tuple(f"S{number:02d}" for number in range(10))
NETWORK = {"sequence_length": 3, "hidden_size": 6, "epochs": 6, "learning_rate": 0.03, "gap": 1}
SMALL: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 8, "max_samples": 0.3},
    "random_forest_classifier": {"n_estimators": 8},
    "lightgbm": {"n_estimators": 8, "min_child_samples": 10},
    **{name: {"n_estimators": 8} for name in ("xgboost", "xgboost_classifier")},
    "lightgbm_classifier": {"n_estimators": 15, "learning_rate": 0.2},
    **{name: {"n_estimators": 8} for name in ("catboost", "catboost_classifier")},
    **{name: NETWORK for name in ("lstm", "lstm_classifier")},
    **{name: {"folds": 2, "gap": 1} for name in ("stacking", "stacking_classifier")},
}


class Everything:
    """A ledger that holds every configuration."""

    def __contains__(self, fingerprint: str) -> bool:
        return True


def keys(dates: int = 40) -> pl.DataFrame:
    """Weekly rows of ten symbols, by session."""
    days = [dt.date(2019, 1, 2) + dt.timedelta(weeks=week) for week in range(dates)]
    return pl.DataFrame(
        {"session": [day for day in days for _ in SYMBOLS], "symbol": list(SYMBOLS) * dates},
        schema={"session": pl.Date, "symbol": pl.String},
    )


def rows(dates: int = 40, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Features and a target that the first two make."""
    rng = np.random.default_rng(seed)
    matrix = (rng.random((dates * len(SYMBOLS), len(NAMES))) - 0.5).astype(np.float32)
    matrix[:, 2] = 0.0
    target = 0.6 * matrix[:, 0] - 0.3 * matrix[:, 1] + 0.1 * rng.standard_normal(len(matrix))
    return pl.DataFrame(matrix, schema=list(NAMES)), target


def target_of(model: Model, target: np.ndarray) -> np.ndarray:
    """The target as it is, or in the three classes -1, 0, 1."""
    return np.digitize(target, [-0.1, 0.1]) - 1 if model.task == "classification" else target


def members_of(model: Model) -> list[tuple[Model, dict[str, Any]]]:
    """What a blend is made of, in small."""
    return [(DECLARED[name], SMALL.get(name, {})) for name in model.members]


def fitted(model: Model, frame: pl.DataFrame, target: np.ndarray, **more: Any) -> FittedModel:
    """`model` in small on these rows."""
    given = {"ledger": Everything(), "keys": keys(frame.height // len(SYMBOLS)), "members": members_of(model), **more}
    return fit(model, frame, target, given.pop("parameters", SMALL.get(model.name, {})), **given)


def said(model: FittedModel, frame: pl.DataFrame, own: pl.DataFrame | None = None) -> np.ndarray:
    """Scores (n, 1) or probabilities (n, k)."""
    keyed = keys(frame.height // len(SYMBOLS)) if own is None else own
    return model.predict_proba(frame, keyed) if model.classes else model.predict(frame, keyed)[:, None]
