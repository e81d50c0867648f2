"""Linear models with an L2 penalty."""

from __future__ import annotations

from typing import Any

from openbell.core.declare import model
from openbell.models.centred import centred, scaled


@model(search={"alpha": {"low": 1.0, "high": 1e6, "log": True}}, handles_missing=True)
def ridge(*, alpha: float = 1000.0) -> Any:
    """Ridge regression; a missing value counts as 0, the middle of its date's ranks, which needs no fit.

    References
    ----------
    Hoerl and Kennard (1970), Technometrics 12, 55-67.
    """
    from sklearn.linear_model import Ridge

    return centred("ridge", Ridge(alpha=alpha, solver="cholesky"))


@model(search={"C": {"low": 1e-6, "high": 10.0, "log": True}}, handles_missing=True, task="classification")
def logistic(*, C: float = 1.0, max_iter: int = 100, standardise: bool = False) -> Any:
    """Logistic regression (multinomial); a missing value counts as 0, the middle of its date's ranks.

    With `standardise` the features are no ranks: a missing value is the median of its column, and every column is
    brought to mean 0 and deviation 1, all as the rows of the fit have them. `C` is the inverse of the penalty.
    Newton's method: a hundred steps are far more than a convex problem of this size takes, and scikit-learn warns
    where they are not enough.

    References
    ----------
    Cox (1958), Journal of the Royal Statistical Society B 20, 215-242.
    """
    from sklearn.linear_model import LogisticRegression

    before = scaled if standardise else centred
    return before("logistic", LogisticRegression(C=C, solver="newton-cholesky", max_iter=max_iter))
