"""Gradient boosted symmetric trees, CatBoost."""

from __future__ import annotations

from typing import Any

from openbell.core.declare import model
from openbell.models.stopping import stopped

_SEARCH = {
    "max_depth": {"low": 3, "high": 8},
    "learning_rate": {"low": 1e-3, "high": 0.3, "log": True},
    "n_estimators": {"low": 100, "high": 1000},
    "reg_lambda": {"low": 1.0, "high": 30.0, "log": True},
    "subsample": {"low": 0.6, "high": 1.0},
    "colsample_bylevel": {"low": 0.4, "high": 1.0},
}
#: One thread, nothing written beside the model, plain boosting: the rows are weighted, not ordered by chance.
_QUIET = {
    "boosting_type": "Plain",
    "bootstrap_type": "Bernoulli",
    "border_count": 64,
    "thread_count": 1,
    "allow_writing_files": False,
    "logging_level": "Silent",
}


@model(search=_SEARCH, handles_missing=True)
def catboost(
    *,
    n_estimators: int = 100,
    max_depth: int = 4,
    learning_rate: float = 0.05,
    reg_lambda: float = 3.0,
    subsample: float = 0.8,
    colsample_bylevel: float = 0.6,
    early_stopping_rounds: int = 0,
    seed: int = 0,
) -> Any:
    """CatBoost; a missing value counts as below every other.

    References
    ----------
    Prokhorenkova et al. (2018), NeurIPS 31, 6638-6648.
    """
    from catboost import CatBoostRegressor

    boosted = CatBoostRegressor(
        n_estimators=n_estimators,
        max_depth=max_depth,
        learning_rate=learning_rate,
        reg_lambda=reg_lambda,
        subsample=subsample,
        colsample_bylevel=colsample_bylevel,
        random_seed=seed,
        **_QUIET,
    )
    return stopped(boosted, early_stopping_rounds)


@model(search=_SEARCH, handles_missing=True, task="classification")
def catboost_classifier(
    *,
    n_estimators: int = 100,
    max_depth: int = 6,
    learning_rate: float = 0.1,
    reg_lambda: float = 3.0,
    subsample: float = 0.8,
    colsample_bylevel: float = 0.8,
    early_stopping_rounds: int = 0,
    seed: int = 42,
) -> Any:
    """CatBoost for classes; a missing value counts as below every other.

    References
    ----------
    Prokhorenkova et al. (2018), NeurIPS 31, 6638-6648.
    """
    from catboost import CatBoostClassifier

    boosted = CatBoostClassifier(
        n_estimators=n_estimators,
        max_depth=max_depth,
        learning_rate=learning_rate,
        reg_lambda=reg_lambda,
        subsample=subsample,
        colsample_bylevel=colsample_bylevel,
        random_seed=seed,
        **_QUIET,
    )
    return stopped(boosted, early_stopping_rounds)
