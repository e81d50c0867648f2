"""Tests that may be looked at every day: e-processes and confidence sequences for a mean.

A usual test keeps its error only where the day of the look is chosen beforehand; looked at every day until it says
yes, it errs almost surely. These keep it at all days together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput

Floats = NDArray[np.float64]

#: No bet risks more than this share of what it could lose.
_LARGEST_BET = 0.5
_HALVINGS = 50


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """What the observations so far say about their mean, however often it was looked at.

    Attributes
    ----------
    n : observations. mean : their mean; None without any. low, high : the confidence sequence at the last of them: the
        intervals of all days together cover the mean with probability `level`; None where there are too few.
    e_value : evidence against a mean of 0 at the last of them; large is strong, 1 is none. Its largest value so far is
        `e_highest`; ``1 / e_highest`` is a p-value that is valid at any time.
    decided : +1 or -1 where the mean was told from 0 at some observation (the sign is its own), 0 where not yet.
    decided_at : the observation, counted from 1, at which it was; None where not yet. level : of all of it.
    """

    n: int
    mean: float | None
    low: float | None
    high: float | None
    e_value: float
    e_highest: float
    decided: Literal[-1, 0, 1]
    decided_at: int | None
    level: float

    @property
    def p_value(self) -> float:
        """Valid at any time, at most 1."""
        return min(1.0, 1.0 / self.e_highest) if self.e_highest > 0 else 1.0


def _checked(values: ArrayLike, level: float) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise BadInput(f"Observations need the shape (n,), oldest first; it was {array.shape}.")
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise BadInput(f"Observations must be finite; {bad} of {array.size} were not. Leave out what is missing.")
    if not 0.0 < level < 1.0:
        raise BadInput(f"`level` must lie between 0 and 1; was {level}.")
    return array


def _bets(unit: Floats, alpha: float) -> Floats:
    """The bet on each observation out of those before it alone, shape (..., n): equation (26) of the reference."""
    t = np.arange(1, unit.shape[-1] + 1)
    mean = (0.5 + np.cumsum(unit, axis=-1)) / (t + 1)
    variance = (0.25 + np.cumsum((unit - mean) ** 2, axis=-1)) / (t + 1)
    before = np.concatenate([np.full((*unit.shape[:-1], 1), 0.25), variance[..., :-1]], axis=-1)
    return np.asarray(np.sqrt(2.0 * math.log(2.0 / alpha) / (before * t * np.log1p(t))))


def log_capital(unit: ArrayLike, mean: float, *, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """Logarithm of what two gamblers own who bet that the mean lies above, and below, `mean`.

    Parameters
    ----------
    unit : observations in [0, 1], oldest first, shape (..., n). mean : in [0, 1]. alpha : the error the bets aim at.

    Returns
    -------
    tuple of numpy.ndarray
        Each of the shape of `unit`, after each observation. Where the observations have the mean `mean` given all
        before them, ``exp`` of each is a martingale that starts at 1. The first falls with `mean`, the second rises.

    References
    ----------
    Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, Journal of the Royal
    Statistical Society B 86, 1-27: the hedged capital process, Theorem 3, with the bets of equation (26).
    """
    x = np.asarray(unit, dtype=np.float64)
    return _capital(x, mean, _bets(x, alpha))


def _capital(x: Floats, mean: float, bets: Floats) -> tuple[Floats, Floats]:
    # What a bet could lose is its size times the mean (above) or one less the mean (below).
    above = np.minimum(bets, _LARGEST_BET / max(mean, 1e-300))
    below = np.minimum(bets, _LARGEST_BET / max(1.0 - mean, 1e-300))
    up = np.cumsum(np.log1p(above * (x - mean)), axis=-1)
    down = np.cumsum(np.log1p(-below * (x - mean)), axis=-1)
    return up, down


def bounded_mean(values: ArrayLike, *, low: float = -1.0, high: float = 1.0, level: float = 0.95) -> SequentialTest:
    """A betting test that the mean of bounded observations is 0, and a confidence sequence for it.

    Parameters
    ----------
    values : observations in [low, high], oldest first, finite, shape (n,); trades that share an outcome are one
        observation (`day_differences`). low < 0 < high : the bounds that they cannot leave. level : in (0, 1).

    Returns
    -------
    SequentialTest
        Exact for every n, without any assumption on the distribution, wherever each observation has the same mean
        given those before it. Where that mean changes over time the test of 0 holds still (against a mean of 0 on
        every day); the interval is then about a weighted mean.

    Raises
    ------
    BadInput
        On observations outside the bounds, NaN or infinite ones, or bounds that do not hold 0.

    References
    ----------
    Waudby-Smith and Ramdas (2024), Journal of the Royal Statistical Society B 86, 1-27.
    """
    array = _checked(values, level)
    if not low < 0.0 < high or not math.isfinite(high - low):
        raise BadInput(f"The bounds must be finite and hold 0 between them; they were {low} and {high}.")
    outside = int(((array < low) | (array > high)).sum())
    if outside:
        raise BadInput(
            f"{outside} of {array.size} observations lie outside [{low}, {high}]; the test holds inside only."
        )
    alpha, width = 1.0 - level, high - low
    if not array.size:
        return SequentialTest(0, None, low, high, 1.0, 1.0, 0, None, level)
    unit = (array - low) / width
    up, down = log_capital(unit, -low / width, alpha=alpha)
    decided, at = _first(up, down, math.log(2.0 / alpha))
    evidence = np.logaddexp(up, down) - math.log(2.0)
    bounds = tuple(low + width * each for each in _interval(unit, alpha))
    return SequentialTest(
        array.size, float(array.mean()), bounds[0], bounds[1], _exp(evidence[-1]), _exp(max(0.0, evidence.max())),
        decided, at, level,
    )  # fmt: skip


def _exp(log: float) -> float:
    return math.exp(min(float(log), 700.0))


def _first(up: Floats, down: Floats, bar: float) -> tuple[Literal[-1, 0, 1], int | None]:
    """Which of both processes reached `bar` first, and at which observation."""
    reached = np.flatnonzero(np.maximum(up, down) >= bar)
    if not reached.size:
        return 0, None
    at = int(reached[0])
    return (1 if up[at] >= down[at] else -1), at + 1


def _interval(unit: Floats, alpha: float) -> tuple[float, float]:
    """Means that neither gambler has refuted at the last observation: both are monotone in the mean, so by halving."""
    bar, bets = math.log(2.0 / alpha), _bets(unit, alpha)

    def edge(which: int, refuted: float, kept: float) -> float:
        for _ in range(_HALVINGS):
            middle = (refuted + kept) / 2.0
            if _capital(unit, middle, bets)[which][-1] >= bar:
                refuted = middle
            else:
                kept = middle
        return refuted  # the outer side: rounding never narrows the interval

    # The mean as weighted by the bets: neither gambler gains much against it.
    centre = float(np.clip((bets @ unit) / bets.sum(), 0.0, 1.0))
    return edge(0, 0.0, centre), edge(1, 1.0, centre)


def asymptotic_mean(
    values: ArrayLike, *, level: float = 0.95, tightest_at: int = 100, first_look: int = 30
) -> SequentialTest:
    """A confidence sequence for the mean of observations without bounds, such as dollars, valid in the long run.

    Parameters
    ----------
    values : oldest first, finite, shape (n,); finite variance. level : in (0, 1). tightest_at : number of observations
        at which it is tightest. first_look : before so many observations it says nothing.

    Returns
    -------
    SequentialTest
        `low` and `high` are None before `first_look`, and `decided` looks at no observation before it.

    Notes
    -----
    Its error holds as `first_look` grows, as a central limit theorem does, not for every n and every distribution: a
    heavy tail that has not shown yet is not in it. For a decision use `bounded_mean`.

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Time-uniform central limit theory and asymptotic confidence
    sequences, Annals of Statistics 52, 2613-2640: Theorem 2.2, and equation (10) for where it is tightest.
    """
    array = _checked(values, level)
    if tightest_at < 1 or first_look < 2:
        raise BadInput(f"`tightest_at` is 1 or more and `first_look` 2 or more; were {tightest_at} and {first_look}.")
    n, alpha = array.size, 1.0 - level
    mean = float(array.mean()) if n else None
    if n < first_look or mean is None:
        return SequentialTest(n, mean, None, None, 1.0, 1.0, 0, None, level)
    t = np.arange(1, n + 1)
    means = np.cumsum(array) / t
    # Shifted by the first value, so that a large mean does not drown the variance.
    shifted = array - array[0]
    variance = np.cumsum(shifted**2) / t - (np.cumsum(shifted) / t) ** 2
    variance = np.maximum(variance, 0.0)
    squared = (-2.0 * math.log(alpha) + math.log(-2.0 * math.log(alpha) + 1.0)) / tightest_at
    scaled = t * squared + 1.0
    half = np.sqrt(variance * 2.0 * scaled / (t**2 * squared) * np.log(np.sqrt(scaled) / alpha))
    certain = np.where(means == 0.0, 0.0, 1e12)  # of observations without any spread
    squared_z = np.divide(means**2, variance, out=certain, where=variance > 0.0)
    evidence = squared_z * t**2 * squared / (2.0 * scaled) - 0.5 * np.log(scaled)
    looked = evidence[first_look - 1 :]
    apart = np.flatnonzero(looked >= -math.log(alpha))
    at = int(apart[0]) + first_look if apart.size else None
    decided: Literal[-1, 0, 1] = 0 if at is None else (1 if means[at - 1] > 0 else -1)
    return SequentialTest(
        n, mean, float(means[-1] - half[-1]), float(means[-1] + half[-1]), _exp(evidence[-1]),
        _exp(max(0.0, looked.max())), decided, at, level,
    )  # fmt: skip
