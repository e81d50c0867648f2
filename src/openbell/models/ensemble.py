"""The mean of several regressors."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from openbell.core.declare import model
from openbell.models.blending import Members, answers, fit_members, weighted


@cache
def _mean() -> type[Any]:
    """The estimator; defined on first use, for scikit-learn takes a second to import."""
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils.validation import check_is_fitted

    class Mean(RegressorMixin, BaseEstimator):
        """The equal-weight mean of its members; it abstains (NaN) where one of them does."""

        def __init__(self, members: Members) -> None:
            self.members = members

        def fit(
            self, X: Any, y: Any, sample_weight: Any = None, *, t: Any = None, symbol: Any = None, known_at: Any = None
        ) -> Mean:
            """Fit every member on the same rows."""
            given = {"sample_weight": sample_weight, "t": t, "symbol": symbol, "known_at": known_at}
            self.members_ = fit_members(self.members, X, y, **given)
            return self

        @property
        def weights_(self) -> np.ndarray:
            """Weight of each member, shape (k,)."""
            return np.full(len(self.members), 1.0 / len(self.members))

        def combine(self, predictions: np.ndarray) -> np.ndarray:
            """Scores of the blend, shape (n,), from those of its members, shape (k, n); needs no fit."""
            return weighted(self.weights_, predictions)

        def predict(self, X: Any, *, t: Any = None, symbol: Any = None) -> np.ndarray:
            """Scores, shape (n,)."""
            check_is_fitted(self, "members_")
            return self.combine(answers(self.members_, "predict", X, t, symbol))

    return Mean


@model(handles_missing=True, members=("xgboost", "random_forest", "lightgbm"))
def ensemble(*, members: Members) -> Any:
    """Equal-weight mean of XGBoost, random forest and LightGBM (S2.34).

    References
    ----------
    Breiman (1996), Machine Learning 24, 123-140.
    """
    return _mean()(members)
