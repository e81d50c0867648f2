"""Early stopping of boosted trees: how many are enough is told by later rows, and then all rows are learnt from."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from openbell.core.errors import BadInput, FeatureUnavailable
from openbell.models.inner_folds import latest_fold

#: Share of the training moments, the last ones, that the number of rounds is judged on.
_SHARE = 0.2
#: Features, target and, where they differ, weights of some rows.
_Rows = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def stopped(estimator: Any, early_stopping_rounds: int) -> Any:
    """`estimator` of XGBoost, LightGBM or CatBoost, stopped early where `early_stopping_rounds` is not 0.

    Its ``n_estimators`` is then the most it may take. It is fitted on the earlier training rows until the loss on the
    last fifth of the moments was no better for `early_stopping_rounds` rounds, and then anew, with the number of rounds
    that was best, on all rows.
    """
    whole = isinstance(early_stopping_rounds, int) and not isinstance(early_stopping_rounds, bool)
    if not whole or early_stopping_rounds < 0:
        raise BadInput(f"`early_stopping_rounds` must be a whole number, 0 for none; was {early_stopping_rounds!r}.")
    if early_stopping_rounds == 0:
        return estimator
    return _estimators()[hasattr(estimator, "predict_proba")](estimator, early_stopping_rounds)


def _xgboost_rounds(fresh: Any, patience: int, train: _Rows, later: _Rows) -> int:
    fresh.set_params(early_stopping_rounds=patience)
    weight = None if later[2] is None else [later[2]]
    fresh.fit(*train[:2], sample_weight=train[2], eval_set=[later[:2]], sample_weight_eval_set=weight, verbose=False)
    return int(fresh.best_iteration) + 1


def _lightgbm_rounds(fresh: Any, patience: int, train: _Rows, later: _Rows) -> int:
    from lightgbm import early_stopping

    fresh.fit(
        *train[:2],
        sample_weight=train[2],
        eval_X=(later[0],),
        eval_y=(later[1],),
        eval_sample_weight=None if later[2] is None else [later[2]],
        callbacks=[early_stopping(patience, verbose=False)],
    )
    return int(fresh.best_iteration_)


def _catboost_rounds(fresh: Any, patience: int, train: _Rows, later: _Rows) -> int:
    from catboost import Pool

    held = Pool(later[0], label=later[1], weight=later[2])
    fresh.fit(*train[:2], sample_weight=train[2], eval_set=held, early_stopping_rounds=patience, use_best_model=True)
    return int(fresh.get_best_iteration()) + 1


_ROUNDS: dict[str, Callable[[Any, int, _Rows, _Rows], int]] = {
    "xgboost": _xgboost_rounds,
    "lightgbm": _lightgbm_rounds,
    "catboost": _catboost_rounds,
}


def _split(t: Any, known_at: Any, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and later rows to judge by; a row without weight is neither."""
    if t is None:
        raise FeatureUnavailable(
            "Early stopping judges the number of rounds on the latest training rows: hand in `t`, the moment of each "
            "row (`keys` of `fit`), or say early_stopping_rounds=0."
        )
    which = np.arange(len(t)) if weight is None else np.flatnonzero(weight > 0)
    known = None if known_at is None else np.asarray(known_at)[which]
    earlier, later = latest_fold(np.asarray(t)[which], _SHARE, known_at=known)
    return which[earlier], which[later]


def _codes(y: np.ndarray, earlier: np.ndarray, later: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes of the earlier and the later rows, counted from 0 among those of the earlier."""
    classes, codes = np.unique(y[earlier], return_inverse=True)
    strangers = np.setdiff1d(y[later], classes)
    if len(classes) < 2 or len(strangers):
        raise FeatureUnavailable(
            f"Early stopping needs two classes or more among the earlier training rows, and no other among the later; "
            f"the earlier held {len(classes)}, and {len(strangers)} came later only. Give a longer history, or say "
            "early_stopping_rounds=0."
        )
    return codes, np.searchsorted(classes, y[later])


@cache
def _estimators() -> tuple[type[Any], type[Any]]:
    """Regressor and classifier; defined on first use, for scikit-learn takes a second to import."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
    from sklearn.utils.validation import check_is_fitted

    class Stopped(BaseEstimator):
        """What both share. Fitted it has ``n_rounds_``, ``estimator_`` and, what is kept of that, ``predictor_``."""

        def __init__(self, estimator: Any, early_stopping_rounds: int) -> None:
            self.estimator, self.early_stopping_rounds = estimator, early_stopping_rounds

        def fit(self, X: Any, y: Any, sample_weight: Any = None, *, t: Any = None, known_at: Any = None) -> Any:
            """Rounds from the earlier rows and the later ones, then all rows with that many."""
            X, y = np.asarray(X), np.asarray(y)
            weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
            earlier, later = _split(t, known_at, weight)
            said = self._targets(y, earlier, later)
            learnt, held = (
                (X[rows], target, None if weight is None else weight[rows])
                for rows, target in zip((earlier, later), said, strict=True)
            )
            rounds = _ROUNDS[type(self.estimator).__module__.partition(".")[0]]
            self.n_rounds_ = max(rounds(clone(self.estimator), self.early_stopping_rounds, learnt, held), 1)
            self.estimator_ = clone(self.estimator).set_params(n_estimators=self.n_rounds_)
            self.estimator_.fit(X, y, sample_weight=weight)
            # LightGBM keeps its Booster, the others keep themselves.
            self.predictor_ = getattr(self.estimator_, "booster_", self.estimator_)
            return self

        def predict(self, X: Any) -> np.ndarray:
            """What the library's own model says, shape (n,)."""
            check_is_fitted(self, "estimator_")
            return np.asarray(self.estimator_.predict(X)).reshape(len(X))

    class StoppedRegressor(RegressorMixin, Stopped):
        """Stopped by the later rows' squared error."""

        def _targets(self, y: np.ndarray, earlier: np.ndarray, later: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return y[earlier], y[later]

    class StoppedClassifier(ClassifierMixin, Stopped):
        """Stopped by the later rows' log-loss."""

        def _targets(self, y: np.ndarray, earlier: np.ndarray, later: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return _codes(y, earlier, later)

        @property
        def classes_(self) -> np.ndarray:
            """Classes of the columns of `predict_proba`."""
            check_is_fitted(self, "estimator_")
            return np.asarray(self.estimator_.classes_)

        def predict_proba(self, X: Any) -> np.ndarray:
            """Probabilities, shape (n, classes)."""
            check_is_fitted(self, "estimator_")
            return np.asarray(self.estimator_.predict_proba(X))

    return StoppedRegressor, StoppedClassifier
