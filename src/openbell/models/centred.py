"""A missing value counts as 0, the middle of its date's ranks: an imputer that needs no fit, before an estimator."""

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
            """Fit the last step; nothing is estimated before it."""
            return super().fit(X, y, **{f"{self.steps[-1][0]}__sample_weight": sample_weight})

        @property
        def predictor_(self) -> Pipeline:
            """What is kept: scikit-learn's own pipeline."""
            return Pipeline(self.steps)

    return Centred


def centred(name: str, estimator: Any) -> Any:
    """`estimator` as the step `name` behind the imputer."""
    from sklearn.impute import SimpleImputer

    middle = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
    return _centred()([("middle", middle), (name, estimator)])
