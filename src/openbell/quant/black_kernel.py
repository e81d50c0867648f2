"""Black's formula for one option, compiled. Imported only where options are priced: numba is slow to import.

Every compiled function that another kernel calls takes and gives plain numbers.
"""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math

import numba

SQRT_HALF = 0.7071067811865476


@numba.njit(cache=True)
def normal_cdf(x: float) -> float:
    """Standard normal distribution function, full precision in both tails."""
    return 0.5 * math.erfc(-x * SQRT_HALF)


@numba.njit(cache=True)
def black(right: float, forward: float, strike: float, deviation: float) -> float:
    """Undiscounted Black-76 value; `right` is +1 for a call and -1 for a put, `deviation` is sigma times sqrt(T)."""
    intrinsic = max(right * (forward - strike), 0.0)
    if deviation <= 0.0 or strike <= 0.0 or forward <= 0.0:
        return intrinsic
    d1 = math.log(forward / strike) / deviation + 0.5 * deviation
    value = right * (forward * normal_cdf(right * d1) - strike * normal_cdf(right * (d1 - deviation)))
    return max(value, intrinsic)
