"""Statistics of many groups of values, compiled. Imported only where they are asked for: numba is slow to import."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math

import numba
import numpy as np

#: Columns that `group_statistics` fills, in order.
(
    MEAN, TRIMMED, MEDIAN, MEDIAN_LOW, MEDIAN_HIGH, MODE, OUTLIER, OUTLIER_LOW, OUTLIER_HIGH, VARIANCE, ERROR,
) = range(11)  # fmt: skip
COLUMNS = 11
#: Share cut off at each end by the trimmed mean, and the quantiles beyond which a value is an outlier.
TAIL = 0.05


@numba.njit(cache=True, nogil=True, error_model="numpy")
def long_run_variance(values: np.ndarray, centre: float, lags: int) -> float:
    """Variance of ``sqrt(n) * mean`` by Newey and West with Bartlett weights, not below that of independent values."""
    n = values.shape[0]
    own = 0.0
    for i in range(n):
        own += (values[i] - centre) ** 2
    whole = own
    for lag in range(1, min(lags, n - 1) + 1):
        cross = 0.0
        for i in range(lag, n):
            cross += (values[i] - centre) * (values[i - lag] - centre)
        whole += 2.0 * (1.0 - lag / (lags + 1.0)) * cross
    return float(max(own, whole) / n)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sorted_quantile(ordered: np.ndarray, q: float) -> float:
    """Quantile by straight lines between order statistics, NumPy's own rule."""
    place = q * (ordered.shape[0] - 1)
    below = math.floor(place)
    above = min(below + 1, ordered.shape[0] - 1)
    return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def half_sample_mode(ordered: np.ndarray) -> float:
    """Mode of `ordered`, rising, n >= 1: halve to the densest half until two are left; see `value_statistics`."""
    first, count = 0, ordered.shape[0]
    slack = 1e-12 * (ordered[-1] - ordered[0])
    while count > 2:
        half = (count + 1) // 2
        least = math.inf
        for i in range(first, first + count - half + 1):
            least = min(least, ordered[i + half - 1] - ordered[i])
        tied = 0
        for i in range(first, first + count - half + 1):
            tied += ordered[i + half - 1] - ordered[i] <= least + slack
        passed = 0
        for i in range(first, first + count - half + 1):
            if ordered[i + half - 1] - ordered[i] <= least + slack:
                if passed == (tied - 1) // 2:
                    first = i
                    break
                passed += 1
        count = half
    return float(0.5 * (ordered[first] + ordered[first + count - 1]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _median_bounds(
    values: np.ndarray, ordered: np.ndarray, rank: int, critical: float, lags: int
) -> tuple[float, float]:
    """Order statistics around the median: the binomial ranks, moved outwards where signs around it repeat."""
    n = ordered.shape[0]
    if rank < 1:
        return math.nan, math.nan
    median = 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])
    signs = np.empty(n)
    for i in range(n):
        signs[i] = 1.0 if values[i] > median else (-1.0 if values[i] < median else 0.0)
    centre = signs.mean()
    own = ((signs - centre) ** 2).mean()
    widened = math.sqrt(long_run_variance(signs, centre, lags) / own) if own > 0.0 else 1.0
    outwards = math.ceil(0.5 * critical * math.sqrt(n) * (widened - 1.0) - 1e-9)
    low = rank - 1 - outwards
    if low < 0:
        return math.nan, math.nan
    return float(ordered[low]), float(ordered[n - 1 - low])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fill(values: np.ndarray, rank: int, critical: float, lags: int, out: np.ndarray) -> None:
    """All columns of one group; `values` in order of time, n >= 1, finite."""
    n = values.shape[0]
    ordered = np.sort(values)
    mean = values.mean()
    out[MEAN] = mean
    cut = int(TAIL * n)
    out[TRIMMED] = ordered[cut : n - cut].mean()
    out[MEDIAN] = 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])
    out[MEDIAN_LOW], out[MEDIAN_HIGH] = _median_bounds(values, ordered, rank, critical, lags)
    out[MODE] = half_sample_mode(ordered)
    low, high = sorted_quantile(ordered, TAIL), sorted_quantile(ordered, 1.0 - TAIL)
    below, above, under, over = 0.0, 0.0, 0, 0
    for i in range(n):
        if ordered[i] < low:
            below += ordered[i]
            under += 1
        elif ordered[i] > high:
            above += ordered[i]
            over += 1
    out[OUTLIER] = (below + above) / (under + over) if under + over else math.nan
    out[OUTLIER_LOW] = below / under if under else math.nan
    out[OUTLIER_HIGH] = above / over if over else math.nan
    out[VARIANCE] = ((values - mean) ** 2).sum() / (n - 1) if n > 1 else math.nan
    if n > 1:
        out[ERROR] = math.sqrt(long_run_variance(values, mean, lags) / (n - 1))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def group_statistics(
    values: np.ndarray, group: np.ndarray, groups: int, ranks: np.ndarray, critical: float, lags: np.ndarray
) -> np.ndarray:
    """Statistics (groups, COLUMNS) of `values` (n,), finite and in order of time, by their `group`; NaN where empty.

    ``ranks[m]`` and ``lags[m]`` are, for a group of m values, the binomial rank of the median's bounds (0: none) and
    the lags that its dependence is looked for over.
    """
    starts = np.zeros(groups + 1, dtype=np.int64)
    for i in range(group.shape[0]):
        starts[group[i] + 1] += 1
    for g in range(groups):
        starts[g + 1] += starts[g]
    gathered, filled = np.empty(values.shape[0]), starts[:-1].copy()
    for i in range(values.shape[0]):
        gathered[filled[group[i]]] = values[i]
        filled[group[i]] += 1
    out = np.full((groups, COLUMNS), np.nan)
    for g in range(groups):
        count = starts[g + 1] - starts[g]
        if count:
            _fill(gathered[starts[g] : starts[g + 1]], ranks[count], critical, lags[count], out[g])
    return out


@numba.njit(cache=True, nogil=True, error_model="numpy")
def rolling_bootstrap_bounds(values: np.ndarray, weights: np.ndarray, tail: float) -> np.ndarray:
    """Quantiles `tail` and ``1 - tail``, shape (windows, 2), of the median of each window over its resamples.

    ``weights[b, i]`` is how often resample b holds the i-th value of a window; each row sums to the window.
    """
    replications, window = weights.shape
    out = np.empty((values.shape[0] - window + 1, 2))
    medians = np.empty(replications)
    first, second = (window - 1) // 2, window // 2
    for start in range(out.shape[0]):
        part = values[start : start + window]
        order = np.argsort(part)
        for b in range(replications):
            passed, at = 0, -1
            while passed <= first:
                at += 1
                passed += weights[b, order[at]]
            lower = part[order[at]]
            while passed <= second:
                at += 1
                passed += weights[b, order[at]]
            medians[b] = 0.5 * (lower + part[order[at]])
        ranked = np.sort(medians)
        out[start, 0], out[start, 1] = sorted_quantile(ranked, tail), sorted_quantile(ranked, 1.0 - tail)
    return out
