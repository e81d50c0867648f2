"""Points so dense that convex functions may be taken as straight between them, with the error known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from openbell.core.errors import BadInput

_FIRST_INTERVALS = 256
_ROUNDS = 60
_MOST_POINTS = 400_000


def refined(
    functions: Callable[[np.ndarray], np.ndarray], kinks: np.ndarray, weight: np.ndarray, tolerance: float
) -> tuple[np.ndarray, float]:
    """Points between which a weighted sum of convex functions departs from its chords by at most `tolerance`.

    A convex function lies below its chord on an interval and above the extensions of the chords of the intervals
    beside it; where these meet is the largest possible gap. Intervals with too large a gap are halved, so the number
    of points grows with the square root of 1 / `tolerance`, and only where the functions bend.

    Parameters
    ----------
    functions : maps points (m,) to values (f, m), each row convex in the point and with slopes within [-1, 1].
    kinks : (k,) rising points that must be among the result; the first and last are its ends.
    weight : (f,) absolute weight of each function in the sum. tolerance : above 0, in units of the sum.

    Returns
    -------
    tuple
        The points, rising, and the largest possible gap between any two of them. Curvature of the wrong sign, where a
        function is not convex after all, is counted into it.

    Raises
    ------
    BadInput
        Where the tolerance is not reached with 400,000 points: the functions jump, or are noise.
    """
    spread = np.linspace(kinks[0], kinks[-1], _FIRST_INTERVALS + 1)
    points = np.unique(np.concatenate([kinks, spread]))
    values = functions(points)
    for _ in range(_ROUNDS):
        gap = weight @ chord_gaps(points, values)
        wide = gap > tolerance
        if not wide.any():
            return points, float(gap.max())
        middle = 0.5 * (points[:-1] + points[1:])[wide]
        places = np.flatnonzero(wide) + 1
        points, values = np.insert(points, places, middle), np.insert(values, places, functions(middle), axis=1)
        if len(points) > _MOST_POINTS:
            break
    raise BadInput(
        f"The value could not be followed to {tolerance:g} points with {len(points):,} prices of the underlying: it "
        "jumps somewhere. Value the far options with a smooth model, or give a larger `tolerance`."
    )


def chord_gaps(points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Largest distance of convex functions (f, m) below their chords, one per interval: (f, m - 1)."""
    width = np.diff(points)
    slope = np.diff(values, axis=1) / width
    edge = np.ones((len(values), 1))
    before = np.concatenate([np.minimum(-edge, slope[:, :1]), slope[:, :-1]], axis=1)
    after = np.concatenate([slope[:, 1:], np.maximum(edge, slope[:, -1:])], axis=1)
    left, right = np.abs(slope - before), np.abs(after - slope)
    both = left + right
    return np.asarray(width * np.divide(left * right, both, out=np.zeros_like(both), where=both > 0))
