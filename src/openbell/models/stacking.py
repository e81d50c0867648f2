"""Models on top of models: how much to trust each is learnt from what it said of rows it had not seen."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from openbell.core.declare import model
from openbell.core.errors import BadInput, FeatureUnavailable
from openbell.core.estimators import accepted
from openbell.models.blending import Members, answers, fit_members, weighted
from openbell.models.inner_folds import inner_folds

_SEARCH = {"alpha": {"low": 1e-3, "high": 1e3, "log": True}}
_CLASSIFIER_SEARCH = {"C": {"low": 1e-3, "high": 1e3, "log": True}}


def _some(rows: np.ndarray, **offered: Any) -> dict[str, Any]:
    return {name: None if value is None else np.asarray(value)[rows] for name, value in offered.items()}


def _needs_time(t: Any) -> None:
    if t is None:
        raise BadInput(
            "Stacking learns its weights on folds in the order of time: hand in `t`, the moment of each row."
        )


def _said_later(
    member: Any, method: str, X: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, **offered: Any
) -> np.ndarray:
    """What `member`, fitted on `train`, says of `test`; one that reads sequences also sees the features before."""
    from sklearn.base import clone

    fresh = clone(member)
    fresh.fit(X[train], y[train], **accepted(fresh.fit, **_some(train, **offered)))
    ask = getattr(fresh, method)
    t, symbol = offered["t"], offered["symbol"]
    if not accepted(ask, t=t, symbol=symbol):
        return np.asarray(ask(X[test]))
    upto = np.flatnonzero(np.asarray(t) <= np.asarray(t)[test].max())
    said = np.asarray(ask(X[upto], **_some(upto, t=t, symbol=symbol)))
    return said[np.searchsorted(upto, test)]


def _probabilities_later(
    member: Any, classes: int, X: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, **offered: Any
) -> np.ndarray:
    """As `_said_later`, shape (len(test), classes); a class that `train` does not hold has probability 0."""
    present, codes = np.unique(y[train], return_inverse=True)
    probabilities = np.zeros((len(test), classes))
    if len(present) == 1:
        probabilities[:, present[0]] = 1.0
        return probabilities
    recoded = np.zeros(len(y), dtype=np.int64)
    recoded[train] = codes
    probabilities[:, present] = _said_later(member, "predict_proba", X, recoded, train, test, **offered)
    return probabilities


@cache
def _estimators() -> tuple[type[Any], type[Any]]:
    """Regressor and classifier; defined on first use, for scikit-learn takes a second to import."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.utils.validation import check_is_fitted

    class Stacking(RegressorMixin, BaseEstimator):
        """A ridge regression on the members' predictions."""

        def __init__(self, members: Members, alpha: float, folds: int, gap: int) -> None:
            self.members, self.alpha, self.folds, self.gap = members, alpha, folds, gap

        def fit(
            self, X: Any, y: Any, sample_weight: Any = None, *, t: Any = None, symbol: Any = None, known_at: Any = None
        ) -> Stacking:
            """Weights from inner folds in the order of time, then the members on all rows."""
            _needs_time(t)
            X, y = np.asarray(X), np.asarray(y)
            offered = {"sample_weight": sample_weight, "t": t, "symbol": symbol, "known_at": known_at}
            rows, said = [], []
            for train, test in inner_folds(np.asarray(t), self.folds, known_at=known_at, gap=self.gap):
                rows.append(test)
                each = [_said_later(member, "predict", X, y, train, test, **offered) for _, member in self.members]
                said.append(np.stack(each, axis=1))
            self._fit_weights(np.concatenate(said), y, np.concatenate(rows), sample_weight)
            self.members_ = fit_members(self.members, X, y, **offered)
            return self

        def _fit_weights(self, said: np.ndarray, y: np.ndarray, rows: np.ndarray, sample_weight: Any) -> None:
            whole = np.isfinite(said).all(axis=1)
            if not whole.any():
                raise FeatureUnavailable("On no row of the inner folds do all members of the stack say something.")
            meta = Ridge(alpha=self.alpha)
            meta.fit(said[whole], y[rows[whole]], **_some(rows[whole], sample_weight=sample_weight))
            self.weights_, self.intercept_ = meta.coef_, float(meta.intercept_)

        def combine(self, predictions: np.ndarray) -> np.ndarray:
            """Scores, shape (n,), from those of the members, shape (k, n); NaN where one of them abstains."""
            check_is_fitted(self, "members_")
            return self.intercept_ + weighted(self.weights_, predictions)

        def predict(self, X: Any, *, t: Any = None, symbol: Any = None) -> np.ndarray:
            """Scores, shape (n,)."""
            check_is_fitted(self, "members_")
            return self.combine(answers(self.members_, "predict", X, t, symbol))

    class StackingClassifier(ClassifierMixin, BaseEstimator):
        """A logistic regression on the members' probabilities."""

        def __init__(self, members: Members, C: float, folds: int, gap: int) -> None:
            self.members, self.C, self.folds, self.gap = members, C, folds, gap

        def fit(
            self, X: Any, y: Any, sample_weight: Any = None, *, t: Any = None, symbol: Any = None, known_at: Any = None
        ) -> StackingClassifier:
            """As `Stacking.fit`."""
            _needs_time(t)
            self.classes_, codes = np.unique(y, return_inverse=True)
            X, offered = np.asarray(X), {"sample_weight": sample_weight, "t": t, "symbol": symbol, "known_at": known_at}
            rows, said = [], []
            for train, test in inner_folds(np.asarray(t), self.folds, known_at=known_at, gap=self.gap):
                rows.append(test)
                later = [
                    _probabilities_later(member, len(self.classes_), X, codes, train, test, **offered)
                    for _, member in self.members
                ]
                said.append(np.concatenate(later, axis=1))
            self._fit_meta(np.concatenate(said), codes, np.concatenate(rows), sample_weight)
            self.members_ = fit_members(self.members, X, codes, **offered)
            return self

        def _fit_meta(self, said: np.ndarray, codes: np.ndarray, rows: np.ndarray, sample_weight: Any) -> None:
            whole = np.isfinite(said).all(axis=1)
            kept = rows[whole]
            if len(np.unique(codes[kept])) < 2:
                raise FeatureUnavailable(
                    "The inner folds of the stack hold fewer than two classes, so nothing can be weighed on them. "
                    "Give a longer history."
                )
            self.meta_ = LogisticRegression(C=self.C, solver="newton-cholesky", max_iter=100)
            self.meta_.fit(said[whole], codes[kept], **_some(kept, sample_weight=sample_weight))

        def combine(self, predictions: np.ndarray) -> np.ndarray:
            """Probabilities, shape (n, classes), from those of the members, shape (k, n, classes)."""
            check_is_fitted(self, "members_")
            said = np.concatenate(list(predictions), axis=1)
            whole = np.isfinite(said).all(axis=1)
            probabilities = np.full((len(said), len(self.classes_)), np.nan)
            probabilities[whole] = 0.0
            if whole.any():
                probabilities[np.ix_(whole, self.meta_.classes_)] = self.meta_.predict_proba(said[whole])
            return probabilities

        def predict_proba(self, X: Any, *, t: Any = None, symbol: Any = None) -> np.ndarray:
            """Probabilities, shape (n, classes)."""
            check_is_fitted(self, "members_")
            return self.combine(answers(self.members_, "predict_proba", X, t, symbol))

    return Stacking, StackingClassifier


