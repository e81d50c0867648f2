"""The weighted mean of several classifiers' probabilities."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from openbell.core.declare import model
from openbell.models.blending import Members, answers, checked_weights, fit_members, weighted


@cache
def _voting() -> type[Any]:
    """The estimator; defined on first use, for scikit-learn takes a second to import."""
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.validation import check_is_fitted

    class Voting(ClassifierMixin, BaseEstimator):
        """Soft voting; it abstains (NaN) where a member does, for what is left would be another vote."""

        def __init__(self, members: Members, weights: tuple[float, ...]) -> None:
            self.members, self.weights = members, weights

        def fit(
            self, X: Any, y: Any, sample_weight: Any = None, *, t: Any = None, symbol: Any = None, known_at: Any = None
        ) -> Voting:
            """Fit every member on the same rows."""
            checked_weights(self.weights, self.members)  # before minutes of fitting
            given = {"sample_weight": sample_weight, "t": t, "symbol": symbol, "known_at": known_at}
            self.members_ = fit_members(self.members, X, y, **given)
            self.classes_ = np.unique(y)
            return self

        @property
        def weights_(self) -> np.ndarray:
            """Weight of each member, shape (k,)."""
            return checked_weights(self.weights, self.members)

        def combine(self, predictions: np.ndarray) -> np.ndarray:
            """Probabilities, shape (n, classes), from those of the members, shape (k, n, classes); needs no fit."""
            return weighted(self.weights_, predictions)

        def predict_proba(self, X: Any, *, t: Any = None, symbol: Any = None) -> np.ndarray:
            """Probabilities, shape (n, classes)."""
            check_is_fitted(self, "members_")
            return self.combine(answers(self.members_, "predict_proba", X, t, symbol))

    return Voting


@model(
    handles_missing=True,
    task="classification",
    sequential=True,
    members=("xgboost_classifier", "random_forest_classifier", "lstm_classifier"),
)
def voting(*, weights: tuple[float, ...] = (0.4, 0.3, 0.3), members: Members) -> Any:
    """Soft voting of XGBoost, random forest and LSTM (S3.12); it needs all three, and the LSTM needs PyTorch.

    References
    ----------
    Kittler, Hatef, Duin and Matas (1998), IEEE PAMI 20, 226-239.
    """
    return _voting()(members, weights)
