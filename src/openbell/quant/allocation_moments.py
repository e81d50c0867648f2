"""What the allocators are computed from: covariance, expected returns, and the room that the caps leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openbell.core.errors import OpenbellError

Floats = NDArray[np.float64]

#: Returns that a covariance needs of a name at least; a name with fewer is left out of what is optimised.
FEWEST_RETURNS = 60
#: A daily standard deviation that is rounding, not risk: the price stands still.
NO_DEVIATION = 1e-6
SESSIONS_PER_YEAR = 252
#: Correlation between a score and what came of it that Grinold's rule assumes.
INFORMATION_COEFFICIENT = 0.03


class NotSolved(OpenbellError):
    """An allocator has no answer to this problem; the next one of its cascade is asked."""


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """What weights that sum to 1 must hold: at most `name` each, and `sector` in each row of `sectors` (s, n)."""

    name: float
    sector: float
    sectors: Floats | None


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Measured on the returns of n names, daily.

    Attributes
    ----------
    deviations : returns less the mean of their name, shape (t, n); 0 where one is missing.
    covariance : (n, n), shrunk. mean, deviation : of the observed returns, shape (n,), the latter with ddof 1.
    missing : how many of the t * n returns are.
    """

    deviations: Floats
    covariance: Floats
    mean: Floats
    deviation: Floats
    missing: int

    @property
    def correlation(self) -> Floats:
        """Sample correlation, shape (n, n), not shrunk; a pair that never moved together has 0."""
        product = self.deviations.T @ self.deviations
        scale = np.sqrt(np.diag(product))
        correlation: Floats = np.clip(product / np.outer(scale, scale), -1.0, 1.0)
        np.fill_diagonal(correlation, 1.0)
        return correlation


def measurable(returns: Floats) -> NDArray[np.bool_]:
    """Which names have `FEWEST_RETURNS` returns and a price that moves, shape (t, n) to (n,)."""
    there = np.isfinite(returns)
    count = there.sum(axis=0)
    mean = np.where(there, returns, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = (np.where(there, returns - mean, 0.0) ** 2).sum(axis=0)
    usable: NDArray[np.bool_] = (count >= FEWEST_RETURNS) & (squares > NO_DEVIATION**2 * np.maximum(count - 1, 1))
    return usable


def moments(returns: Floats) -> Moments:
    """Mean, deviation and Ledoit-Wolf covariance of daily returns.

    Parameters
    ----------
    returns : shape (t, n), simple, NaN where missing; every name `measurable`.

    Returns
    -------
    Moments
        A missing return counts as the mean of its name, which adds nothing to a covariance; row and column i are then
        multiplied by ``sqrt(t / observed_i)``, so that the variance is that of what was observed and the matrix stays
        positive semi-definite. Without missing returns it is exactly scikit-learn's (and so skfolio's) Ledoit-Wolf.

    References
    ----------
    Ledoit and Wolf (2004), Journal of Multivariate Analysis 88, 365-411:
    ``(1 - d) S + d mean(diag S) I``.
    """
    from sklearn.covariance import ledoit_wolf

    there = np.isfinite(returns)
    count = there.sum(axis=0)
    mean = np.where(there, returns, 0.0).sum(axis=0) / count
    deviations = np.where(there, returns - mean, 0.0)
    shrunk, _ = ledoit_wolf(deviations, assume_centered=True)
    stretch = np.sqrt(len(returns) / count)
    return Moments(
        deviations=deviations,
        covariance=shrunk * np.outer(stretch, stretch),
        mean=mean,
        deviation=np.sqrt((deviations**2).sum(axis=0) / (count - 1)),
        missing=int(returns.size - count.sum()),
    )


def grinold_excess_returns(of: Moments, standard_scores: Floats, ic: float = INFORMATION_COEFFICIENT) -> Floats:
    """Expected annual return over the risk-free rate from scores, shape (n,).

    Parameters
    ----------
    standard_scores : scores in standard deviations of their cross-section, shape (n,).
    ic : information coefficient, the correlation between score and outcome. It scales all of them alike, so the
        weights of the largest ratio of return to risk do not depend on it.

    References
    ----------
    Grinold (1994), Journal of Portfolio Management 20(4), 9-16: ``alpha = IC * volatility * score``.
    """
    excess: Floats = ic * of.deviation * np.sqrt(SESSIONS_PER_YEAR) * standard_scores
    return excess


def shrunk_excess_returns(of: Moments, risk_free_annual: float) -> Floats:
    """Expected annual return over the risk-free rate from the past alone, shape (n,).

    Notes
    -----
    James-Stein, positive part: ``mean + b (grand mean - mean)`` with ``b = (trace(C) - 2 max eigenvalue(C)) / (t
    sum((mean - grand mean)^2))`` held in [0, 1]. In that range it equals skfolio's ``ShrunkMu``.

    References
    ----------
    Jorion (1986), Journal of Financial and Quantitative Analysis 21, 279-292.
    """
    target = of.mean.mean()
    spread = float(((of.mean - target) ** 2).sum()) * len(of.deviations)
    noise = float(np.trace(of.covariance) - 2.0 * np.linalg.eigvalsh(of.covariance)[-1])
    shrinkage = min(max(noise / spread, 0.0), 1.0) if spread > 0 else 0.0
    mean = of.mean + shrinkage * (target - of.mean)
    excess: Floats = mean * SESSIONS_PER_YEAR - risk_free_annual
    return excess


def room_of(
    sectors: Sequence[str] | None, count: int, gross: float, max_weight: float, max_sector_weight: float
) -> Room:
    """The caps relative to what can be invested: `gross`, or as much of it as the caps on `count` names allow.

    Where the caps leave less than `gross`, all of them bind; a millionth is kept free then, because a solver needs
    weights strictly inside its limits. The caller's water-filling gives it back.
    """
    rows = None
    total = count * max_weight
    if sectors is not None:
        names, of = np.unique(np.asarray(sectors, dtype=str), return_inverse=True)
        rows = (of == np.arange(len(names))[:, None]).astype(np.float64)
        total = float(np.minimum(rows.sum(axis=1) * max_weight, max_sector_weight).sum())
    budget = min(gross, total * (1.0 - 1e-6))
    return Room(name=max_weight / budget, sector=max_sector_weight / budget, sectors=rows)