@model(search=_SEARCH, handles_missing=True, members=("xgboost", "random_forest", "lightgbm"))
def stacking(*, alpha: float = 1.0, folds: int = 3, gap: int = 5, members: Members) -> Any:
    """Ridge regression on what XGBoost, random forest and LightGBM said of later rows, fitted on earlier ones.

    `folds` are inner ones, in the order of time; before each, `gap` moments are left out of its training, or, where it
    is told when labels became known, the rows not known by then.

    References
    ----------
    Wolpert (1992), Neural Networks 5, 241-259; Breiman (1996), Machine Learning 24, 49-64.
    """
    return _estimators()[0](members, alpha, folds, gap)


@model(
    search=_CLASSIFIER_SEARCH,
    handles_missing=True,
    task="classification",
    members=("xgboost_classifier", "random_forest_classifier", "lightgbm_classifier"),
)
def stacking_classifier(*, C: float = 1.0, folds: int = 3, gap: int = 5, members: Members) -> Any:
    """Logistic regression on the probabilities of XGBoost, random forest and LightGBM; folds as in `stacking`.

    References
    ----------
    Wolpert (1992), Neural Networks 5, 241-259; Breiman (1996), Machine Learning 24, 49-64.
    """
    return _estimators()[1](members, C, folds, gap)
