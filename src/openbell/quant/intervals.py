"""An estimate never travels without its number of observations and its interval."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from openbell.core.errors import BadInput

#: Below this many mean blocks the quantiles of the stationary bootstrap mean nothing; then there is no interval.
MINIMUM_BLOCKS = 10

#: Resamples that a statistic is handed at once.
_AT_ONCE = 256

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
    values: np.ndarray, statistics: Sequence[Statistic], *, block: int, replications: int = 1000, seed: int = 0
) -> np.ndarray:
    """`statistics` of the same `replications` stationary-bootstrap resamples of `values`.

    Parameters
    ----------
    values : shape (n,), oldest first, finite; their order carries the dependence.
    statistics : each maps resamples in rows, shape (k, n), to one number each, shape (k,).
    block : mean block length. replications : resamples. seed : of the resampling.

    Returns
    -------
    numpy.ndarray
        Shape (replications, statistics); NaN where a statistic is undefined on a resample.

    References
    ----------
    Politis and Romano (1994), Journal of the American Statistical Association 89, 1303-1313.
    """
    from arch.bootstrap import StationaryBootstrap

    bootstrap = StationaryBootstrap(block, np.asarray(values, dtype=np.float64), seed=seed)
    samples = (data[0] for data, _ in bootstrap.bootstrap(replications))
    found = []
    # Many resamples at once: a statistic of rows costs little more than one of a single row.
    while rows := list(itertools.islice(samples, _AT_ONCE)):
        stacked = np.stack(rows)
        found.append(np.column_stack([statistic(stacked) for statistic in statistics]))
    return np.concatenate(found)


def estimates(
    values: np.ndarray,
    statistics: Mapping[str, Statistic],
    *,
    block: int,
    level: float = 0.95,
    replications: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Several statistics of `values`, each with its percentile interval from the same resamples.

    Parameters
    ----------
    values : shape (n,), oldest first. NaN are missing observations: left out, and not counted in `n`.
    statistics : by name; each maps rows, shape (k, n), to one number each, shape (k,).
    block : mean block; at least two label horizons where outcomes overlap.
    level : coverage of the interval. replications, seed : of the stationary bootstrap.

    Returns
    -------
    dict of Estimate
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
    sample = {name: float(each(array[None, :])[0]) if array.size else math.nan for name, each in statistics.items()}
    wanted = [name for name, value in sample.items() if not math.isnan(value)]
    bounds: dict[str, tuple[float, float] | None] = {}
    if wanted and array.size >= MINIMUM_BLOCKS * block:
        statistic = [statistics[name] for name in wanted]
        draws = resampled(array, statistic, block=block, replications=replications, seed=seed)
        bounds = {name: _bounds(draws[:, at], level) for at, name in enumerate(wanted)}
    found = {}
    for name, value in sample.items():
        low, high = bounds.get(name) or (None, None)
        found[name] = Estimate(None if math.isnan(value) else value, low, high, int(array.size), level, block)
    return found


def _bounds(draws: np.ndarray, level: float) -> tuple[float, float] | None:
    defined = draws[~np.isnan(draws)]
    if defined.size < 0.99 * draws.size:
        return None
    tail = 100.0 * (1.0 - level) / 2.0
    low, high = np.percentile(defined, [tail, 100.0 - tail])
    return float(low), float(high)


def wilson(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share; NaN without observations.

    References
    ----------
    Wilson (1927), Journal of the American Statistical Association 22, 209-212.
    """
    from scipy.stats import binomtest

    if n == 0:
        return math.nan, math.nan
    found = binomtest(hits, n).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


def wilson_shares(hits: np.ndarray, n: int, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """`wilson` of many counts of the same `n` at once, shape (k,) each."""
    z = NormalDist().inv_cdf(0.5 + level / 2.0)
    share = np.asarray(hits, dtype=np.float64) / (n if n else math.nan)
    centre = share + z**2 / (2.0 * n) if n else share
    spread = z * np.sqrt(share * (1.0 - share) / n + z**2 / (4.0 * n**2)) if n else share
    whole = 1.0 + z**2 / n if n else 1.0
    return np.clip((centre - spread) / whole, 0.0, 1.0), np.clip((centre + spread) / whole, 0.0, 1.0)


def observations_needed(share: float, base: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Independent observations after which a true share is told from a lower one that is known.

    Parameters
    ----------
    share, base : in (0, 1). alpha : one-sided error of the test that the share is `base`. power : chance that the test
        finds a true `share`.

    Returns
    -------
    int or None
        ``((z_(1-alpha) sqrt(base (1-base)) + z_power sqrt(share (1-share))) / (share - base))^2``, rounded up; None
        where `share` is not above `base`.

    References
    ----------
    Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, 3rd edition, section 4.1.
    """
    from scipy.stats import norm

    inside = {"share": share, "base": base, "alpha": alpha, "power": power}
    for name, value in inside.items():
        if not 0.0 < value < 1.0:
            raise BadInput(f"`{name}` must lie in (0, 1); was {value}.")
    if share <= base:
        return None
    wrongly, rightly = float(norm.ppf(1.0 - alpha)), float(norm.ppf(power))
    spread = wrongly * math.sqrt(base * (1.0 - base)) + rightly * math.sqrt(share * (1.0 - share))
    return math.ceil((spread / (share - base)) ** 2)


def estimate(
    values: np.ndarray,
    statistic: Statistic = row_mean,
    *,
    block: int,
    level: float = 0.95,
    replications: int = 1000,
    seed: int = 0,
) -> Estimate:
    """One statistic, by default the mean, with its interval; see `estimates`."""
    found = estimates(values, {"": statistic}, block=block, level=level, replications=replications, seed=seed)
    return found[""]
