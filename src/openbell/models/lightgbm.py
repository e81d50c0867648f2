"""Gradient boosted trees, LightGBM."""

from __future__ import annotations

from typing import Any

from openbell.core.declare import model

_SEARCH = {
    "leaves": {"low": 7, "high": 63},
    "learning_rate": {"low": 1e-3, "high": 0.3, "log": True},
    "trees": {"low": 100, "high": 1000},
    "min_leaf_rows": {"low": 20, "high": 500, "log": True},
    "subsample": {"low": 0.6, "high": 1.0},
    "colsample_bytree": {"low": 0.4, "high": 1.0},
}


@model(search=_SEARCH, handles_missing=True)
def lightgbm(
    *,
    trees: int = 100,
    leaves: int = 15,
    learning_rate: float = 0.05,
    min_leaf_rows: int = 100,
    subsample: float = 0.8,
    colsample_bytree: float = 0.5,
    reg_lambda: float = 1.0,
    seed: int = 0,
) -> Any:
    """LightGBM; a missing value takes the branch that the training rows chose.

    References
    ----------
    Ke et al. (2017), NIPS 30, 3146-3154.
    """
    from lightgbm import LGBMRegressor

    return LGBMRegressor(
        n_estimators=trees,
        num_leaves=leaves,
        learning_rate=learning_rate,
        min_child_samples=min_leaf_rows,
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
