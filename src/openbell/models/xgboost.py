"""Gradient boosted trees, XGBoost."""

from __future__ import annotations

from typing import Any

from openbell.core.declare import model

_SEARCH = {
    "max_depth": {"low": 3, "high": 10},
    "learning_rate": {"low": 1e-3, "high": 0.3, "log": True},
    "trees": {"low": 100, "high": 1000},
    "min_child_weight": {"low": 1.0, "high": 10.0},
    "subsample": {"low": 0.6, "high": 1.0},
    "colsample_bytree": {"low": 0.6, "high": 1.0},
    "gamma": {"low": 1e-8, "high": 1.0, "log": True},
}


@model(search=_SEARCH, handles_missing=True)
def xgboost(
    *,
    trees: int = 100,
    max_depth: int = 4,
    learning_rate: float = 0.05,
    min_child_weight: float = 10.0,
    subsample: float = 0.8,
    colsample_bytree: float = 0.6,
    gamma: float = 1e-8,
    seed: int = 0,
) -> Any:
    """XGBoost on histograms; a missing value takes the branch that the training rows chose.

    References
    ----------
    Chen and Guestrin (2016), KDD, 785-794.
    """
    from xgboost import XGBRegressor

    return XGBRegressor(
        n_estimators=trees,
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
