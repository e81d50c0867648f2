"""What the values of a group are like: several centres, their uncertainty, and what lies beyond the tails."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput

Floats = NDArray[np.float64]

#: Fewer observations than this are shown, but nothing is concluded from them.
SUFFICIENT = 30
#: Columns of `grouped_value_statistics` behind its count, in order.
MEASURES = (
    "mean", "trimmed_mean", "median", "median_low", "median_high", "mode",
    "outlier_mean", "outlier_mean_low", "outlier_mean_high", "variance", "error", "p",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ValueStatistics:
    """Measures of one sample, as `value_statistics` defines them; NaN where undefined.

    Attributes
    ----------
    n, missing : finite values, and NaN that were left out.
    p : of "the mean is 0". The others are in units of the values, `variance` in their square.
    """

    n: int
    missing: int
    mean: float
    trimmed_mean: float
    median: float
    median_low: float
    median_high: float
    mode: float
    outlier_mean: float
    outlier_mean_low: float
    outlier_mean_high: float
    variance: float
    error: float
    p: float

    @property
    def sufficient(self) -> bool:
        """Whether there are at least `SUFFICIENT` values."""
        return self.n >= SUFFICIENT


def value_statistics(values: ArrayLike, *, level: float = 0.95) -> ValueStatistics:
    """Centres, tails and spread of a sample.

    Parameters
    ----------
    values : shape (n,), in order of time (the order matters for the uncertainty only). NaN are left out and counted.
    level : coverage of the interval of the median, in (0, 1).

    Returns
    -------
    ValueStatistics
        ``trimmed_mean`` cuts ``floor(0.05 n)`` values at each end, as ``scipy.stats.trim_mean(values, 0.05)`` does; it
        is not the middle of two quantiles. ``median_low`` and ``median_high`` are the order statistics that hold the
        median with at least `level` by the binomial distribution; where neighbouring values tend to lie on the same
        side of it, they are moved outwards by the root of the variance inflation; NaN where the sample is too small.
        ``mode`` is the half-sample mode: the densest half of the densest half ... down to two values, their mean; of
        equally dense halves the middle one is taken. ``outlier_mean`` is the mean of the values below the 5 % and above
        the 95 % quantile together, ``_low`` and ``_high`` of each side alone. ``variance`` divides by n - 1. ``error``
        is the standard error of the mean by Newey and West with ``4 (n / 100)^(2/9)`` lags, never below that of
        independent values, and ``p`` that of Student's t with n - 1 degrees of freedom for a mean of 0.

    Raises
    ------
    BadInput
        On infinite values, or a level outside (0, 1).

    References
    ----------
    Bickel and Fruehwirth (2006), Computational Statistics & Data Analysis 50, 3500-3530: the half-sample mode.
    Newey and West (1987), Econometrica 55, 703-708. Conover (1999), Practical Nonparametric Statistics, 3.2.
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    rows = grouped_value_statistics(array, np.zeros(len(array), dtype=np.int64), 1, level=level)
    found = rows.row(0, named=True)
    measured = {name: math.nan if found[name] is None else float(found[name]) for name in MEASURES}
    return ValueStatistics(n=int(found["n"]), missing=int(np.isnan(array).sum()), **measured)


def grouped_value_statistics(values: ArrayLike, group: ArrayLike, groups: int, *, level: float = 0.95) -> pl.DataFrame:
    """`value_statistics` of every group at once.

    Parameters
    ----------
    values : shape (n,), in order of time within each group; NaN are left out.
    group : shape (n,), integers in [0, groups). level : of the interval of the median.

    Returns
    -------
    polars.DataFrame
        One row per group in order: ``n`` and `MEASURES`; undefined is null, never NaN.

    Raises
    ------
    BadInput
        On infinite values, a group out of range, different lengths, or a level outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise BadInput(f"`level` must lie in (0, 1); was {level}.")
    array, of = _checked(values, group, groups)
    from openbell.quant import value_kernel as kernel

    count = np.bincount(of, minlength=groups)
    most = int(count.max()) if groups else 0
    critical = NormalDist().inv_cdf(0.5 + level / 2.0)
    ranks, lags = binomial_ranks(most, level), newey_west_lags(most)
    table = kernel.group_statistics(array, of, groups, ranks, critical, lags)
    table = np.column_stack([table, _mean_p(table[:, kernel.MEAN], table[:, kernel.ERROR], count)])
    measured = pl.DataFrame({name: table[:, at] for at, name in enumerate(MEASURES)})
    return measured.fill_nan(None).insert_column(0, pl.Series("n", count, dtype=pl.Int64))


def _checked(values: ArrayLike, group: ArrayLike, groups: int) -> tuple[Floats, NDArray[np.int64]]:
    array, of = np.asarray(values, dtype=np.float64).ravel(), np.asarray(group, dtype=np.int64).ravel()
    if len(array) != len(of):
        raise BadInput(f"Each of {len(array)} values needs its group; there were {len(of)}.")
    if len(of) and not (of.min() >= 0 and of.max() < groups):
        raise BadInput(f"Groups are numbered 0 to {groups - 1}; there were {of.min()} to {of.max()}.")
    if np.isinf(array).any():
        raise BadInput(f"{int(np.isinf(array).sum())} of {len(array)} values are infinite; leave them out and say so.")
    there = ~np.isnan(array)
    return array[there], of[there]


def binomial_ranks(most: int, level: float) -> NDArray[np.int64]:
    """For samples of 0 to `most` values, the rank r for which the r-th lowest and highest hold the median; 0: none.

    The interval covers with at least `level`: ``P(B < r) <= (1 - level) / 2`` for B binomial with n and a half.
    """
    from scipy.stats import binom

    return np.asarray(binom.ppf((1.0 - level) / 2.0, np.arange(most + 1), 0.5)).clip(0).astype(np.int64)


def newey_west_lags(most: int) -> NDArray[np.int64]:
    """For samples of 0 to `most` values, ``floor(4 (n / 100)^(2/9))`` lags, the rule of thumb of Newey and West."""
    return np.floor(4.0 * (np.arange(most + 1) / 100.0) ** (2.0 / 9.0)).astype(np.int64)


def _mean_p(mean: Floats, error: Floats, count: NDArray[np.int64]) -> Floats:
    """Two-sided p of a mean of 0; NaN without spread."""
    from scipy.stats import t

    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(error > 0, np.abs(mean) / error, np.nan)
    return np.asarray(2.0 * t.sf(statistic, np.maximum(count - 1, 1)), dtype=np.float64)
