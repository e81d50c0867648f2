"""Averaged trees on resampled rows."""

from __future__ import annotations

from typing import Any

from openbell.core.declare import model

_SEARCH = {
    "trees": {"low": 100, "high": 500},
    "max_depth": {"low": 3, "high": 10},
    "min_leaf_share": {"low": 1e-4, "high": 1e-2, "log": True},
}


@model(search=_SEARCH, handles_missing=True)
def random_forest(
    *,
    trees: int = 100,
    max_depth: int = 8,
    min_leaf_share: float = 0.001,
    feature_share: float = 0.15,
    row_share: float = 0.05,
    seed: int = 0,
) -> Any:
    """Random forest; a missing value counts as 0, the middle of its date's ranks, which needs no fit.

    References
    ----------
    Breiman (2001), Machine Learning 45, 5-32.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline

    middle = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
    forest = RandomForestRegressor(
        n_estimators=trees,
        max_depth=max_depth,
        min_samples_leaf=min_leaf_share,
        max_features=feature_share,
        max_samples=row_share,
        random_state=seed,
        n_jobs=1,
    )
    return Pipeline([("middle", middle), ("forest", forest)])
