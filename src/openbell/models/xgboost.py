"""Gradient boosted trees, XGBoost."""

from __future__ import annotations

from typing import Any

from openbell.core.declare import model
from openbell.models.stopping import stopped

#: S2.35.
_SEARCH = {
    "max_depth": {"low": 3, "high": 10},
    "learning_rate": {"low": 1e-3, "high": 0.3, "log": True},
    "n_estimators": {"low": 100, "high": 1000},
    "min_child_weight": {"low": 1.0, "high": 10.0},
    "subsample": {"low": 0.6, "high": 1.0},
    "colsample_bytree": {"low": 0.6, "high": 1.0},
    "gamma": {"low": 1e-8, "high": 1.0, "log": True},
}


@model(search=_SEARCH, handles_missing=True)
def xgboost(
    *,
    n_estimators: int = 100,
    max_depth: int = 4,
    learning_rate: float = 0.05,
    min_child_weight: float = 10.0,
    subsample: float = 0.8,
    colsample_bytree: float = 0.6,
    gamma: float = 1e-8,
    early_stopping_rounds: int = 0,
    seed: int = 0,
) -> Any:
    """XGBoost on histograms; a missing value takes the branch that the training rows chose.

    References
    ----------
    Chen and Guestrin (2016), KDD, 785-794.
    """
    from xgboost import XGBRegressor

    boosted = XGBRegressor(
        n_estimators=n_estimators,
        max_depth=max_depth,
        learning_rate=learning_rate,
        min_child_weight=min_child_weight,
        subsample=subsample,
        colsample_bytree=colsample_bytree,
        gamma=gamma,
        random_state=seed,
        tree_method="hist",
        max_bin=64,
        n_jobs=1,
        verbosity=0,
    )
    return stopped(boosted, early_stopping_rounds)


@model(search=_SEARCH, handles_missing=True, task="classification")
def xgboost_classifier(
    *,
    n_estimators: int = 100,
    max_depth: int = 6,
    learning_rate: float = 0.1,
    min_child_weight: float = 1.0,
    subsample: float = 0.8,
    colsample_bytree: float = 0.8,
    gamma: float = 0.0,
    early_stopping_rounds: int = 0,
    seed: int = 42,
) -> Any:
    """XGBoost for classes (S3.09): ``multi:softprob`` for three and more, its two-class form for two.

    A missing value takes the branch that the training rows chose.

    References
    ----------
    Chen and Guestrin (2016), KDD, 785-794.
    """
    from xgboost import XGBClassifier

    boosted = XGBClassifier(
        n_estimators=n_estimators,
        max_depth=max_depth,
        learning_rate=learning_rate,
        min_child_weight=min_child_weight,
        subsample=subsample,
        colsample_bytree=colsample_bytree,
        gamma=gamma,
        random_state=seed,
        tree_method="hist",
        n_jobs=1,
        verbosity=0,
    )
    return stopped(boosted, early_stopping_rounds)
