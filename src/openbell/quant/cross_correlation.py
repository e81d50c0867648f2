"""How two series move together, now and shifted against one another, when each resembles its own past."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.multiple_testing import holm

Floats = NDArray[np.float64]

#: Fewer pairs than this have no correlation worth a figure.
MINIMUM = 10


@dataclass(frozen=True, slots=True)
class Correlation:
    """Correlation of two series over their common rows.

    Attributes
    ----------
    r : Pearson's. low, high : its interval at `level` by Fisher's transformation. p : two-sided, of no correlation.
    rho, rho_p : Spearman's, with its own p. All uncertainty is of `effective_n` pairs.
    n, missing : pairs used, and rows left out because a value is NaN. r is NaN where a side is constant.
    """

    r: float
    low: float
    high: float
    p: float
    rho: float
    rho_p: float
    n: int
    missing: int
    effective_n: float
    level: float


@dataclass(frozen=True, slots=True, eq=False)
class LeadLag:
    """Correlations of ``first[t]`` with ``second[t + lag]``: a positive lag says that the first leads.

    Attributes
    ----------
    lags : from the most negative to the most positive, shape (k,). r, p, p_adjusted : of each, the last by Holm
        over all lags. n, effective_n : pairs of each, and what they are worth.
    """

    lags: NDArray[np.int64]
    r: Floats
    p: Floats
    p_adjusted: Floats
    n: NDArray[np.int64]
    effective_n: Floats

    @property
    def best(self) -> int | None:
        """Lag of the largest correlation in size; the one nearest to 0 on a tie; None where none is defined."""
        if np.isnan(self.r).all():
            return None
        size = np.where(np.isnan(self.r), -1.0, np.abs(self.r))
        order = np.lexsort((self.lags, np.abs(self.lags), -size))
        return int(self.lags[order[0]])


def correlation(first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> Correlation:
    """Pearson's and Spearman's correlation with uncertainty for series that resemble their own past.

    Parameters
    ----------
    first, second : shape (n,), in order of time; rows in which either is NaN are left out and counted.
    level : coverage of the interval, in (0, 1).

    Returns
    -------
    Correlation
        With ``n_e = n / (1 + 2 sum over k of (1 - k / n) a_k b_k)``, at most n, a and b the autocorrelations of both
        sides over the first ``n^(1/2)`` lags, p is Student's of ``r sqrt((n_e - 2) / (1 - r^2))`` with ``n_e - 2``
        degrees of freedom and the interval ``tanh(atanh r -+ z / sqrt(n_e - 3))``.

    Raises
    ------
    BadInput
        Different lengths or infinite values. DataMissing : fewer than 10 pairs.

    References
    ----------
    Bartlett (1946), Journal of the Royal Statistical Society Supplement 8, 27-41.
    Pyper and Peterman (1998), Canadian Journal of Fisheries and Aquatic Sciences 55, 2127-2140.
    """
    from scipy.stats import rankdata

    if not 0.0 < level < 1.0:
        raise BadInput(f"`level` must lie in (0, 1); was {level}.")
    a, b = _sides(first, second)
    there = ~(np.isnan(a) | np.isnan(b))
    n = int(there.sum())
    if n < MINIMUM:
        raise DataMissing(f"A correlation needs at least {MINIMUM} pairs of values; there were {n}.")
    a, b = a[there], b[there]
    r, worth = _pearson(a, b), effective_pairs(a, b)
    ranks = rankdata(a), rankdata(b)
    rho = _pearson(*ranks)
    low, high = math.nan, math.nan
    if worth > 3.0 and abs(r) < 1.0:
        half = NormalDist().inv_cdf(0.5 + level / 2.0) / math.sqrt(worth - 3.0)
        low, high = math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
    return Correlation(
        r, low, high, _p(r, worth), rho, _p(rho, effective_pairs(*ranks)), n, int((~there).sum()), worth, level
    )


def lead_lag(first: ArrayLike, second: ArrayLike, *, most: int = 10) -> LeadLag:
    """Correlation of ``first[t]`` with ``second[t + lag]`` for every lag from ``-most`` to `most`.

    Parameters
    ----------
    first, second : shape (n,), on the same rows in order of time; a pair in which either is NaN is left out.
    most : largest lag in rows, at least 1; at least 10 pairs must be left at it.

    Returns
    -------
    LeadLag
        ``p`` as in `correlation`, of the pairs at each lag; ``p_adjusted`` by Holm over all of them.

    Raises
    ------
    BadInput
        Different lengths, infinite values or a lag below 1. DataMissing : too few rows.
    """
    a, b = _sides(first, second)
    if most < 1:
        raise BadInput(f"The largest lag is at least 1; was {most}.")
    if len(a) - most < MINIMUM:
        raise DataMissing(f"Lags up to {most} need at least {most + MINIMUM} rows; there were {len(a)}.")
    lags = np.arange(-most, most + 1)
    r, p, worth = (np.full(len(lags), np.nan) for _ in range(3))
    n = np.zeros(len(lags), dtype=np.int64)
    for at, lag in enumerate(lags):
        x, y = (a[: len(a) - lag], b[lag:]) if lag >= 0 else (a[-lag:], b[: len(b) + lag])
        there = ~(np.isnan(x) | np.isnan(y))
        n[at] = there.sum()
        if n[at] >= MINIMUM:
            r[at], worth[at] = _pearson(x[there], y[there]), effective_pairs(x[there], y[there])
            p[at] = _p(float(r[at]), float(worth[at]))
    return LeadLag(lags, r, p, holm(p), n, worth)


def effective_pairs(first: Floats, second: Floats) -> float:
    """Independent pairs that as many pairs of two autocorrelated series are worth, from 2 to n; see `correlation`."""
    n = len(first)
    k = np.arange(1, min(math.isqrt(n), n - 1) + 1)
    product = _autocorrelations(first, len(k)) * _autocorrelations(second, len(k))
    return float(np.clip(n / max(1.0 + 2.0 * float(((1.0 - k / n) * product).sum()), 1e-9), 2.0, n))


def _autocorrelations(values: Floats, most: int) -> Floats:
    centred = values - values.mean()
    own = float(centred @ centred)
    if own <= 0.0:
        return np.zeros(most)
    return np.array([float(centred[lag:] @ centred[:-lag]) / own for lag in range(1, most + 1)])


def _pearson(a: Floats, b: Floats) -> float:
    x, y = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(x @ x) * float(y @ y))
    least = 1e-12 * len(a) * float(np.abs(a).max()) * float(np.abs(b).max())
    return float(np.clip(float(x @ y) / scale, -1.0, 1.0)) if scale > least else math.nan


def _p(r: float, worth: float) -> float:
    from scipy.stats import t

    if math.isnan(r) or worth <= 2.0:
        return 1.0 if not math.isnan(r) else math.nan
    if abs(r) >= 1.0:
        return 0.0
    return float(2.0 * t.sf(abs(r) * math.sqrt((worth - 2.0) / (1.0 - r * r)), worth - 2.0))


def _sides(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    a, b = np.asarray(first, dtype=np.float64).ravel(), np.asarray(second, dtype=np.float64).ravel()
    if len(a) != len(b):
        raise BadInput(f"Both series need the same rows; there were {len(a)} and {len(b)} values.")
    if np.isinf(a).any() or np.isinf(b).any():
        raise BadInput("The series must not hold infinite values; leave them out and say how many.")
    return a, b
