"""The whole surface as the six numbers of `surface_kernel`, fitted to all expiries of a moment together.

The variance at the money reverts from SHORT to LONG at REVERSION per year; RHO, ETA and GAMMA bend it over strikes with
``phi = eta / (theta^gamma (1 + theta)^(1 - gamma))``. With ``eta (1 + |rho|) <= 2`` and ``0 < gamma <= 1/2`` there is
no butterfly and no calendar arbitrage: ``theta phi (1 + |rho|) <= 2 < 4``, ``theta phi^2 (1 + |rho|) <= 4``, and theta
rises with ``0 <= d(theta phi) / dtheta <= phi``.

References
----------
Gatheral and Jacquier (2014), Arbitrage-free SVI volatility surfaces, Quantitative Finance 14, 59-71: theorems 4.1 and
4.2, remark 4.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.svi import Svi, ssvi_slice

Floats = NDArray[np.float64]

#: Columns of the parameters, as in `surface_kernel` (which imports numba and is not imported for six names).
SHORT, LONG, REVERSION, RHO, ETA, GAMMA = range(6)
#: Strikes per expiry that a surface is fitted to, spread evenly over those within this many deviations of the forward.
STRIKES_PER_EXPIRY, DEVIATIONS = 21, 2.5
FEWEST_QUOTES = 8
#: Errors beyond this many units of volatility count linearly.
SOFT = 0.01
#: Boxes of the search: variances from (2 %)^2 to (300 %)^2, half-lives from 6 days to 14 years.
_LOW = np.array([4e-4, 4e-4, 0.05, -0.98, 1e-3, 0.01])
_HIGH = np.array([9.0, 9.0, 40.0, 0.98, 1.0, 0.5])


def at_the_money_variance(parameters: ArrayLike, years: ArrayLike) -> Floats:
    """Total variance at the forward; `parameters` (..., 6) and `years` broadcast, 0 where years are not above 0.

    ``theta(T) = T (long + (short - long) (1 - exp(-kappa T)) / (kappa T))``, which never falls.
    """
    p = np.asarray(parameters, dtype=np.float64)
    time = np.maximum(np.asarray(years, dtype=np.float64), 0.0)
    pull = p[..., REVERSION] * time
    small = pull < 1e-8
    weight = np.where(small, 1.0 - 0.5 * pull, -np.expm1(-pull) / np.where(small, 1.0, pull))
    return np.asarray(time * (p[..., LONG] + (p[..., SHORT] - p[..., LONG]) * weight))


def total_variance(parameters: ArrayLike, k: ArrayLike, years: ArrayLike) -> Floats:
    """Total variance of surfaces at options; equals `surface_kernel` to rounding.

    Parameters
    ----------
    parameters : (n, 6) or (6,) ``SHORT, LONG, REVERSION, RHO, ETA, GAMMA``. Rows of NaN give NaN.
    k : (n,) ln(strike / forward). years : (n,); both broadcast with the rows of `parameters`.

    Returns
    -------
    numpy.ndarray
        The broadcast shape, 0 where years are not above 0.
    """
    p, x = np.asarray(parameters, dtype=np.float64), np.asarray(k, dtype=np.float64)
    if p.shape[-1] != 6:
        raise BadInput(f"A surface has 6 parameters; the last axis had {p.shape[-1]}.")
    theta = at_the_money_variance(p, years)
    flat = theta <= 0.0
    phi = _phi(np.where(flat, 1.0, theta), p[..., ETA], p[..., GAMMA])
    rho = p[..., RHO]
    tilted = phi * x + rho
    total = 0.5 * theta * (1.0 + rho * phi * x + np.sqrt(tilted * tilted + 1.0 - rho * rho))
    return np.asarray(np.where(flat, 0.0, total))


def slice_at(parameters: ArrayLike, years: float) -> Svi:
    """The slice of one surface at `years` as raw SVI, exactly."""
    p = np.asarray(parameters, dtype=np.float64)
    if p.shape != (6,) or not np.all(np.isfinite(p)) or not years > 0:
        raise BadInput(f"A slice needs 6 finite parameters and years above 0; had {p.tolist()} and {years}.")
    theta = at_the_money_variance(p, years)
    return ssvi_slice(float(theta), float(p[RHO]), float(_phi(theta, p[ETA], p[GAMMA])))


def why_not_free(parameters: ArrayLike) -> str | None:
    """Why a surface may have static arbitrage; None where it cannot."""
    p = np.asarray(parameters, dtype=np.float64)
    if not np.all(np.isfinite(p)):
        return "A parameter of the surface is missing."
    if not (p[SHORT] > 0 and p[LONG] > 0 and p[REVERSION] > 0):
        return f"Variances and reversion must be above 0; were {p[SHORT]}, {p[LONG]} and {p[REVERSION]}."
    if not (abs(p[RHO]) < 1 and 0 < p[ETA] * (1 + abs(p[RHO])) <= 2 + 1e-12):
        return f"eta (1 + |rho|) must not exceed 2; eta was {p[ETA]}, rho {p[RHO]}."
    return None if 0 < p[GAMMA] <= 0.5 else f"gamma must lie in (0, 1/2]; was {p[GAMMA]}."


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A fitted surface.

    Attributes
    ----------
    parameters : (6,). error : root mean square error in volatility over all fitted quotes, each expiry counting the
        same. expiry_error : (m,) of each expiry in the order of `years`. years : (m,). quotes : how many were fitted.
    """

    parameters: Floats
    error: float
    years: Floats
    expiry_error: Floats
    quotes: int


