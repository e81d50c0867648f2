"""What models made of models share: how members are fitted and asked, and how their answers are weighted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from openbell.core.errors import BadInput
from openbell.core.estimators import accepted

#: Named estimators, as the engine built them.
Members = Sequence[tuple[str, Any]]


def fit_members(members: Members, X: Any, y: Any, **offered: Any) -> list[tuple[str, Any]]:
    """A fitted clone of each member; one that cannot be fitted stops them all, for a blend is never of fewer."""
    from sklearn.base import clone

    fitted = [(name, clone(member)) for name, member in members]
    for _, fresh in fitted:
        fresh.fit(X, y, **accepted(fresh.fit, **offered))
    return fitted


def answers(members: Members, method: str, X: Any, t: Any = None, symbol: Any = None) -> np.ndarray:
    """What each member says, by its `method`: shape (k, n), or (k, n, classes)."""
    asked = [getattr(member, method) for _, member in members]
    return np.stack([ask(X, **accepted(ask, t=t, symbol=symbol)) for ask in asked])


def weighted(weights: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Weighted sum over the first axis of `predictions`; NaN where a member abstains."""
    return np.asarray(np.tensordot(weights, np.asarray(predictions, dtype=np.float64), axes=1))


def checked_weights(weights: Sequence[float], members: Members) -> np.ndarray:
    """`weights` as an array that sums to 1; refuses what is no weighting of the members."""
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (len(members),):
        named = ", ".join(name for name, _ in members)
        raise BadInput(f"`weights` needs one for each of {named}; had {values.size}.")
    if not (values >= 0).all() or abs(values.sum() - 1.0) > 0.01:
        raise BadInput(f"`weights` must not be negative and must sum to 1 within 0.01; were {tuple(weights)}.")
    return np.asarray(values / values.sum())
