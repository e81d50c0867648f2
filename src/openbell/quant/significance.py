"""Which of several candidates are better than nothing, when all of them were tried on the same dates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput

#: The stationary bootstrap needs this many mean blocks before its quantiles mean anything.
MINIMUM_BLOCKS = 10


@dataclass(frozen=True, slots=True, eq=False)
class SuperiorSet:
    """What StepM says about candidates that were tried together.

    Attributes
    ----------
    names : the candidates, in the order given.
    mean, lower, upper : mean of each and its two-sided 95 % interval (studentised bootstrap), shape (k,).
    statistic : mean over its standard error under dependence (studentised), shape (k,); 0 for a constant column.
    p_value : share of replications whose largest studentised mean exceeds the candidate's (first step), shape (k,).
    survives : whether StepM rejects "no better than zero" for it, shape (k,).
    critical : the value that the statistic of a survivor of the last step had to exceed; the first step's if none.
    dates, block_sessions, replications, alpha : what it was computed with. tries : how many candidates.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    statistic: np.ndarray
    p_value: np.ndarray
    survives: np.ndarray
    critical: float
    dates: int
    block_sessions: int
    replications: int
    alpha: float

    @property
    def tries(self) -> int:
        """How many candidates were tried together."""
        return len(self.names)

    @property
    def best(self) -> str | None:
        """The survivor with the largest studentised mean; the first named on a tie; None without survivors."""
        if not self.survives.any():
            return None
        return self.names[int(np.argmax(np.where(self.survives, self.statistic, -np.inf)))]


def long_run_variance(series: np.ndarray, block: int) -> np.ndarray:
    """Variance of ``sqrt(n) * mean`` as the stationary bootstrap with mean block `block` sees it.

    Parameters
    ----------
    series : shape (n, k), finite. block : mean block length in rows.

    Returns
    -------
    numpy.ndarray
        Shape (k,), never negative.

    References
    ----------
    Politis and Romano (1994), Journal of the American Statistical Association 89, 1303-1313, Lemma 1.
    """
    return _LongRun.of(series.shape[0], block)(series)


