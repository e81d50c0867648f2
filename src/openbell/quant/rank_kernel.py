"""Ranks of values among known ones, compiled. Imported only where it is asked: numba is slow to import."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def place(matrix: np.ndarray, borders: np.ndarray, knots: np.ndarray, places: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` (n, p) with the place of each value of `matrix` between the knots of its column; NaN stays NaN.

    The knots of column k, rising, stand at ``borders[k]`` to ``borders[k + 1]`` - 1. Between two of them the place is
    drawn straight, beyond the outermost theirs holds.
    """
    for row in range(matrix.shape[0]):
        for column in range(matrix.shape[1]):
            value, first, last = matrix[row, column], borders[column], borders[column + 1] - 1
            if math.isnan(value):
                out[row, column] = np.nan
            elif value <= knots[first]:
                out[row, column] = places[first]
            elif value >= knots[last]:
                out[row, column] = places[last]
            else:
                while last - first > 1:
                    middle = (first + last) // 2
                    if value < knots[middle]:
                        last = middle
                    else:
                        first = middle
                share = (value - knots[first]) / (knots[last] - knots[first])
                out[row, column] = places[first] + share * (places[last] - places[first])
