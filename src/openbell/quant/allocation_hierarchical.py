"""Hierarchical risk parity: no matrix is inverted, so nothing can be singular."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openbell.quant.allocation_moments import Floats


def hrp(covariance: Floats, correlation: Floats, max_weight: float = 1.0) -> Floats:
    """Weights by recursive bisection of the names in the order of their clusters.

    Parameters
    ----------
    covariance, correlation : shape (n, n); the correlation orders the names, the covariance shares the risk out.
    max_weight : cap on one name, at least ``1 / n``; a split gives neither side more than its names may hold.

    Returns
    -------
    ndarray, shape (n,), sum 1, all positive
        Equal to skfolio's ``HierarchicalRiskParity`` (Ward linkage of ``sqrt((1 - correlation) / 2)``, leaves ordered
        optimally), which builds two portfolio objects for each split: 2 ms for 60 names instead of 56.

    References
    ----------
    López de Prado (2016), Journal of Portfolio Management 42(4), 59-69.
    """
    count = len(covariance)
    if count == 1:
        return np.ones(1)
    inverse = 1.0 / np.diag(covariance)
    weights = np.ones(count)
    splits = [_order(correlation)]
    while splits:
        names = splits.pop()
        half = len(names) // 2
        left, right = names[:half], names[half:]
        share = _share(_risk(left, covariance, inverse), _risk(right, covariance, inverse))
        held = weights[names[0]]
        share = min(share, max_weight * len(left) / held)
        share = 1.0 - min(1.0 - share, max_weight * len(right) / held)
        weights[left] *= share
        weights[right] *= 1.0 - share
        splits += [side for side in (left, right) if len(side) > 1]
    return weights


def _share(left: float, right: float) -> float:
    return 1.0 - left / (left + right)


def _risk(names: NDArray[np.int64], covariance: Floats, inverse: Floats) -> float:
    """Variance of the inverse-variance portfolio of `names`."""
    weights = inverse[names] / inverse[names].sum()
    return float(weights @ covariance[np.ix_(names, names)] @ weights)


def _order(correlation: Floats) -> NDArray[np.int64]:
    """The names in the order of the leaves, shape (n,)."""
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import squareform

    distance = np.sqrt(np.maximum((1.0 - correlation) / 2.0, 0.0))
    condensed = squareform(distance, checks=False)
    linkage = hierarchy.optimal_leaf_ordering(hierarchy.linkage(condensed, method="ward"), condensed)
    return np.asarray(hierarchy.leaves_list(linkage), dtype=np.int64)
