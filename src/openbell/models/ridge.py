"""Linear regression with an L2 penalty."""

from __future__ import annotations

from typing import Any

from openbell.core.declare import model

_SEARCH = {"alpha": {"low": 1.0, "high": 1e6, "log": True}}


@model(search=_SEARCH, handles_missing=True)
def ridge(*, alpha: float = 1000.0) -> Any:
    """Ridge regression; a missing value counts as 0, the middle of its date's ranks, which needs no fit.

    References
    ----------
    Hoerl and Kennard (1970), Technometrics 12, 55-67.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import Pipeline

    middle = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
    return Pipeline([("middle", middle), ("ridge", Ridge(alpha=alpha, solver="cholesky"))])
