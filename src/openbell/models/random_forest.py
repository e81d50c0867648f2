"""Averaged trees on resampled rows."""

from __future__ import annotations

from typing import Any

from openbell.core.declare import model
from openbell.models.centred import centred

_SEARCH = {
    "n_estimators": {"low": 100, "high": 500},
    "max_depth": {"low": 3, "high": 10},
    "min_samples_leaf": {"low": 1e-4, "high": 1e-2, "log": True},
}
_CLASSIFIER_SEARCH = {
    "n_estimators": {"low": 100, "high": 500},
    "max_depth": {"low": 3, "high": 15},
    "min_samples_split": {"low": 2, "high": 50, "log": True},
    "min_samples_leaf": {"low": 1, "high": 50, "log": True},
}


@model(search=_SEARCH, handles_missing=True)
def random_forest(
    *,
    n_estimators: int = 100,
    max_depth: int = 8,
    min_samples_leaf: float = 0.001,
    max_features: float = 0.15,
    max_samples: float = 0.05,
    seed: int = 0,
) -> Any:
    """Random forest; a missing value counts as 0, the middle of its date's ranks, which needs no fit.

    `min_samples_leaf`, `max_features` and `max_samples` are shares of the rows and of the columns.

    References
    ----------
    Breiman (2001), Machine Learning 45, 5-32.
    """
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(
        n_estimators=n_estimators,
        max_depth=max_depth,
        min_samples_leaf=min_samples_leaf,
        max_features=max_features,
        max_samples=max_samples,
        random_state=seed,
        n_jobs=1,
    )
    return centred("forest", forest)


@model(search=_CLASSIFIER_SEARCH, handles_missing=True, task="classification")
def random_forest_classifier(
    *,
    n_estimators: int = 100,
    max_depth: int = 10,
    min_samples_split: int = 5,
    min_samples_leaf: int = 2,
    max_samples: float = 1.0,
    seed: int = 42,
) -> Any:
    """Random forest for classes (S3.10); a missing value counts as 0, the middle of its date's ranks.

    `max_samples` is the share of the rows that each tree draws; at each split it looks at the root of the columns.

    References
    ----------
    Breiman (2001), Machine Learning 45, 5-32.
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        n_estimators=n_estimators,
        max_depth=max_depth,
        min_samples_split=min_samples_split,
        min_samples_leaf=min_samples_leaf,
        max_samples=max_samples,
        random_state=seed,
        n_jobs=1,
    )
    return centred("forest", forest)
