"""Counting pairs in n log n for trend tests, compiled. Imported only where asked for: numba is slow to import."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def pairs_not_rising(values: np.ndarray, spare: np.ndarray, strict: bool) -> int:
    """Pairs i < j with ``values[i] >= values[j]`` (`strict`: >), by merging; `values` is left sorted.

    `spare` is room of the same length.
    """
    n = values.shape[0]
    count = 0
    source, target = values, spare
    width = 1
    while width < n:
        for left in range(0, n, 2 * width):
            middle = min(left + width, n)
            right = min(left + 2 * width, n)
            i, j = left, middle
            for k in range(left, right):
                if i >= middle:
                    take_right = True
                elif j >= right:
                    take_right = False
                elif strict:
                    take_right = source[j] < source[i]
                else:
                    take_right = source[j] <= source[i]
                if take_right:
                    target[k] = source[j]
                    count += middle - i
                    j += 1
                else:
                    target[k] = source[i]
                    i += 1
        source, target = target, source
        width *= 2
    if width > 1:
        for i in range(n):
            values[i] = source[i]
    return count


@numba.njit(cache=True, nogil=True)
def slopes_up_to(slope: float, x: np.ndarray, y: np.ndarray, level: np.ndarray, spare: np.ndarray) -> int:
    """Pairs i < j whose line rises by at most `slope`; `x` rises, `y` rises among equal `x`.

    ``(y_j - y_i) / (x_j - x_i) <= slope`` where ``y_j - slope x_j <= y_i - slope x_i``. Pairs equal in both count too.
    """
    for i in range(x.shape[0]):
        level[i] = y[i] - slope * x[i]
    return pairs_not_rising(level, spare, False)


@numba.njit(cache=True, nogil=True)
def bracket(
    rank: int, low: float, high: float, below: int, upto: int, x: np.ndarray, y: np.ndarray, few: int, width: float
) -> tuple[float, float, int, int]:
    """Halve (low, high] until it holds at most `few` slopes, that of `rank` (from 0) among them, or is `width` wide.

    `below` and `upto` count the slopes up to `low` and `high`; returned with the bounds.
    """
    level, spare = np.empty(x.shape[0]), np.empty(x.shape[0])
    while upto - below > few and high - low > width:
        middle = low + 0.5 * (high - low)
        if not low < middle < high:
            break
        count = slopes_up_to(middle, x, y, level, spare)
        if count <= rank:
            low, below = middle, count
        else:
            high, upto = middle, count
    return low, high, below, upto


@numba.njit(cache=True, nogil=True)
def crossings(places: np.ndarray, names: np.ndarray, most: int) -> np.ndarray:
    """Pairs of `names`, shape (k, 2), k <= `most`, that change their order when `places` is sorted, by insertion."""
    found = np.empty((most, 2), dtype=np.int64)
    count = 0
    for i in range(1, places.shape[0]):
        place, name = places[i], names[i]
        j = i - 1
        while j >= 0 and places[j] > place:
            if count >= most:
                return found[:count]
            found[count, 0], found[count, 1] = names[j], name
            count += 1
            places[j + 1], names[j + 1] = places[j], names[j]
            j -= 1
        places[j + 1], names[j + 1] = place, name
    return found[:count]
