"""One smile as five numbers (raw SVI), fitted to quotes and kept free of butterfly arbitrage.

Total variance at log-moneyness k = ln(K / F) is ``w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))``.

References
----------
Gatheral and Jacquier (2014), Arbitrage-free SVI volatility surfaces, Quantitative Finance 14, 59-71.
Lee (2004), The moment formula for implied volatility at extreme strikes, Mathematical Finance 14, 469-480.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.svi_search import (
    ASKED,
    MARGIN,
    SOFT,
    Problem,
    Raw,
    butterfly,
    curve,
    grid,
    searched,
    ssvi_start,
    wide_start,
)

Floats = NDArray[np.float64]

#: Five numbers cannot be read off fewer strikes.
FEWEST_STRIKES = 5
_STRENGTHS = (100.0, 100.0, 1000.0)
#: A slice below its floor by less than this share of the floor does not cross it, but for rounding and the search.
CROSSED = 1e-4


#: A slice is lifted over its floor where that does not double what its quotes are missed by; else it is left crossing,
#: for then one of the two has bad quotes, and would hand them on to every later slice.
LIFTED = 2.0


@dataclass(frozen=True, slots=True)
class Svi:
    """A slice of total variance in Gatheral's raw parameters."""

    a: float
    b: float
    rho: float
    m: float
    sigma: float

    def __post_init__(self) -> None:
        if not (self.b >= 0 and abs(self.rho) < 1 and self.sigma > 0 and self.least > 0):
            raise BadInput(
                f"SVI needs b >= 0, |rho| < 1, sigma > 0 and a variance above 0 everywhere; was a={self.a}, "
                f"b={self.b}, rho={self.rho}, m={self.m}, sigma={self.sigma}."
            )

    @property
    def raw(self) -> Raw:
        """The five numbers as a tuple."""
        return Raw(self.a, self.b, self.rho, self.m, self.sigma)

    @property
    def least(self) -> float:
        """The lowest total variance of the slice."""
        return float(self.a + self.b * self.sigma * np.sqrt(1.0 - self.rho**2))

    def total_variance(self, k: ArrayLike) -> Floats:
        """w(k), shape of `k`."""
        return self.derivatives(k)[0]

    def derivatives(self, k: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """w, dw/dk and d2w/dk2 at log-moneyness `k`, each in its shape."""
        return curve(self.raw, np.asarray(k, dtype=np.float64))

    def butterfly(self, k: ArrayLike) -> Floats:
        """Gatheral's g(k): the density over that of Black's; below 0 there is butterfly arbitrage."""
        at = np.asarray(k, dtype=np.float64)
        return butterfly(at, *curve(self.raw, at))

    def check_grid(self, points: int = 2001) -> Floats:
        """Log-moneynesses that reach, ever sparser, to where the wings are straight; both 0 and m lie among them."""
        return grid(self.raw, points)

    @property
    def least_butterfly(self) -> float:
        """The lowest g on the dense grid of `check_grid`; free of butterfly arbitrage where it is not below 0."""
        return float(np.min(self.butterfly(self.check_grid())))

    @property
    def steepest_wing(self) -> float:
        """The steeper of the two slopes of w far from the money; Lee allows 2."""
        return float(self.b * (1.0 + abs(self.rho)))


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted slice and how well it fits.

    Attributes
    ----------
    error : root mean square of sqrt(w / years) against the quotes, weighted like the fit, per year of volatility.
    strikes : how many were fitted. constrained : whether the free fit had an arbitrage that was fitted away.
    """

    slice: Svi
    error: float
    strikes: int
    constrained: bool


def fit(
    k: ArrayLike,
    total_variance: ArrayLike,
    weight: ArrayLike,
    *,
    years: float = 1.0,
    floor: Svi | None = None,
    floor_between: tuple[float, float] = (-np.inf, np.inf),
) -> Fit:
    """The slice nearest to the quotes that is free of butterfly arbitrage, and not below `floor` where that is given.

    Least squares with a soft tail (an error beyond 5 weights counts linearly) and a penalty where `g` is below a small
    margin, checked on a denser and longer grid afterwards. The search begins at the nearest slice of SSVI, which is
    free by construction, and at a broad bowl; where both end with an arbitrage the slice of SSVI is kept. So the
    outcome is free of butterflies, and deterministic.

    Parameters
    ----------
    k : (n,) ln(strike / forward). total_variance : (n,) volatility^2 times years, above 0. Rows with NaN are left out.
    weight : (n,) of a squared error in total variance, for example 1 / (half-width of the quote in total variance)^2.
    years : of the slice; used to say errors in volatility.
    floor : the slice of an earlier expiry, which this one must not cross (calendar arbitrage) at the log-moneynesses of
        `k` that lie in `floor_between`. Butterflies come first: where both cannot be had, it may still cross.

    Raises
    ------
    DataMissing
        Fewer than 5 strikes.
    """
    columns = [np.asarray(each, dtype=np.float64) for each in (k, total_variance, weight)]
    if any(each.ndim != 1 or each.shape != columns[0].shape for each in columns):
        raise BadInput("A smile needs one log-moneyness, total variance and weight per strike.")
    good = np.all(np.isfinite(columns), axis=0) & (columns[1] > 0) & (columns[2] > 0)
    x, w, weight = columns[0][good], columns[1][good], columns[2][good]
    if len(x) < FEWEST_STRIKES:
        raise DataMissing(f"A smile needs at least {FEWEST_STRIKES} strikes with a volatility; there were {len(x)}.")
    grid = np.linspace(max(x.min(), floor_between[0]), min(x.max(), floor_between[1]), 61)
    under = None if floor is None or grid[0] >= grid[-1] else (grid, floor.total_variance(grid))
    found, constrained = _free(Problem(x, w, np.sqrt(weight), under))
    missed = np.sqrt(found.total_variance(x) / years) - np.sqrt(w / years)
    return Fit(found, float(np.sqrt(np.sum(weight * missed**2) / np.sum(weight))), len(x), constrained)


def ssvi_slice(theta: float, rho: float, phi: float) -> Svi:
    """The raw parameters of an SSVI slice with variance `theta` at the money.

    References
    ----------
    Gatheral and Jacquier (2014), equation 4.1 against 3.1.
    """
    flat = float(np.sqrt(1.0 - rho**2))
    return Svi(0.5 * theta * (1.0 - rho**2), 0.5 * theta * phi, rho, -rho / phi, flat / phi)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A later slice below an earlier one: how far at worst, in total variance, and where."""

    earlier: int
    later: int
    gap: float
    k: float


def crossings(
    slices: Sequence[Svi], low: float = -3.0, high: float = 2.0, *, tolerance: float = 1e-9
) -> list[Crossing]:
    """Neighbouring slices (in order of maturity) that cross between log-moneyness `low` and `high`.

    Total variance must not fall with maturity at a fixed K / F, or a calendar spread costs less than nothing.
    """
    k = np.unique(np.concatenate([np.linspace(low, high, 1001), np.linspace(-0.2, 0.2, 401)]))
    k = k[(k >= low) & (k <= high)]
    found = []
    for row in range(len(slices) - 1):
        gap = slices[row].total_variance(k) - slices[row + 1].total_variance(k)
        at = int(np.argmax(gap))
        if gap[at] > tolerance:
            found.append(Crossing(row, row + 1, float(gap[at]), float(k[at])))
    return found


def _free(problem: Problem) -> tuple[Svi, bool]:
    """The nearest slice without an arbitrage, and whether one had to be fitted away."""
    begin = ssvi_start(problem.k, problem.w, problem.root_weight)
    best = _without_butterfly(problem._replace(floor=None), begin)
    if _crosses(best, problem):
        lifted = _without_butterfly(problem, best)
        if _missed(lifted, problem) <= LIFTED * _missed(best, problem) + len(problem.k):
            return Svi(*lifted), True
    w, slope, bend = curve(best, asked := grid(best, ASKED))
    return Svi(*best), bool(np.min(butterfly(asked, w, slope, bend)) < MARGIN)


def _without_butterfly(problem: Problem, begin: Raw) -> Raw:
    """The better of the searches from `begin` and from a broad bowl; `begin`, which is free, where both end badly."""
    free = []
    for start in (begin, wide_start(problem.k, problem.w)):
        found, asked = start, grid(start, ASKED)
        for strength in _STRENGTHS:
            found = searched(problem, start, strength, asked)
            if not _has_butterfly(found):
                free.append(found)
                break
            # Where it was not asked, it went wrong: it is asked there too.
            asked = np.sort(np.concatenate([asked, grid(found, ASKED)]))
    return min(free, key=lambda each: _missed(each, problem)) if free else begin


def _has_butterfly(raw: Raw) -> bool:
    return Svi(*raw).least_butterfly < 0


def _crosses(raw: Raw, problem: Problem) -> bool:
    if problem.floor is None:
        return False
    k, floor = problem.floor
    return bool(np.any(curve(raw, k)[0] < floor * (1.0 - CROSSED)))


def _missed(raw: Raw, problem: Problem) -> float:
    """The soft loss of the quotes."""
    z = (curve(raw, problem.k)[0] - problem.w) * problem.root_weight / SOFT
    return float(np.sum(np.sqrt(1.0 + z * z) - 1.0))
