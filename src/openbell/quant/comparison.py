"""Candidates against a benchmark, against each other, and against the one in office, on the same sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput
from openbell.quant.significance import MINIMUM_BLOCKS, SuperiorSet, long_run_variance, mean_block, stepm

Floats = NDArray[np.float64]

CONSTANT = 1e-12


@dataclass(frozen=True, slots=True)
class SuperiorAbility:
    """Whether any candidate is better than the benchmark, however many were tried.

    Attributes
    ----------
    reality_check : p-value of White's test on plain means. spa : of Hansen's test, studentised, "consistent".
    spa_lower, spa_upper : its bounds; the upper one takes every hopeless candidate seriously.
    candidates : how many could be judged. dates, block_sessions, replications : what it was computed with.
    """

    reality_check: float
    spa: float
    spa_lower: float
    spa_upper: float
    candidates: int
    dates: int
    block_sessions: int
    replications: int


@dataclass(frozen=True, slots=True, eq=False)
class ConfidenceSet:
    """The candidates among which the best one is, with confidence ``1 - size``.

    Attributes
    ----------
    names : in the order given. p_value : smallest size at which each is out, shape (k,); the best has 1.
    included : whether each is in the set, shape (k,).
    size, dates, block_sessions, replications : what it was computed with.
    """

    names: tuple[str, ...]
    p_value: Floats
    included: NDArray[np.bool_]
    size: float
    dates: int
    block_sessions: int
    replications: int

    @property
    def members(self) -> tuple[str, ...]:
        """Names in the set."""
        return tuple(name for name, inside in zip(self.names, self.included, strict=True) if inside)


def _matrix(values: ArrayLike, columns: int | None, block: int) -> Floats:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.shape[1] or columns not in (None, matrix.shape[1]):
        raise BadInput(f"Values need the shape (n, k), a column for each candidate; it was {matrix.shape}.")
    if not np.isfinite(matrix).all():
        bad = int((~np.isfinite(matrix)).sum())
        raise BadInput(f"Values must be finite; {bad} of {matrix.size} were not. Keep only the common sessions.")
    if len(matrix) < MINIMUM_BLOCKS * block:
        raise BadInput(
            f"{len(matrix)} sessions are too few for a mean block of {block}: at least {MINIMUM_BLOCKS * block} are "
            "needed. Give a longer history."
        )
    return matrix


def _block(values: ArrayLike, horizon: int, block_horizons: float) -> int:
    return mean_block(horizon, len(np.asarray(values)), block_horizons)


def _varying(matrix: Floats) -> NDArray[np.bool_]:
    scale = np.maximum(np.abs(matrix).max(axis=0), np.finfo(np.float64).tiny)
    return np.asarray(matrix.std(axis=0) > CONSTANT * scale)


def superior_ability(
    values: ArrayLike,
    *,
    horizon: int,
    replications: int = 2000,
    block_horizons: float = 2.0,
    seed: int = 0,
) -> SuperiorAbility:
    """White's reality check and Hansen's test of superior predictive ability: whether the best is better than nothing.

    Parameters
    ----------
    values : per-session values of each candidate less the benchmark (active returns), oldest first, finite, (n, k).
    horizon : sessions that neighbouring values share an outcome for; the mean block of the stationary bootstrap is
        `block_horizons` of it (`quant.significance.mean_block`). replications, seed : of the bootstrap.

    Returns
    -------
    SuperiorAbility
        Candidates without variance cannot be judged and are left out; with none left every p-value is 1.

    Raises
    ------
    BadInput
        On NaN or infinite values, or fewer than 10 mean blocks of sessions.

    Notes
    -----
    ``arch.bootstrap.SPA`` (8.0.0) compares plain means whatever ``studentize`` says, so each column is divided by its
    own long-run deviation first; the plain columns beside them give White's p-value from the same resamples.

    References
    ----------
    White (2000), Econometrica 68, 1097-1126. Hansen (2005), Journal of Business & Economic Statistics 23, 365-380.
    """
    from arch.bootstrap import SPA

    block = _block(values, horizon, block_horizons)
    matrix = _matrix(values, None, block)
    n = len(matrix)
    judged = matrix[:, _varying(matrix)]
    deviation = np.sqrt(long_run_variance(judged, block)) if judged.shape[1] else np.empty(0)
    judged, deviation = judged[:, deviation > 0], deviation[deviation > 0]
    k = judged.shape[1]
    if not k:
        return SuperiorAbility(1.0, 1.0, 1.0, 1.0, 0, n, block, replications)
    both = np.hstack([judged / deviation, judged])
    test = SPA(np.zeros(n), -both, block_size=block, reps=replications, seed=seed)
    studentised = _p_values(test, np.arange(2 * k) < k)
    plain = _p_values(test, np.arange(2 * k) >= k)
    return SuperiorAbility(
        plain["upper"],
        studentised["consistent"],
        studentised["lower"],
        studentised["upper"],
        k,
        n,
        block,
        replications,
    )


def _p_values(test: Any, columns: NDArray[np.bool_]) -> dict[str, float]:
    test.subset(columns)
    test.compute()
    return {str(name): float(value) for name, value in test.pvalues.items()}


def confidence_set(
    values: ArrayLike,
    names: Sequence[str],
    *,
    horizon: int,
    size: float = 0.10,
    replications: int = 2000,
    block_horizons: float = 2.0,
    seed: int = 0,
) -> ConfidenceSet:
    """The model confidence set: what cannot be told from the best.

    Parameters
    ----------
    values : per-session values of each candidate, larger is better, oldest first, finite, shape (n, k).
    names : the k candidates. size : one less the confidence, in (0, 1). The rest as for `superior_ability`.

    Returns
    -------
    ConfidenceSet
        Candidates that differ by a constant are one for the test (their difference has no error): the best of them
        stands for all, equal ones share its p-value, and those that are surely worse have 0.

    Raises
    ------
    BadInput
        On NaN or infinite values, or fewer than 10 mean blocks of sessions.

    References
    ----------
    Hansen, Lunde and Nason (2011), Econometrica 79, 453-497; range statistic.
    """
    from arch.bootstrap import MCS

    if not 0.0 < size < 1.0:
        raise BadInput(f"`size` must lie between 0 and 1; was {size}.")
    block = _block(values, horizon, block_horizons)
    matrix = _matrix(values, len(names), block)
    stands_for, behind = _alike(matrix)
    kept = np.unique(stands_for)
    of_kept = np.ones(len(kept))
    if len(kept) > 1:
        test = MCS(-matrix[:, kept], size, reps=replications, block_size=block, seed=seed)
        test.compute()
        of_kept = test.pvalues["Pvalue"].sort_index().to_numpy(dtype=np.float64)
    p_value = np.where(behind, 0.0, of_kept[np.searchsorted(kept, stands_for)])
    return ConfidenceSet(tuple(names), p_value, p_value > size, size, len(matrix), block, replications)


def _alike(matrix: Floats) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each column, the best of those it differs from by a constant only, and whether it is behind that one."""
    scale = max(float(np.abs(matrix).max()), np.finfo(np.float64).tiny)
    mean = matrix.mean(axis=0)
    shape = matrix - mean
    stands_for = np.arange(matrix.shape[1])
    behind = np.zeros(matrix.shape[1], dtype=bool)
    for at in range(matrix.shape[1]):
        if stands_for[at] != at:
            continue
        same = np.flatnonzero(np.abs(shape - shape[:, [at]]).max(axis=0) <= CONSTANT * scale)
        best = int(same[np.argmax(mean[same])])
        stands_for[same] = best
        behind[same] = mean[best] - mean[same] > CONSTANT * scale
    return stands_for, behind


def paired(
    challengers: ArrayLike,
    incumbent: ArrayLike,
    names: Sequence[str],
    *,
    horizon: int,
    alpha: float = 0.01,
    replications: int = 2000,
    block_horizons: float = 2.0,
    seed: int = 0,
) -> SuperiorSet:
    """Which challengers are better than the one in office: StepM on the differences, session by session.

    Parameters
    ----------
    challengers : per-session returns, shape (n, k). incumbent : of the one in office on the same sessions, (n,).
    names : the k challengers. The rest as for `quant.significance.stepm`.

    Returns
    -------
    SuperiorSet
        Its means and intervals are those of the differences. A challenger that is the incumbent never survives.
    """
    matrix, office = np.asarray(challengers, dtype=np.float64), np.asarray(incumbent, dtype=np.float64)
    if matrix.ndim != 2 or office.shape != (len(matrix),):
        raise BadInput(
            f"Challengers need the shape (n, k) and the incumbent (n,); they were {matrix.shape} and {office.shape}."
        )
    return stepm(
        matrix - office[:, None],
        names,
        horizon=horizon,
        alpha=alpha,
        replications=replications,
        block_horizons=block_horizons,
        seed=seed,
    )
