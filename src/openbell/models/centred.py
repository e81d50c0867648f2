"""What stands before a linear estimator: the middle of a date's ranks for what is missing, or a scale of its own."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def _centred() -> type[Any]:
    """The pipeline; defined on first use, for scikit-learn takes a second to import."""
    from sklearn.pipeline import Pipeline

    class Centred(Pipeline):
        """A pipeline that hands `sample_weight` to its last step."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Centred:
            """Fit every step on these rows alone; the weights reach the last one."""
            return super().fit(X, y, **{f"{self.steps[-1][0]}__sample_weight": sample_weight})

        @property
        def predictor_(self) -> Pipeline:
            """What is kept: scikit-learn's own pipeline."""
            return Pipeline(self.steps)

    return Centred


def centred(name: str, estimator: Any) -> Any:
    """`estimator` as the step `name` behind an imputer that needs no fit: what is missing counts as 0."""
    from sklearn.impute import SimpleImputer

    middle = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
    return _centred()([("middle", middle), (name, estimator)])


def scaled(name: str, estimator: Any) -> Any:
    """`estimator` as the step `name` behind the median for what is missing, and mean 0 and deviation 1 of each column.

    A value beyond those of the fit counts as the nearest of them: a column that hardly moved then, such as one whose
    look-back had just filled, would else decide alone. Median, bounds, mean and deviation are learned from the rows of
    the fit; a column without any value is 0.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    middle = SimpleImputer(strategy="median", keep_empty_features=True)
    within = MinMaxScaler(clip=True)
    return _centred()([("middle", middle), ("within", within), ("scale", StandardScaler()), (name, estimator)])
