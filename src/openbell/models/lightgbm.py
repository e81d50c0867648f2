"""Gradient boosted trees, LightGBM."""

from __future__ import annotations

from typing import Any

from openbell.core.declare import model
from openbell.models.stopping import stopped

_SEARCH = {
    "num_leaves": {"low": 7, "high": 63},
    "learning_rate": {"low": 1e-3, "high": 0.3, "log": True},
    "n_estimators": {"low": 100, "high": 1000},
    "min_child_samples": {"low": 20, "high": 500, "log": True},
    "subsample": {"low": 0.6, "high": 1.0},
    "colsample_bytree": {"low": 0.4, "high": 1.0},
}
_CLASSIFIER_SEARCH = {
    "max_depth": {"low": 3, "high": 10},
    "learning_rate": {"low": 1e-3, "high": 0.3, "log": True},
    "n_estimators": {"low": 100, "high": 1000},
    "min_child_weight": {"low": 1e-3, "high": 10.0, "log": True},
    "subsample": {"low": 0.6, "high": 1.0},
    "colsample_bytree": {"low": 0.4, "high": 1.0},
    "reg_alpha": {"low": 1e-3, "high": 10.0, "log": True},
    "reg_lambda": {"low": 1e-3, "high": 10.0, "log": True},
}


@model(search=_SEARCH, handles_missing=True)
def lightgbm(
    *,
    n_estimators: int = 100,
    num_leaves: int = 15,
    learning_rate: float = 0.05,
    min_child_samples: int = 100,
    subsample: float = 0.8,
    colsample_bytree: float = 0.5,
    reg_lambda: float = 1.0,
    early_stopping_rounds: int = 0,
    seed: int = 0,
) -> Any:
    """LightGBM; a missing value takes the branch that the training rows chose.

    References
    ----------
    Ke et al. (2017), NIPS 30, 3146-3154.
    """
    from lightgbm import LGBMRegressor

    boosted = LGBMRegressor(
        n_estimators=n_estimators,
        num_leaves=num_leaves,
        learning_rate=learning_rate,
        min_child_samples=min_child_samples,
        subsample=subsample,
        subsample_freq=1,
        colsample_bytree=colsample_bytree,
        reg_lambda=reg_lambda,
        random_state=seed,
        max_bin=63,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbosity=-1,
    )
    return stopped(boosted, early_stopping_rounds)


@model(search=_CLASSIFIER_SEARCH, handles_missing=True, task="classification")
def lightgbm_classifier(
    *,
    n_estimators: int = 100,
    max_depth: int = 6,
    num_leaves: int = 31,
    learning_rate: float = 0.1,
    min_child_weight: float = 3.0,
    min_child_samples: int = 20,
    subsample: float = 0.8,
    colsample_bytree: float = 0.8,
    reg_alpha: float = 0.1,
    reg_lambda: float = 1.0,
    early_stopping_rounds: int = 0,
    seed: int = 42,
) -> Any:
    """LightGBM for classes (S0.06); a missing value takes the branch that the training rows chose.

    Rows are drawn anew for every tree: without that, LightGBM does not heed `subsample`.

    References
    ----------
    Ke et al. (2017), NIPS 30, 3146-3154.
    """
    from lightgbm import LGBMClassifier

    boosted = LGBMClassifier(
        n_estimators=n_estimators,
        max_depth=max_depth,
        num_leaves=num_leaves,
        learning_rate=learning_rate,
        min_child_weight=min_child_weight,
        min_child_samples=min_child_samples,
        subsample=subsample,
        subsample_freq=1,
        colsample_bytree=colsample_bytree,
        reg_alpha=reg_alpha,
        reg_lambda=reg_lambda,
        random_state=seed,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbosity=-1,
    )
    return stopped(boosted, early_stopping_rounds)
