"""How many independent observations rows are worth that share a day: Kish's design effect of scores by cluster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openbell.core.errors import BadInput

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Days that the correlation within a day which all groups share counts for, beside the days of a group itself.
PRIOR_DAYS = 20.0


def design_effects(scores: Floats, rows: Floats, day: Integers, group: Integers, information: Floats) -> Floats:
    """Variance of the scores of each group, clustered by day, over what it would be if its rows were independent.

    Parameters
    ----------
    scores : (m, k) sums of k scores over some rows of one day. rows : (m,) how many rows. day : (m,) in [0, days).
    group : (m,) in [0, groups), -1 where the rows belong to none; entries of one group and day are added up.
    information : (groups, k) variance of the group's scores if its rows were independent.

    Returns
    -------
    numpy.ndarray
        Shape (groups, k), at least 1; 1 without rows or information. A row that is copied c times within its day
        multiplies the effect by c, so that rows over effect, the effective number of rows, stays what it was.

    Notes
    -----
    With ``e_d`` the score of a day less its share, by rows, of the group's whole, and ``D`` days, the group's own
    estimate is ``D / (D - 1) * sum_d e_d^2 / information``. It is joined, by ``D - 1`` against `PRIOR_DAYS`, with
    Kish's ``1 + (m - 1) rho``: ``m`` the mean size of a row's day, ``rho`` the correlation within a day over all
    groups. What lies below 1 (rows that hedge each other) is held at 1: no group is worth more than its rows.

    References
    ----------
    Kish (1965), Survey Sampling, 8.2. Liang and Zeger (1986), Biometrika 73, 13-22.
    """
    if not len(scores) == len(rows) == len(day) == len(group) or scores.shape[1:] != information.shape[1:]:
        raise BadInput(
            f"Scores {scores.shape}, rows {rows.shape}, days {day.shape}, groups {group.shape} and information "
            f"{information.shape} do not belong together."
        )
    groups = len(information)
    of, daily, size = _by_day(scores, rows, day, group)

    def total(values: Floats) -> Floats:
        return np.asarray(np.bincount(of, weights=values, minlength=groups), dtype=np.float64)

    days, n = total(np.ones(len(of))), total(size)
    several = days > 1
    mean = np.stack([total(each) for each in daily.T], axis=1) / np.maximum(n, 1.0)[:, None]
    squares = (daily - size[:, None] * mean[of]) ** 2
    spread = np.stack([total(each) for each in squares.T], axis=1)
    spread *= np.where(several, days / np.maximum(days - 1.0, 1.0), 0.0)[:, None]
    kish = _kish(spread[several], information[several], total(size**2) / np.maximum(n, 1.0), several)
    own = np.divide(spread, information, out=kish.copy(), where=(information > 0) & several[:, None])
    weight = np.maximum(days - 1.0, 0.0)[:, None]
    return np.asarray(np.maximum((weight * own + PRIOR_DAYS * kish) / (weight + PRIOR_DAYS), 1.0))


def _by_day(scores: Floats, rows: Floats, day: Integers, group: Integers) -> tuple[Integers, Floats, Floats]:
    """Entries added up by group and day: the group of each, its scores and its rows."""
    there = group >= 0
    days = int(day.max()) + 1 if len(day) else 1
    keys, at = np.unique(group[there] * days + day[there], return_inverse=True)
    summed = [np.bincount(at, weights=each, minlength=len(keys)) for each in scores[there].T]
    size = np.bincount(at, weights=rows[there], minlength=len(keys)).astype(np.float64)
    return (keys // days).astype(np.int64), np.stack(summed, axis=1), size


def _kish(spread: Floats, information: Floats, size: Floats, several: NDArray[np.bool_]) -> Floats:
    """Kish's effect (groups, k) from one correlation for each score; without a group of several days it is 1."""
    pairs = ((size[several] - 1.0)[:, None] * information).sum(axis=0)
    excess = (spread - information).sum(axis=0)
    correlation = np.divide(excess, pairs, out=np.full(len(pairs), float(not several.any())), where=pairs > 0)
    return np.asarray(1.0 + np.maximum(size - 1.0, 0.0)[:, None] * np.clip(correlation, 0.0, 1.0))
