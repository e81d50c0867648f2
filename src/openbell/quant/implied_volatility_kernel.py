"""The volatility that an option price implies, compiled. Imported only where it is asked for.

The price is taken as time value over the smaller of forward and strike, between 0 and 1, of the option that is out of
the money. Its inflection in the deviation lies at sqrt(2 |x|), where d1 is 0: under it the reciprocal of its logarithm
is nearly a straight line in the squared deviation, above it the share itself is, and near 1 the logarithm of what is
missing to 1. Householder's third-order steps on these three, from a guess that is right at both ends of its region,
end after two or three; a bracket stands behind every step.

References
----------
Jaeckel (2015), Let's be rational, Wilmott 2015(75), 40-53: the regions and the objectives.
"""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math

import numba
import numpy as np

from openbell.quant.black_kernel import PEAK, mills_ratio
from openbell.quant.implied_volatility import (
    AT_BOUND,
    AT_INTRINSIC,
    BELOW_INTRINSIC,
    EXPIRED,
    NO_OPTION,
    NOT_FINITE,
    SOLVED,
    WORTHLESS,
)

#: A half deviation and a log-moneyness inside which the two terms nearly cancel; their difference is expanded there.
_SHORT, _NEAR = 0.1, -1.0
#: Mills' ratio at 0.
_MILLS_AT_0 = 1.2533141373155003
#: Rounding of a price and of its intrinsic value, in shares of the price; time value under it cannot be seen.
_ROUNDING = 4.0 * 2.220446049250313e-16
#: A share that small has no logarithm to rely on.
_NOTHING = 1e-290
#: A step of this share of the deviation leaves an error of its fourth power.
_SETTLED = 1e-5
#: How far rounding can put a solution on the other side of the inflection.
_SEAM = 1e-6
_STEPS = 60


@numba.njit(cache=True, error_model="numpy")
def _mills_difference(middle: float, half: float) -> float:
    """Mills' ratio at `middle - half` less that at `middle + half`, by its odd derivatives up to the eleventh."""
    before = mills_ratio(middle)
    now = middle * before - 1.0
    term, total = half, half * now
    for order in range(1, 10, 2):
        before, now = now, order * before + middle * now
        before, now = now, (order + 1) * before + middle * now
        term *= half * half / ((order + 1) * (order + 2))
        total += term * now
    return -2.0 * total


@numba.njit(cache=True, error_model="numpy")
def shares(moneyness: float, deviation: float) -> tuple[float, float, float]:
    """Time value over the smaller of forward and strike, what it lacks to 1, and its derivative in the deviation.

    `moneyness` is -|ln(forward / strike)|, `deviation` above 0. Precise relative to itself, however small.
    """
    shift, half = moneyness / deviation, 0.5 * deviation
    d1 = shift + half
    density = PEAK * math.exp(-0.5 * d1 * d1)
    if half < _SHORT and moneyness > _NEAR:
        share = density * _mills_difference(-shift, half)
        return share, 1.0 - share, density
    far = mills_ratio(half - shift)
    if d1 > 0.0:
        rest = density * (mills_ratio(d1) + far)
        return 1.0 - rest, rest, density
    share = density * (mills_ratio(-d1) - far)
    return share, 1.0 - share, density


@numba.njit(cache=True, error_model="numpy")
def _low_guess(moneyness: float, share: float) -> float:
    """Deviation under the inflection, from -ln(share) as a function of the squared distance q = (x / deviation)^2.

    The difference of Mills' ratios is taken as 2 t / (1 + 1.2533 sqrt(q) + q - t^2), t half the deviation. What is
    left is a concave function of q: Newton's steps from the left never pass the solution.
    """
    squared = moneyness * moneyness
    wanted = math.log(-moneyness * PEAK / share) - 0.5 * moneyness
    if wanted < 4.0:
        grown = math.exp(max(wanted, -600.0))
        q = (grown / (1.0 + _MILLS_AT_0 * grown)) ** 2
    else:
        q = 2.0 * wanted - 3.0 * math.log(wanted) - 2.1
    q = max(q, -0.5 * moneyness)
    for _ in range(2):
        half_squared, root = 0.25 * squared / q, math.sqrt(q)
        spread = 1.0 + _MILLS_AT_0 * root + q - half_squared
        value = 0.5 * (q + half_squared) + math.log(root * spread)
        slope = 0.5 + 0.5 * (1.0 - half_squared) / q + (0.5 * _MILLS_AT_0 / root + 1.0 + half_squared / q) / spread
        q = max(q + (wanted - value) / slope, -0.5 * moneyness)
    return -moneyness / math.sqrt(q)


