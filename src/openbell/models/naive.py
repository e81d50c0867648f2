"""The model to beat: one declared feature, used as it is."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from openbell.core.declare import model
from openbell.core.errors import FeatureUnavailable


@cache
def _one_column() -> type[Any]:
    """The estimator; defined on first use, for scikit-learn takes a second to import."""
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils.validation import check_is_fitted, validate_data

    class OneColumn(RegressorMixin, BaseEstimator):
        """Scores by one column; where it is missing it abstains (NaN), whatever the other columns say."""

        def __init__(self, column: str = "momentum_12_1") -> None:
            self.column = column

        def fit(self, x: Any, y: Any, sample_weight: Any = None, *, names: tuple[str, ...]) -> OneColumn:
            """Find the column among `names`; nothing is estimated, so weights change nothing."""
            validate_data(self, x, y, ensure_all_finite="allow-nan")
            if self.column not in names:
                raise FeatureUnavailable(
                    f"The naive model scores by `{self.column}`, which is not among the {len(names)} features at hand; "
                    "it abstains. Add the feature's family, or name another with `column`."
                )
            self.position_ = names.index(self.column)
            return self

        def predict(self, x: Any) -> np.ndarray:
            """The column, shape (n,); NaN where it is missing."""
            check_is_fitted(self)
            return np.asarray(x, dtype=np.float64)[:, self.position_]

    return OneColumn


@model(handles_missing=True)
def naive(*, column: str = "momentum_12_1") -> Any:
    """Twelve-month momentum without the last month as the score: no fit, no choice, the one to beat.

    References
    ----------
    Jegadeesh and Titman (1993), Journal of Finance 48, 65-91.
    """
    return _one_column()(column=column)
