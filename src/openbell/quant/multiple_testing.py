"""p values of many patterns that were looked at together, made as large as the looking deserves."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput

Floats = NDArray[np.float64]


def holm(p_values: ArrayLike, *, tests: int | None = None) -> Floats:
    """Holm's adjusted p values: those below alpha hold the chance of even one false finding at alpha.

    Valid under any dependence of the tests, which patterns of one market have; never less powerful than Bonferroni.

    Parameters
    ----------
    p_values : of the tests made, shape (m,), in [0, 1]. NaN is no test: it stays NaN and is not counted.
    tests : how many were made in all, where some are not in `p_values`; at least the number of those that are.

    Returns
    -------
    numpy.ndarray
        Shape (m,): ``max over p_i <= p_j of min(1, (tests - rank_i) p_i)``, ranks from 0.

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
    """
    given, there, count = _checked(p_values, tests)
    order = np.argsort(given[there], kind="stable")
    stepped = np.maximum.accumulate(given[there][order] * (count - np.arange(len(order))))
    adjusted = np.full(len(given), np.nan)
    adjusted[np.flatnonzero(there)[order]] = np.minimum(stepped, 1.0)
    return adjusted


def benjamini_yekutieli(p_values: ArrayLike) -> Floats:
    """Adjusted p values that hold the share of false findings among the found, under any dependence.

    Parameters and NaN as in `holm`.

    References
    ----------
    Benjamini and Yekutieli (2001), Annals of Statistics 29, 1165-1188.
    """
    from scipy.stats import false_discovery_control

    given, there, _ = _checked(p_values, None)
    adjusted = np.full(len(given), np.nan)
    if there.any():
        adjusted[there] = false_discovery_control(given[there], method="by")
    return adjusted


def _checked(p_values: ArrayLike, tests: int | None) -> tuple[Floats, NDArray[np.bool_], int]:
    given = np.asarray(p_values, dtype=np.float64).ravel()
    there = ~np.isnan(given)
    if ((given[there] < 0) | (given[there] > 1)).any():
        wrong = given[there][(given[there] < 0) | (given[there] > 1)][0]
        raise BadInput(f"p values lie in [0, 1]; one was {wrong}.")
    made = int(there.sum())
    if tests is not None and tests < made:
        raise BadInput(f"{made} p values were given, so at least {made} tests were made; `tests` was {tests}.")
    return given, there, made if tests is None else tests