@numba.njit(cache=True, error_model="numpy")
def _step(
    kind: int, moneyness: float, deviation: float, share: float, rest: float, at: tuple[float, float, float]
) -> float:
    """Householder's step on the objective of the region: 0 under the inflection, 1 above it, 2 near 1."""
    value, missing, slope = at
    shift = moneyness / deviation
    bend = shift * shift / deviation - 0.25 * deviation
    turn = bend * bend - 3.0 * (shift / deviation) ** 2 - 0.25
    if kind == 0:
        log_value, steep = math.log(value), slope / value
        newton = math.log(share / value) * log_value / (math.log(share) * steep)
        inner = 1.0 / log_value
        turn += 2.0 * steep * steep * (1.0 + 3.0 * inner * (1.0 + inner)) - 3.0 * bend * steep * (1.0 + 2.0 * inner)
        bend -= steep * (1.0 + 2.0 * inner)
    elif kind == 1:
        newton = (share - value) / slope
    else:
        steep = slope / missing
        newton = math.log(missing / rest) / steep
        turn += steep * (3.0 * bend + 2.0 * steep)
        bend += steep
    step = newton * (1.0 + 0.5 * newton * bend) / (1.0 + newton * (bend + newton * turn / 6.0))
    return step if step * newton > 0.0 else newton


@numba.njit(cache=True, error_model="numpy")
def implied_deviation(moneyness: float, share: float, rest: float) -> float:
    """Sigma times sqrt(T) at which `shares` gives `share` and `rest`; `share` in (0, 1), `rest` is 1 - `share`."""
    corner = math.sqrt(-2.0 * moneyness)
    share_there = PEAK * (_MILLS_AT_0 - mills_ratio(corner))
    if share < share_there:
        kind, low, high = 0, 0.0, corner * (1.0 + _SEAM)
        guess = _low_guess(moneyness, share)
    else:
        kind, low, high = 1 if share < 0.5 else 2, corner * (1.0 - _SEAM), 10.0 + math.sqrt(100.0 - 2.0 * moneyness)
        pace = 4.0 * PEAK / (1.0 - share_there)
        gone = max(-math.log(rest / (1.0 - share_there)), 0.0)
        guess = corner + 8.0 * gone / (math.sqrt(8.0 * gone + pace * pace) + pace)
        guess = max(guess, 2.0 * share) if moneyness == 0.0 else guess
    deviation = guess
    for _ in range(_STEPS):
        at = shares(moneyness, deviation)
        if at[0] < share or (kind == 2 and at[1] > rest):
            low = deviation
        else:
            high = deviation
        after = deviation + _step(kind, moneyness, deviation, share, rest, at)
        if not low <= after <= high:
            after = 0.5 * (low + high)
        elif abs(after - deviation) <= _SETTLED * deviation:
            return after
        if high - low <= 1e-16 * high:
            return after
        deviation = after
    return deviation


@numba.njit(cache=True, error_model="numpy")
def why_not(price: float, right: float, forward: float, strike: float, years: float, discount: float) -> int:
    """The reason why a price implies no volatility, or `SOLVED`."""
    if not math.isfinite(price + right + forward + strike + years + discount):
        return NOT_FINITE
    if not (abs(right) == 1.0 and forward > 0.0 and strike > 0.0 and discount > 0.0):
        return NO_OPTION
    if years <= 0.0:
        return EXPIRED
    value = price / discount
    intrinsic, bound = max(right * (forward - strike), 0.0), forward if right > 0.0 else strike
    rounding = _ROUNDING * value if intrinsic > 0.0 else 0.0
    if value < intrinsic - rounding:
        return BELOW_INTRINSIC
    if value - intrinsic <= max(rounding, _NOTHING * min(forward, strike)):
        return AT_INTRINSIC if intrinsic > 0.0 else WORTHLESS
    return AT_BOUND if bound - value <= _ROUNDING * bound else SOLVED


@numba.njit(cache=True, error_model="numpy", nogil=True)
def fill_volatilities(
    inputs: tuple[np.ndarray, ...], volatility: np.ndarray, reason: np.ndarray, start: int, stop: int
) -> None:
    """Write implied volatilities and reasons from price, right, forward, strike, years and discount."""
    price, right, forward, strike, years, discount = inputs
    for i in range(start, stop):
        reason[i] = why_not(price[i], right[i], forward[i], strike[i], years[i], discount[i])
        volatility[i] = np.nan
        if reason[i] == SOLVED:
            value, smaller = price[i] / discount[i], min(forward[i], strike[i])
            intrinsic = max(right[i] * (forward[i] - strike[i]), 0.0)
            bound = forward[i] if right[i] > 0.0 else strike[i]
            moneyness = -abs(math.log(forward[i] / strike[i]))
            deviation = implied_deviation(moneyness, (value - intrinsic) / smaller, (bound - value) / smaller)
            volatility[i] = deviation / math.sqrt(years[i])
