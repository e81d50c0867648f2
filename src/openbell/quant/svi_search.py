"""The search for the five numbers of a smile: least squares with penalties on arbitrage."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Wings steeper than 2 give the density no mean (Lee); kept a little below it.
STEEPEST_WING = 1.999
#: What is asked of `g` while fitting, so that it cannot be negative between the points it is asked at.
MARGIN = 2e-3
#: Points of log-moneyness where `g` is asked for while fitting.
ASKED = 60
#: Errors beyond so many weights count linearly: a bad quote does not bend the smile, and no wing is given up for a body
#: that is quoted closer than five numbers can follow.
SOFT = 5.0
#: Pull toward the start, in shares of a half-width per unit of each coordinate: what quotes do not say stays there.
PULL = 1e-2


class Raw(NamedTuple):
    """Gatheral's raw parameters."""

    a: float
    b: float
    rho: float
    m: float
    sigma: float


def curve(raw: Raw, k: Floats) -> tuple[Floats, Floats, Floats]:
    """w, dw/dk and d2w/dk2."""
    x = k - raw.m
    root = np.hypot(x, raw.sigma)
    return raw.a + raw.b * (raw.rho * x + root), raw.b * (raw.rho + x / root), raw.b * raw.sigma**2 / root**3


def butterfly(k: Floats, w: Floats, slope: Floats, bend: Floats) -> Floats:
    """Gatheral's g."""
    return (1.0 - 0.5 * k * slope / w) ** 2 - 0.25 * slope**2 * (1.0 / w + 0.25) + 0.5 * bend


def grid(raw: Raw, points: int) -> Floats:
    """Log-moneynesses that reach, ever sparser, to where the wings are straight; both 0 and m lie among them."""
    reach = np.arcsinh(max(50.0, 20.0 / raw.sigma))
    least = raw.a + raw.b * raw.sigma * np.sqrt(1.0 - raw.rho**2)
    around = raw.m + raw.sigma * np.sinh(np.linspace(-reach, reach, points))
    near = np.sqrt(least) * np.sinh(np.linspace(-6.0, 6.0, points))
    return np.sort(np.concatenate([around, near, [0.0, raw.m]]))


def coordinates(raw: Raw) -> Floats:
    """Logarithm of the least variance, logits of both wings' slopes over their bound, m, ln sigma: free of bounds."""
    slopes = np.clip(np.array([raw.b * (1 - raw.rho), raw.b * (1 + raw.rho)]) / STEEPEST_WING, 1e-6, 1 - 1e-6)
    least = raw.a + raw.b * raw.sigma * np.sqrt(1.0 - raw.rho**2)
    logit = np.log(slopes) - np.log1p(-slopes)
    return np.array([np.log(least), logit[0], logit[1], raw.m, np.log(raw.sigma)])


def raw_of(p: Floats) -> Raw:
    """The inverse of `coordinates`."""
    left, right = STEEPEST_WING / (1.0 + np.exp(-np.clip(p[1:3], -30.0, 30.0)))
    sigma = float(np.exp(np.clip(p[4], -20.0, 5.0)))
    # b sqrt(1 - rho^2) is the geometric mean of the slopes.
    least = float(np.exp(np.clip(p[0], -40.0, 5.0)))
    return Raw(
        float(least - sigma * np.sqrt(left * right)),
        float(0.5 * (left + right)),
        float((right - left) / (right + left)),
        float(p[3]),
        sigma,
    )


class Problem(NamedTuple):
    """What is fitted: log-moneyness, total variance, root of the weight (n,); a floor on a grid, or None."""

    k: Floats
    w: Floats
    root_weight: Floats
    floor: tuple[Floats, Floats] | None


def searched(problem: Problem, start: Raw, strength: float, asked: Floats) -> Raw:
    """Soft least squares from `start`; `strength` weighs by how much `g` (at `asked`) and the floor are missed."""
    from openbell.quant.svi_kernel import descend

    k, w, root_weight, floor = problem
    root_weight = root_weight / SOFT
    hard = strength * float(np.sqrt(len(k)))
    lift = hard * float(np.median(root_weight))
    none = np.empty(0)
    floor_k, floor_w = (none, none) if floor is None else floor
    low, high = _box(k, w)
    numbers = (STEEPEST_WING, PULL, MARGIN, hard, lift)
    return raw_of(descend(coordinates(start), low, high, k, w, root_weight, asked, floor_k, floor_w, numbers))


def _box(k: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Where the coordinates may lie: what is outside is no smile of these quotes."""
    span = max(float(np.ptp(k)), 0.02)
    low = [np.log(1e-4 * w.min()), -12.0, -12.0, k.min() - span, np.log(1e-3 * span)]
    high = [np.log(2.0 * w.max()), 12.0, 12.0, k.max() + span, np.log(5.0 * span)]
    return np.array(low), np.array(high)


def ssvi_start(k: Floats, w: Floats, root_weight: Floats) -> Raw:
    """The nearest slice of SSVI within the sufficient conditions of Gatheral and Jacquier (theorem 4.2)."""
    from scipy.optimize import least_squares

    order = np.argsort(k)
    middle = float(np.interp(0.0, k[order], w[order]))

    def sliced(p: Floats) -> Raw:
        theta, rho = float(middle * np.exp(np.clip(p[0], -2.0, 2.0))), 0.99 * float(np.tanh(p[1]))
        tilt = 1.0 + abs(rho)
        steepest = min(4.0 / (theta * tilt), 2.0 / float(np.sqrt(theta * tilt)))
        phi = 0.999 * steepest / (1.0 + float(np.exp(-np.clip(p[2], -30.0, 30.0))))
        flat = float(np.sqrt(1.0 - rho**2))
        return Raw(0.5 * theta * (1.0 - rho**2), 0.5 * theta * phi, rho, -rho / phi, flat / phi)

    def misses(p: Floats) -> Floats:
        z = (curve(sliced(p), k)[0] - w) * root_weight / SOFT
        return np.concatenate([z / np.sqrt(0.5 * (1.0 + np.sqrt(1.0 + z * z))), PULL * (p - begin)])

    begin = np.array([0.0, -0.4, 0.0])
    return sliced(least_squares(misses, begin, method="lm", max_nfev=200).x)


def wide_start(k: Floats, w: Floats) -> Raw:
    """A broad bowl under the quotes, with wings as steep as the lines from the lowest quote to the ends."""
    lowest = int(np.argmin(w))
    ends = [(w[at] - w[lowest]) / max(abs(k[at] - k[lowest]), 1e-9) for at in (np.argmin(k), np.argmax(k))]
    slopes = np.clip(np.array(ends) / STEEPEST_WING, 1e-3, 0.9)
    logit = np.log(slopes) - np.log1p(-slopes)
    return raw_of(np.array([np.log(0.7 * w[lowest]), *logit, k[lowest], np.log(0.2 * max(float(np.ptp(k)), 0.02))]))
