"""The median of the latest values, again and again, each with an interval by resampling blocks of its own window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput
from openbell.quant.day_blocks import DayBlocks
from openbell.quant.intervals import MINIMUM_BLOCKS, mean_block

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RollingMedian:
    """Medians of windows.

    Attributes
    ----------
    median, low, high : shape (n,), the median of the window that ends there and its interval at `level`; NaN where
        fewer than `window` values stand behind it. block : mean block of the resampling, values.
    """

    median: Floats
    low: Floats
    high: Floats
    window: int
    level: float
    block: int


def rolling_median(
    values: ArrayLike, window: int = 63, *, level: float = 0.95, replications: int = 500, seed: int = 0
) -> RollingMedian:
    """Median of every `window` values up to and with each, with its bootstrap interval.

    Parameters
    ----------
    values : shape (n,), oldest first, finite: leave missing ones out before and say how many.
    window : values in a window, at least 40: ten mean blocks.
    level : coverage of the percentile interval, in (0, 1). replications, seed : of the stationary bootstrap, whose
        draws all windows share, so that neighbouring bounds do not flicker.

    Returns
    -------
    RollingMedian
        The median at a row rests on it and the ``window - 1`` rows before: nothing later.

    Raises
    ------
    BadInput
        Values that are not finite, a window that is too short to resample, or a level outside (0, 1).

    References
    ----------
    Politis and Romano (1994), Journal of the American Statistical Association 89, 1303-1313.
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(array).all():
        wrong = int((~np.isfinite(array)).sum())
        raise BadInput(f"{wrong} of {len(array)} values are not finite; leave them out and say how many.")
    block = mean_block(1, window) if window > 0 else 0
    if window < max(MINIMUM_BLOCKS * block, 1):
        raise BadInput(f"A rolling median with an interval needs a window of at least 40 values; was {window}.")
    if not 0.0 < level < 1.0:
        raise BadInput(f"`level` must lie in (0, 1); was {level}.")
    median, low, high = (np.full(len(array), np.nan) for _ in range(3))
    if len(array) >= window:
        from openbell.quant.value_kernel import rolling_bootstrap_bounds

        drawn = DayBlocks.of(np.arange(window), replications=replications, level=level, seed=seed).weights
        bounds = rolling_bootstrap_bounds(array, drawn.astype(np.int64), (1.0 - level) / 2.0)
        median[window - 1 :] = np.median(np.lib.stride_tricks.sliding_window_view(array, window), axis=1)
        low[window - 1 :], high[window - 1 :] = bounds.T
    return RollingMedian(median, low, high, window, level, block)
