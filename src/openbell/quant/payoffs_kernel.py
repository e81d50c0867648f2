"""Payoffs at expiry of many positions, compiled. Imported only where they are asked for: numba is slow to import."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def _ordered(right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, place: np.ndarray) -> int:
    """Fill `place` with the legs that are none of the padding, by strike, right and ratio; how many there are."""
    n = 0
    for leg in range(len(ratio)):
        if ratio[leg] == 0:
            continue
        at = n
        while at > 0:
            other = place[at - 1]
            before = strike[leg] < strike[other] or (
                strike[leg] == strike[other]
                and (right[leg] < right[other] or (right[leg] == right[other] and ratio[leg] < ratio[other]))
            )
            if not before:
                break
            place[at] = other
            at -= 1
        place[at] = leg
        n += 1
    return n


@numba.njit(cache=True, nogil=True)
def _payoff(right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, place: np.ndarray, n: int, spot: float) -> float:
    """Payoff of the legs `place[:n]` at `spot`, added in that order, so that the order they came in leaves no trace."""
    total = 0.0
    for at in range(n):
        leg = place[at]
        if right[leg] == 0:
            total += ratio[leg] * spot
        else:
            total += ratio[leg] * max(right[leg] * (spot - strike[leg]), 0.0)
    return total


@numba.njit(cache=True, nogil=True)
def settle(right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, spot: np.ndarray, value: np.ndarray) -> None:
    """Write the payoff of each row of legs (p, L) at its own `spot` (p,) into `value` (p,)."""
    place = np.empty(ratio.shape[1], dtype=np.int64)
    for row in range(len(ratio)):
        n = _ordered(right[row], strike[row], ratio[row], place)
        value[row] = _payoff(right[row], strike[row], ratio[row], place, n, spot[row])


@numba.njit(cache=True, nogil=True)
def bound(
    right: np.ndarray,
    strike: np.ndarray,
    ratio: np.ndarray,
    premium: np.ndarray,
    highest: np.ndarray,
    lowest: np.ndarray,
    slope: np.ndarray,
) -> None:
    """Largest and smallest profit of each row of legs over the kinks, and its slope beyond the last, each (p,)."""
    place = np.empty(ratio.shape[1], dtype=np.int64)
    for row in range(len(ratio)):
        n = _ordered(right[row], strike[row], ratio[row], place)
        up = _payoff(right[row], strike[row], ratio[row], place, n, 0.0)
        down = up
        beyond = 0.0
        for at in range(n):
            leg = place[at]
            if right[row, leg] == 0:
                beyond += ratio[row, leg]
                continue
            if right[row, leg] > 0:
                beyond += ratio[row, leg]
            value = _payoff(right[row], strike[row], ratio[row], place, n, strike[row, leg])
            if math.isnan(value):
                up, down = math.nan, math.nan
                break
            up, down = max(up, value), min(down, value)
        highest[row], lowest[row], slope[row] = up - premium[row], down - premium[row], beyond