def fit_surface(k: ArrayLike, years: ArrayLike, volatility: ArrayLike, half_width: ArrayLike | None = None) -> Surface:
    """The surface nearest to the quotes of all expiries, free of static arbitrage by its constraints.

    Every expiry counts the same, by at most 21 strikes spread over those within 2.5 deviations of the forward. Errors
    are in volatility; those beyond a point of it count linearly, so that a few bad quotes cannot bend it.

    Parameters
    ----------
    k : (n,) ln(strike / forward). years : (n,) above 0. volatility : (n,) per year. Rows with a NaN are left out.
    half_width : (n,) half the width of the quote in volatility; 1 point of volatility where not given.

    Raises
    ------
    DataMissing
        Fewer than 8 quotes with a volatility.
    """
    x, time, sigma = (np.asarray(each, dtype=np.float64) for each in (k, years, volatility))
    width = np.full_like(sigma, 0.01) if half_width is None else np.asarray(half_width, dtype=np.float64)
    if not (x.shape == time.shape == sigma.shape == width.shape and x.ndim == 1):
        raise BadInput("A surface needs one log-moneyness, maturity, volatility and width per quote.")
    rows = _chosen(x, time, sigma, width)
    if len(rows) < FEWEST_QUOTES:
        raise DataMissing(f"A surface needs at least {FEWEST_QUOTES} quotes with a volatility; there were {len(rows)}.")
    x, time, sigma, width = x[rows], time[rows], sigma[rows], width[rows]
    expiries, member, count = np.unique(time, return_inverse=True, return_counts=True)
    # A quote is never trusted to better than a tenth of a point, nor a surface of six numbers asked for it.
    weight = 1.0 / np.maximum(width, 0.001) ** 2
    weight *= (1.0 / np.bincount(member, weight))[member]
    parameters = _searched(x, time, sigma, np.sqrt(weight))
    missed = np.sqrt(total_variance(parameters, x, time) / time) - sigma
    each = np.sqrt(np.bincount(member, missed**2) / count)
    return Surface(parameters, float(np.sqrt(np.mean(each**2))), expiries, each, len(rows))


def _phi(theta: Floats, eta: Floats, gamma: Floats) -> Floats:
    return np.asarray(eta / (theta**gamma * (1.0 + theta) ** (1.0 - gamma)))


def _chosen(x: Floats, time: Floats, sigma: Floats, width: Floats) -> NDArray[np.intp]:
    """Rows to fit: good numbers, within so many deviations at the money of their expiry, and so many per expiry."""
    good = np.isfinite(x + time + sigma + width) & (time > 0) & (sigma > 0) & (width >= 0)
    rows = np.flatnonzero(good)
    rows = rows[np.lexsort((x[rows], time[rows]))]
    cuts = np.flatnonzero(np.diff(time[rows]) != 0) + 1
    taken = []
    for expiry in np.split(rows, cuts) if len(rows) else []:
        middle = expiry[np.argmin(np.abs(x[expiry]))]
        reach = DEVIATIONS * sigma[middle] * np.sqrt(time[middle])
        near = expiry[np.abs(x[expiry]) <= reach]
        if len(near):
            spread = np.linspace(x[near[0]], x[near[-1]], STRIKES_PER_EXPIRY)
            taken.append(near[np.unique(np.abs(x[near][:, None] - spread).argmin(axis=0))])
    return np.concatenate(taken) if taken else rows[:0]


def _searched(x: Floats, time: Floats, sigma: Floats, root_weight: Floats) -> Floats:
    """Soft least squares over the box; eta is searched as a share of the largest that is free of arbitrage."""
    from scipy.optimize import least_squares

    def parameters(q: Floats) -> Floats:
        return np.array([*q[:4], 2.0 * q[ETA] / (1.0 + abs(q[RHO])), q[GAMMA]])

    near = np.abs(x) <= np.quantile(np.abs(x), 0.3)
    variance = sigma[near] ** 2
    order = np.argsort(time[near], kind="stable")
    third = max(len(order) // 3, 1)
    short, long = float(np.median(variance[order[:third]])), float(np.median(variance[order[-third:]]))

    def misses(q: Floats) -> Floats:
        z = (np.sqrt(total_variance(parameters(q), x, time) / time) - sigma) / SOFT
        return np.asarray(root_weight * z / np.sqrt(0.5 * (1.0 + np.sqrt(1.0 + z * z))))

    best, cost = None, np.inf
    for reversion in (1.0, 6.0):
        start = np.clip([short, long, reversion, -0.5, 0.5, 0.4], _LOW * 1.01, _HIGH * 0.99)
        start[RHO] = -0.5
        result = least_squares(misses, start, bounds=(_LOW, _HIGH), x_scale="jac", max_nfev=100)
        if result.cost < cost * (1 - 1e-9):
            best, cost = parameters(result.x), float(result.cost)
    if best is None:
        raise DataMissing("No surface could be fitted: the errors of the quotes are not finite.")
    return best
