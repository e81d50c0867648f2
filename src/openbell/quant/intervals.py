"""An estimate never travels without its number of observations and its interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput

#: Below this many mean blocks the quantiles of the stationary bootstrap mean nothing; then there is no interval.
MINIMUM_BLOCKS = 10

Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with what is needed to judge it.

    Attributes
    ----------
    value : the statistic of the whole sample; None where it is undefined.
    low, high : bounds of the two-sided interval at `level`; None where the sample is too small for one.
    n : finite observations it rests on. level : coverage the interval aims at, for example 0.95.
    block : mean block of the stationary bootstrap, in observations.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    level: float
    block: int

    def excludes(self, number: float) -> bool:
        """Whether `number` lies outside the interval; False where there is no interval."""
        return self.low is not None and self.high is not None and not self.low <= number <= self.high


def mean_block(horizon_sessions: int, n: int) -> int:
    """Mean block in observations: two horizons, at least 2 and at least the cube root of `n`."""
    if horizon_sessions < 1:
        raise BadInput(f"`horizon_sessions` must be at least 1; was {horizon_sessions}.")
    return max(2 * horizon_sessions, 2, math.ceil(math.cbrt(n)))


def row_mean(samples: np.ndarray) -> np.ndarray:
    """Mean of each row, shape (k, n) to (k,)."""
    return np.asarray(samples.mean(axis=1))


def resampled(
    values: np.ndarray, statistic: Statistic, *, block: int, replications: int = 1000, seed: int = 0
) -> np.ndarray:
    """`statistic` of `replications` stationary-bootstrap resamples of `values`.

    Parameters
    ----------
    values : shape (n,), oldest first, finite; their order carries the dependence.
    statistic : maps resamples in rows, shape (k, n), to one number each, shape (k,).
    block : mean block length. replications : resamples. seed : of the resampling.

    Returns
    -------
    numpy.ndarray
        Shape (replications,); NaN where the statistic is undefined on a resample.

    References
    ----------
    Politis and Romano (1994), Journal of the American Statistical Association 89, 1303-1313.
    """
    from arch.bootstrap import StationaryBootstrap

    drawn: np.ndarray = StationaryBootstrap(block, np.asarray(values, dtype=np.float64), seed=seed).apply(
        lambda sample: statistic(sample[None, :]), replications
    )
    return drawn.ravel()


def estimate(
    values: np.ndarray,
    statistic: Statistic = row_mean,
    *,
    block: int,
    level: float = 0.95,
    replications: int = 1000,
    seed: int = 0,
) -> Estimate:
    """`statistic` of `values` with its percentile interval from the stationary bootstrap.

    Parameters
    ----------
    values : shape (n,), oldest first. NaN are missing observations: left out, and not counted in `n`.
    statistic : maps rows, shape (k, n), to one number each, shape (k,). Default: the mean.
    block : mean block; at least two label horizons where outcomes overlap.
    level : coverage of the interval. replications, seed : of the bootstrap.

    Returns
    -------
    Estimate
        Without bounds where there are fewer than 10 mean blocks of observations, or where the statistic is
        undefined (for example the Sharpe ratio of a constant) on the sample or on over 1 % of the resamples.

    Raises
    ------
    BadInput
        On infinite values, `level` outside (0, 1) or a block under 1.
    """
    if not 0.0 < level < 1.0 or block < 1:
        raise BadInput(f"`level` must lie in (0, 1) and `block` be at least 1; they were {level} and {block}.")
    array = np.asarray(values, dtype=np.float64).ravel()
    if np.isinf(array).any():
        raise BadInput(
            f"`values` must not hold infinities; {int(np.isinf(array).sum())} of {array.size} were infinite."
        )
    array = array[~np.isnan(array)]
    value = float(statistic(array[None, :])[0]) if array.size else math.nan
    without = Estimate(None if math.isnan(value) else value, None, None, int(array.size), level, block)
    if without.value is None or array.size < MINIMUM_BLOCKS * block:
        return without
    draws = resampled(array, statistic, block=block, replications=replications, seed=seed)
    defined = draws[~np.isnan(draws)]
    if defined.size < 0.99 * draws.size:
        return without
    tail = 100.0 * (1.0 - level) / 2.0
    low, high = np.percentile(defined, [tail, 100.0 - tail])
    return Estimate(value, float(low), float(high), int(array.size), level, block)
