"""What a Sharpe ratio is worth after a search: probabilistic and deflated Sharpe ratios.

Everything inside is per observation (per session for daily returns); only `annualised` knows a year.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput

Floats = NDArray[np.float64]

EULER = 0.5772156649015329
#: A standard deviation below this part of the largest return is a constant written with rounding noise.
CONSTANT = 1e-12
#: Pairs of opposite normal draws behind the expected maximum of correlated trials.
DRAWS = 8192
#: At most this many normal numbers are drawn, however many trials there are.
_NUMBERS = 4_000_000


def annualised(sharpe: ArrayLike, per_year: float = 252.0) -> Floats:
    """A Sharpe ratio per observation times ``sqrt(per_year)``; shape kept."""
    return np.asarray(np.asarray(sharpe, dtype=np.float64) * math.sqrt(per_year))


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """What the error of a Sharpe ratio depends on, for one series or k of them.

    Attributes
    ----------
    sharpe : mean over standard deviation (ddof 0), per observation, shape (k,) or (); NaN for a constant.
    skew, kurtosis : of the same shape; kurtosis is 3 for a normal, not 0. n : observations.
    """

    sharpe: Floats
    skew: Floats
    kurtosis: Floats
    n: int

    @classmethod
    def of(cls, returns: ArrayLike) -> Moments:
        """Moments of returns in excess of what they are compared with, shape (n,) or (n, k), finite, n at least 2."""
        values = _checked(returns)
        centred = values - values.mean(axis=0)
        deviation = values.std(axis=0)
        steady = deviation <= CONSTANT * np.maximum(np.abs(values).max(axis=0), np.finfo(np.float64).tiny)
        scaled = centred / np.where(steady, 1.0, deviation)
        return cls(
            sharpe=np.where(steady, np.nan, values.mean(axis=0) / np.where(steady, 1.0, deviation)),
            skew=np.where(steady, np.nan, (scaled**3).mean(axis=0)),
            kurtosis=np.where(steady, np.nan, (scaled**4).mean(axis=0)),
            n=len(values),
        )

    @property
    def spread(self) -> Floats:
        r"""Variance of ``sqrt(n - 1)`` times the estimate, :math:`1 - g_3 S + (g_4 - 1) S^2 / 4`; never negative.

        The moments of any sample have :math:`g_4 \ge 1 + g_3^2`, so only moments that no sample has are refused.
        """
        spread: Floats = 1.0 - self.skew * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe**2
        if (spread < -1e-12).any():
            raise BadInput(f"No sample has a skewness of {self.skew} and a kurtosis of {self.kurtosis}.")
        return np.maximum(spread, 0.0)


def _checked(returns: ArrayLike) -> Floats:
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim not in (1, 2) or len(values) < 2:
        raise BadInput(f"Returns must have the shape (n,) or (n, k) with n at least 2; it was {values.shape}.")
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise BadInput(f"Returns must be finite; {bad} of {values.size} were not. Keep only the common sessions.")
    return values


def probabilistic_sharpe(moments: Moments, *, benchmark: float = 0.0) -> Floats:
    r"""Probability that the true Sharpe ratio exceeds `benchmark`.

    .. math:: \Phi\left(\frac{(S - S^*) \sqrt{n - 1}}{\sqrt{1 - g_3 S + (g_4 - 1) S^2 / 4}}\right)

    Parameters
    ----------
    moments : of the returns, per observation. benchmark : a Sharpe ratio per observation.

    Returns
    -------
    numpy.ndarray
        Shape of ``moments.sharpe``, in [0, 1]; NaN for a constant. Returns are taken as independent over time.

    References
    ----------
    Bailey and Lopez de Prado (2012), Journal of Risk 15(2), 3-44.
    """
    from scipy.special import ndtr

    if not math.isfinite(benchmark):
        raise BadInput(f"The benchmark must be a finite Sharpe ratio per observation; was {benchmark}.")
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (moments.sharpe - benchmark) * math.sqrt(moments.n - 1) / np.sqrt(moments.spread)
    # Two equal returns above and below nothing: no error is left, and 0 over 0 is a tie.
    tied = (moments.spread == 0.0) & (moments.sharpe == benchmark)
    return np.asarray(np.where(tied, 0.5, ndtr(distance)), dtype=np.float64)


def minimum_track_record(moments: Moments, *, benchmark: float = 0.0, confidence: float = 0.95) -> Floats:
    r"""Observations that it takes for `probabilistic_sharpe` to reach `confidence`, with these moments.

    .. math:: 1 + \left\lceil (1 - g_3 S + (g_4 - 1) S^2 / 4) \left(\frac{z}{S - S^*}\right)^2 \right\rceil

    Parameters
    ----------
    moments : ``moments.n`` is not looked at. confidence : in (0.5, 1).

    Returns
    -------
    numpy.ndarray
        Whole observations (252 to a year of daily returns), shape of ``moments.sharpe``; inf where the Sharpe ratio
        does not exceed the benchmark, NaN for a constant.

    References
    ----------
    Bailey and Lopez de Prado (2012), Journal of Risk 15(2), 3-44, equation 11.
    """
    from scipy.special import ndtri

    if not 0.5 < confidence < 1.0:
        raise BadInput(f"`confidence` must lie between 0.5 and 1; was {confidence}.")
    ahead = moments.sharpe - benchmark
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = 1.0 + np.ceil(moments.spread * (ndtri(confidence) / ahead) ** 2)
    return np.asarray(np.where(np.isnan(ahead), np.nan, np.where(ahead > 0, needed, np.inf)), dtype=np.float64)


def expected_maximum_sharpe(trials: float, variance: float) -> float:
    r"""Expected largest Sharpe ratio of `trials` independent ones without skill.

    .. math:: \sqrt{V} \left((1 - \gamma) \Phi^{-1}(1 - 1/N) + \gamma \Phi^{-1}(1 - 1/(N e))\right)

    Parameters
    ----------
    trials : how many, at least 1; an effective number need not be whole. Below 2, where the approximation has no
        meaning (it is minus infinity at 1), it is drawn straight from 0 at one trial.
    variance : of a Sharpe ratio across the trials, in its own unit (per observation for daily returns).

    Returns
    -------
    float
        A Sharpe ratio in the unit of ``sqrt(variance)``, at least 0.

    References
    ----------
    Bailey and Lopez de Prado (2014), Journal of Portfolio Management 40(5), 94-107, equation 1.
    """
    from scipy.special import ndtri

    if not (math.isfinite(trials) and trials >= 1.0):
        raise BadInput(f"There must be at least 1 trial; was {trials}.")
    if not (math.isfinite(variance) and variance >= 0.0):
        raise BadInput(f"A variance cannot be negative; was {variance}.")
    number = max(trials, 2.0)
    scale = (1.0 - EULER) * ndtri(1.0 - 1.0 / number) + EULER * ndtri(1.0 - 1.0 / (number * math.e))
    return float(math.sqrt(variance) * scale * min(trials - 1.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Deflated:
    """Deflated Sharpe ratios of one or several series, and what they were deflated with.

    Attributes
    ----------
    probability : that the true Sharpe ratio exceeds `benchmark`, in [0, 1]; NaN for a constant series.
    moments : of the series. trials : effective number. variance : of a Sharpe ratio without skill across trials.
    benchmark : the largest Sharpe ratio that luck alone is expected to reach, per observation.
    """

    probability: Floats
    moments: Moments
    trials: float
    variance: float
    benchmark: float


def deflated_sharpe(returns: ArrayLike, *, trials: float, variance: float | None = None) -> Deflated:
    """Probability that a Sharpe ratio is above the best that luck would have reached in as many trials.

    Parameters
    ----------
    returns : per observation, in excess of what they are compared with (active returns for a tournament), shape (n,) or
        (n, k), finite. trials : effective number of trials, see `effective_trials`.
    variance : of the Sharpe ratios across the trials, per observation. None takes ``1 / (n - 1)``, that of a Sharpe
        ratio whose true value is 0: the spread that the null itself states. The spread of the trials at hand is
        that times what they differ in skill and less what they share, so one hopeless trial would raise everyone's bar
        and a crowd of alikes would lower it; and what they share is already in the effective number.

    Returns
    -------
    Deflated

    References
    ----------
    Bailey and Lopez de Prado (2014), Journal of Portfolio Management 40(5), 94-107.
    """
    moments = Moments.of(returns)
    spread = 1.0 / (moments.n - 1) if variance is None else variance
    benchmark = expected_maximum_sharpe(trials, spread)
    return Deflated(probabilistic_sharpe(moments, benchmark=benchmark), moments, trials, spread, benchmark)


def _expected_maximum(number: float) -> float:
    """Expected maximum of `number` independent standard normals, exactly, for any number of at least 1."""
    from scipy.special import log_ndtr

    grid = np.linspace(-12.0, 12.0, 4801)
    density = number * np.exp((number - 1.0) * log_ndtr(grid) - grid**2 / 2.0) / math.sqrt(2.0 * math.pi)
    return float((grid * density).sum() * (grid[1] - grid[0]))


def _largest(draws: Floats) -> float:
    """Mean of the largest in each row, over the draws and their opposites."""
    return float((draws.max(axis=1) - draws.min(axis=1)).mean() / 2.0)


def effective_trials(returns: ArrayLike) -> float:
    r"""How many independent trials have the expected best of these, which are correlated.

    Parameters
    ----------
    returns : of the trials on common sessions, finite, shape (n, k).

    Returns
    -------
    float
        From 1 to k: the N at which the expected maximum of N independent standard normals equals that of k normals with
        the correlation of `returns`. k copies of one series are 1 trial, k independent ones k. A constant column
        cannot win by luck and is not counted. The order of columns does not matter.

    Notes
    -----
    Deflation uses the number of trials for one thing only, the expected maximum, so it is defined by that. Then
    more correlation never means more trials (Slepian), and another trial never means fewer. Counts made from the
    spectrum of the correlation matrix lack the second: 10 independent trials and 100 copies of one of them count as 1.2
    (participation ratio) or 1.6 (entropy), so that a search could hide behind copies. The formula of the paper's
    appendix, ``r + (1 - r) k`` with the mean correlation r, has it the other way: 16 for two crowds of 15 copies.
    Expectations are means over 2 x 8,192 draws of a fixed seed (fewer above 488 trials); the same draws without
    correlation take most of their error away.

    References
    ----------
    Bailey and Lopez de Prado (2014), Journal of Portfolio Management 40(5), appendix A.3. Slepian (1962), Bell System
    Technical Journal 41, 463-501.
    """
    from scipy.optimize import brentq

    values = _checked(returns)
    if values.ndim != 2 or values.shape[1] < 1:
        raise BadInput(f"Trials need the shape (n, k); it was {values.shape}.")
    values = values[:, ~np.isnan(Moments.of(values).sharpe)]
    k = values.shape[1]
    if k < 2:
        return 1.0
    # One order for the same trials in any order, as each column is met by its own draws.
    values = values[:, np.lexsort((values[-1], values[0], values.mean(axis=0)))]
    draws = np.random.default_rng(0).standard_normal((min(DRAWS, max(_NUMBERS // k, 512)), k))
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    spectrum, vectors = np.linalg.eigh(scaled.T @ scaled / len(values))
    root = (vectors * np.sqrt(np.maximum(spectrum, 0.0))) @ vectors.T
    wanted = _expected_maximum(k) * _largest(draws @ root) / _largest(draws)
    if wanted >= _expected_maximum(k):
        return float(k)
    return float(brentq(lambda number: _expected_maximum(number) - wanted, 1.0, float(k), xtol=1e-6))


def extended_trials(effective: float, seen: int, tries: int) -> float:
    r"""Effective number of `tries` trials, of which the returns of only `seen` are known.

    Parameters
    ----------
    effective : `effective_trials` of the `seen`. tries : all that were ever made; fewer than `seen` counts as `seen`.

    Returns
    -------
    float
        ``tries ** (ln effective / ln seen)``: the rest is taken to be as alike as what was seen, since the expected
        maximum of N trials with a common correlation r grows as :math:`\sqrt{2 (1 - r) \ln N}`, that of
        :math:`N^{1 - r}` independent ones. With one seen trial nothing is known and all count as independent.
    """
    if not 1.0 <= effective <= max(seen, 1):
        raise BadInput(f"The effective number of {seen} trials must lie between 1 and {seen}; was {effective}.")
    total = max(tries, seen)
    if seen < 2:
        return float(max(total, 1))
    return float(total ** (math.log(effective) / math.log(seen)))