@dataclass(frozen=True, slots=True)
class _LongRun:
    """The long-run variance as a weighted sum over the periodogram: one transform, however many lags."""

    weights: np.ndarray
    length: int

    @classmethod
    def of(cls, n: int, block: int) -> _LongRun:
        """For `n` rows: a lag weighs as the stationary bootstrap weighs it."""
        from scipy.fft import next_fast_len, rfft

        length = next_fast_len(2 * n, real=True)
        lag, stay = np.arange(n), 1.0 - 1.0 / block
        kernel = np.zeros(length)
        kernel[:n] = (1.0 - lag / n) * stay**lag + (lag / n) * stay ** (n - lag)
        kernel[0] = 1.0
        kernel[length - n + 1 :] = kernel[n - 1 : 0 : -1]
        weights = rfft(kernel).real / (length * n)
        weights[1 : (length + 1) // 2] *= 2.0
        return cls(weights, length)

    def __call__(self, series: np.ndarray) -> np.ndarray:
        """Shape (n, k) to (k,)."""
        from scipy.fft import rfft

        transform = rfft(series - series.mean(axis=0), n=self.length, axis=0)
        variance = self.weights @ (transform.real**2 + transform.imag**2)
        return np.asarray(np.maximum(variance, 0.0), dtype=np.float64)


def mean_block(horizon: int, dates: int, multiple: float) -> int:
    """Mean block in sessions: `multiple` horizons, at least 2, and at least the cube root of the number of dates."""
    if multiple < 2:
        raise BadInput(
            f"`block_horizons` must be at least 2; was {multiple}. "
            "On overlapping returns a shorter block rejects far too often."
        )
    return max(math.ceil(multiple * horizon), 2, math.ceil(math.cbrt(dates)))


def _checked(values: np.ndarray, names: Sequence[str], block: int) -> np.ndarray:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != len(names) or not names:
        raise BadInput(f"`values` needs one column for each of the {len(names)} names; its shape was {matrix.shape}.")
    if not np.isfinite(matrix).all():
        raise BadInput("`values` must be finite; keep only the dates on which every candidate has a value.")
    if matrix.shape[0] < MINIMUM_BLOCKS * block:
        raise BadInput(
            f"{matrix.shape[0]} dates are too few for a mean block of {block}: "
            f"at least {MINIMUM_BLOCKS * block} are needed. Give a longer history."
        )
    return matrix


def _null_statistics(matrix: np.ndarray, block: int, replications: int, seed: int) -> np.ndarray:
    """Studentised deviations of resampled means, each by its own sample's error, shape (replications, k).

    The resample's error is biased as the sample's own is; dividing by the latter alone rejects two to three times
    too often on 500 dates.
    """
    from arch.bootstrap import StationaryBootstrap  # Brings statsmodels and pandas along: two seconds.

    n, k = matrix.shape
    centre = matrix.mean(axis=0)

    long_run = _LongRun.of(n, block)

    def deviation(sample: np.ndarray) -> np.ndarray:
        return np.concatenate([sample.mean(axis=0) - centre, np.sqrt(long_run(sample) / n)])

    both = np.asarray(StationaryBootstrap(block, matrix, seed=seed).apply(deviation, replications), dtype=np.float64)
    return np.asarray(both[:, :k] / np.maximum(both[:, k:], np.finfo(np.float64).tiny), dtype=np.float64)


def _steps(means: np.ndarray, null: np.ndarray, alpha: float) -> tuple[np.ndarray, float]:
    """Survivors and the last critical value: reject, take the rejected out, ask the rest again."""
    survives = np.zeros(len(means), dtype=bool)
    critical = math.inf
    while not survives.all():
        critical = float(np.percentile(null[:, ~survives].max(axis=1), 100.0 * (1.0 - alpha)))
        rejected = ~survives & (means > critical)
        if not rejected.any():
            break
        survives |= rejected
    return survives, critical


def stepm(
    values: np.ndarray,
    names: Sequence[str],
    *,
    horizon: int,
    alpha: float = 0.01,
    replications: int = 2000,
    block_horizons: float = 2.0,
    seed: int = 0,
) -> SuperiorSet:
    """Candidates whose mean is above zero, the family-wise error held at `alpha` (StepM of Romano and Wolf).

    Parameters
    ----------
    values : per-date values of each candidate on common dates, oldest first, finite, shape (n, k).
    names : the k candidates.
    horizon : sessions that neighbouring values share an outcome for.
    alpha : family-wise error, one-sided. replications : at least 1,000. seed : of the stationary bootstrap.
    block_horizons : mean block in horizons, at least 2.

    Returns
    -------
    SuperiorSet

    Raises
    ------
    BadInput
        On NaN or infinite values, fewer than 10 mean blocks of dates, or fewer than 1,000 replications.

    Notes
    -----
    Each mean is divided by its own standard error under dependence, and each resampled mean by that of its own
    resample. ``arch.bootstrap.StepM`` (8.0.0) does neither: it uses the error only to set hopeless candidates aside
    and compares plain means, and it fails when the last candidate is rejected in a later step. So the stepping is
    here and the stationary bootstrap is arch's. A column without variance cannot be judged and never survives.
    Hopeless candidates do not raise the bar (Hansen's "consistent").

    References
    ----------
    Romano and Wolf (2005), Econometrica 73, 1237-1282. Hansen (2005), Journal of Business & Economic Statistics 23.
    """
    if replications < 1000:
        raise BadInput(f"`replications` must be at least 1,000; was {replications}.")
    if not 0.0 < alpha < 0.5:
        raise BadInput(f"`alpha` must lie between 0 and 0.5; was {alpha}.")
    block = mean_block(horizon, len(values), block_horizons)
    matrix = _checked(values, names, block)
    n, k = matrix.shape
    error = np.sqrt(long_run_variance(matrix, block) / n)
    judged = error > 1e-12 * np.maximum(np.abs(matrix).max(axis=0), np.finfo(np.float64).tiny)
    mean, statistic = matrix.mean(axis=0), np.zeros(k)
    statistic[judged] = mean[judged] / error[judged]
    lower, upper, p_value, survives, critical = mean.copy(), mean.copy(), np.ones(k), np.zeros(k, dtype=bool), math.inf
    if judged.any():
        deviation = _null_statistics(matrix[:, judged], block, replications, seed)
        hopeless = statistic[judged] < -math.sqrt(2.0 * math.log(math.log(n)))
        null = deviation + np.where(hopeless, statistic[judged], 0.0)
        survives[judged], critical = _steps(statistic[judged], null, alpha)
        p_value[judged] = (null.max(axis=1)[:, None] > statistic[judged]).mean(axis=0)
        low, high = np.percentile(deviation, [2.5, 97.5], axis=0)
        lower[judged], upper[judged] = mean[judged] - high * error[judged], mean[judged] - low * error[judged]
    return SuperiorSet(
        names=tuple(names),
        mean=mean,
        lower=lower,
        upper=upper,
        statistic=statistic,
        p_value=p_value,
        survives=survives,
        critical=critical,
        dates=n,
        block_sessions=block,
        replications=replications,
        alpha=alpha,
    )
