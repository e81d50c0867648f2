"""What forwards of several expiries say together: the underlying's own level, and what carries it forward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput

Floats = NDArray[np.float64]

#: Before any quote: yields of dividends (and of borrowing) are 0 ± this, per year.
YIELD_DEVIATION = 0.10
#: A yield is not the same at every maturity; forwards this many years apart disagree by this much per year.
UNEVENNESS = 0.01
#: Expiries up to here say the level; later ones know more of dividends than of it.
NEAR_YEARS = 0.25


@dataclass(frozen=True, slots=True)
class Carry:
    """`spot` in points, `rate` and `dividend_yield` per year, continuously compounded."""

    spot: float
    rate: float
    dividend_yield: float


def implied_spot(years: ArrayLike, forward: ArrayLike, discount: ArrayLike, half_width: ArrayLike) -> float:
    """The level at the moment of the quotes that the near forwards run back to.

    ``ln F + ln D = ln S - q T`` is fitted to the expiries of the next quarter (the nearest three where there are
    fewer), each weighted by how closely its quotes bound its forward and by its nearness. A dividend that is paid
    before the first expiry is off it already; with one expiry it is the forward discounted, as if nothing were paid.

    Parameters
    ----------
    years, forward, discount : (m,) of each expiry; years above 0. half_width : (m,) half the distance between the
        forward's own bounds, in points, above 0.

    Returns
    -------
    float
        Points; NaN without an expiry.
    """
    time, ahead, factor, width = (np.asarray(each, dtype=np.float64) for each in (years, forward, discount, half_width))
    if len(time) == 0:
        return float("nan")
    if not (np.all(time > 0) and np.all(width > 0)):
        raise BadInput("A spot needs years and half-widths above 0; one was not.")
    near = time <= max(NEAR_YEARS, float(np.sort(time)[min(3, len(time)) - 1]))
    t, said = time[near], np.log(ahead[near] * factor[near])
    weight = 1.0 / ((width[near] / ahead[near]) ** 2 + (UNEVENNESS * t) ** 2)
    # Least squares in (ln S, -q) with a ridge that is the prior of q.
    moments = np.array([[weight.sum(), (weight * t).sum()], [(weight * t).sum(), (weight * t * t).sum()]])
    moments[1, 1] += YIELD_DEVIATION**-2
    level, _ = np.linalg.solve(moments, np.array([(weight * said).sum(), (weight * t * said).sum()]))
    return float(np.exp(level))


def carry(spot: float, years: ArrayLike, forward: ArrayLike, discount: ArrayLike, *, horizon: float = 0.5) -> Carry:
    """One rate and one yield for the expiries up to `horizon` years (the nearest one where there is none).

    Least squares through the origin of -ln D and of ln(F / spot) against years.
    """
    time, ahead, factor = (np.asarray(each, dtype=np.float64) for each in (years, forward, discount))
    if len(time) == 0 or not np.all(time > 0):
        raise BadInput("A carry needs at least one expiry, with years above 0.")
    near = time <= max(horizon, float(time.min()))
    t = time[near]
    rate = -float(t @ np.log(factor[near]) / (t @ t))
    growth = float(t @ np.log(ahead[near] / spot) / (t @ t))
    return Carry(spot, rate, rate - growth)
