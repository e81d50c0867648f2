"""How often the best of a search in one half of its time is below the middle in the other half."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput

Floats = NDArray[np.float64]

#: Splits whose figures are in memory at once.
SPLITS_AT_ONCE = 2048
CONSTANT = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Overfitting:
    """What combinatorially symmetric cross-validation says about a search.

    Attributes
    ----------
    pbo : probability of back-test overfitting: share of splits in which the best of the one half was below the median
        of the other; 0.5 for noise, near 0 where one trial is really better. It measures how stable ranks are: with
        an edge that all trials share it is near 0.5 too, and no reason to distrust the edge.
    logits : of the relative rank in the other half, shape (splits,).
    slope, intercept : of the other half's Sharpe ratio on the chosen one's own, both per observation; a slope of 1
        would be no degradation. NaN where the chosen ones' Sharpe ratios are all equal.
    loss : share of splits in which the chosen one lost in the other half.
    inside, outside : Sharpe ratio per observation of the chosen one in its half and in the other, shape (splits,).
    trials, observations, blocks : the size of it.
    """

    pbo: float
    logits: Floats
    slope: float
    intercept: float
    loss: float
    inside: Floats
    outside: Floats
    trials: int
    observations: int
    blocks: int

    @property
    def splits(self) -> int:
        """How many splits: C(blocks, blocks / 2)."""
        return len(self.logits)


def _checked(returns: ArrayLike, blocks: int) -> Floats:
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise BadInput(f"Returns need the shape (n, k) with at least 2 trials; it was {values.shape}.")
    if not np.isfinite(values).all():
        raise BadInput(f"Returns must be finite; {int((~np.isfinite(values)).sum())} of {values.size} were not.")
    if blocks < 2 or blocks % 2 or blocks > 20:
        raise BadInput(f"`blocks` must be an even number from 2 to 20, for two equal halves; was {blocks}.")
    if len(values) < 2 * blocks:
        raise BadInput(f"{len(values)} observations are too few for {blocks} blocks: at least {2 * blocks} are needed.")
    return values


def _sharpes(counts: Floats, sums: Floats, squares: Floats, level: Floats, scale: Floats) -> Floats:
    """Sharpe ratios (ddof 1) out of counts (s, 1), sums and squares about `level` (s, k); 0 for a constant."""
    mean = sums / counts
    variance = np.maximum(squares - sums * mean, 0.0) / (counts - 1.0)
    deviation = np.sqrt(variance)
    steady = deviation <= 1e3 * CONSTANT * scale
    return np.asarray(np.where(steady, 0.0, (level + mean) / np.where(steady, 1.0, deviation)))


def backtest_overfitting(returns: ArrayLike, *, blocks: int = 16) -> Overfitting:
    """Probability of back-test overfitting by combinatorially symmetric cross-validation (CSCV).

    Time is cut into `blocks` blocks of neighbouring observations; each choice of half of them is once the half in which
    the trial with the largest Sharpe ratio is chosen, the rest the half in which its rank among all is looked at.

    Parameters
    ----------
    returns : of the trials on common sessions, oldest first, finite, shape (n, k), k at least 2.
    blocks : even, at most 20; 16 gives 12,870 splits, 10 gives 252. Where n is not a multiple of it the first blocks
        have one observation more.

    Returns
    -------
    Overfitting
        A constant series has a Sharpe ratio of 0. Equal trials share their average rank; of equal ones the first is
        chosen, which changes nothing.

    References
    ----------
    Bailey, Borwein, Lopez de Prado and Zhu (2017), Journal of Computational Finance 20(4), 39-69.
    """
    values = _checked(returns, blocks)
    n, k = values.shape
    level, scale = values.mean(axis=0), np.maximum(np.abs(values).max(axis=0), np.finfo(np.float64).tiny)
    sizes = np.full(blocks, n // blocks) + (np.arange(blocks) < n % blocks)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    centred = values - level
    sums, squares = np.add.reduceat(centred, starts), np.add.reduceat(centred**2, starts)
    chosen = np.array(list(itertools.combinations(range(blocks), blocks // 2)))
    parts = []
    for start in range(0, len(chosen), SPLITS_AT_ONCE):
        group = chosen[start : start + SPLITS_AT_ONCE]
        member = np.zeros((len(group), blocks))
        member[np.arange(len(group))[:, None], group] = 1.0
        halves = (member, 1.0 - member)
        parts.append(
            _judged(*(_sharpes(half @ sizes[:, None], half @ sums, half @ squares, level, scale) for half in halves))
        )
    logits, inside, outside = (np.concatenate(part) for part in zip(*parts, strict=True))
    slope, intercept = _line(inside, outside)
    return Overfitting(
        pbo=float((logits < 0).mean()),
        logits=logits,
        slope=slope,
        intercept=intercept,
        loss=float((outside < 0).mean()),
        inside=inside,
        outside=outside,
        trials=k,
        observations=n,
        blocks=blocks,
    )


def _judged(inside: Floats, outside: Floats) -> tuple[Floats, Floats, Floats]:
    """Logit of the rank outside of the best inside, and both its Sharpe ratios, for each split (row)."""
    rows = np.arange(len(inside))
    best = np.argmax(inside, axis=1)
    there = outside[rows, best]
    below = (outside < there[:, None]).sum(axis=1)
    equal = (outside == there[:, None]).sum(axis=1)
    rank = below + (equal + 1.0) / 2.0
    return np.log(rank / (inside.shape[1] + 1.0 - rank)), inside[rows, best], there


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope and intercept of the least-squares line; NaN where all of `x` are equal."""
    centred = x - x.mean()
    spread = float(centred @ centred)
    if spread <= CONSTANT**2 * len(x):
        return math.nan, math.nan
    slope = float(centred @ (y - y.mean())) / spread
    return slope, float(y.mean() - slope * x.mean())
