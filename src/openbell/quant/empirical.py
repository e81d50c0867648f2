"""What an underlying did over windows of past sessions, applied to today's price."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput, DataMissing

#: Fewer windows than this that do not overlap say nothing about an interval.
FEWEST_EFFECTIVE = 10


@dataclass(frozen=True, slots=True, eq=False)
class Empirical:
    """Past ratios of the price at the end of a window to that at its start, as prices at expiry.

    Attributes
    ----------
    spot : points, today. ratios : (n,) end over start of each window, above 0.
    highest, lowest : (n,) highest and lowest close within each window over its start, the start included.
    sessions : length of a window. step : sessions from one window to the next; below `sessions` they overlap.
    left_out : windows with a missing close.
    """

    spot: float
    ratios: np.ndarray
    highest: np.ndarray
    lowest: np.ndarray
    sessions: int
    step: int = 1
    left_out: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.spot) and self.spot > 0):
            raise BadInput(f"The price of the underlying must be above 0; was {self.spot}.")
        if not len(self.ratios) or not np.all(np.isfinite(self.ratios) & (self.ratios > 0)):
            raise BadInput(
                f"A historical distribution needs ratios above 0; {int(np.sum(~(self.ratios > 0)))} of "
                f"{len(self.ratios)} were not."
            )

    @property
    def prices(self) -> np.ndarray:
        """(n,) prices at expiry, points."""
        return self.spot * self.ratios

    @property
    def n(self) -> int:
        """Windows."""
        return len(self.ratios)

    @property
    def overlapping(self) -> bool:
        """Whether neighbouring windows share sessions."""
        return self.step < self.sessions

    @property
    def effective_n(self) -> float:
        """Windows that would say as much if none overlapped.

        With independent session returns, outcomes of windows k steps apart correlate as the share of sessions they have
        in common, ``1 - k step / sessions``, and the variance of a mean over many grows by the sum of these: by
        ``sessions / step`` when one divides the other.
        """
        lags = np.arange(1, math.ceil(self.sessions / self.step))
        shared = 1.0 - lags * self.step / self.sessions
        return self.n / float(1.0 + 2.0 * np.sum(np.maximum(1.0 - lags / self.n, 0.0) * shared))

    def share_interval(self, share: float, level: float = 0.95) -> tuple[float, float] | None:
        """Wilson interval of a share of the windows with `effective_n` observations; None under 10 of them."""
        z, n = self._quantile(level), self.effective_n
        if n < FEWEST_EFFECTIVE:
            return None
        centre = (share + z * z / (2.0 * n)) / (1.0 + z * z / n)
        half = z / (1.0 + z * z / n) * math.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n))
        return max(centre - half, 0.0), min(centre + half, 1.0)

    def mean_interval(self, values: np.ndarray, level: float = 0.95) -> tuple[float, float] | None:
        """Student interval of the mean of `values` (n,) with `effective_n` observations; None under 10 of them."""
        from scipy.special import stdtrit

        self._quantile(level)
        n = self.effective_n
        if n < FEWEST_EFFECTIVE:
            return None
        half = float(stdtrit(n - 1.0, 0.5 + level / 2.0)) * float(np.std(values, ddof=1)) / math.sqrt(n)
        return float(np.mean(values)) - half, float(np.mean(values)) + half

    @staticmethod
    def _quantile(level: float) -> float:
        from scipy.special import ndtri

        if not 0.0 < level < 1.0:
            raise BadInput(f"`level` must lie in (0, 1); was {level}.")
        return float(ndtri(0.5 + level / 2.0))


def empirical(closes: np.ndarray, sessions: int, spot: float, *, step: int = 1) -> Empirical:
    """The windows of `sessions` sessions in `closes`, every `step` sessions, the latest first counted back.

    Parameters
    ----------
    closes : (m,) oldest first, of one scale throughout (adjusted for splits); NaN where there is none. The last one is
        the latest that was known.
    sessions : from today to expiry, at least 1. spot : points, that the ratios are applied to.

    Returns
    -------
    Empirical
        Windows with a NaN in them are left out and counted in `left_out`.

    Raises
    ------
    DataMissing
        Where no window is whole.
    """
    if sessions < 1 or step < 1:
        raise BadInput(f"`sessions` and `step` must be at least 1; they were {sessions} and {step}.")
    series = np.asarray(closes, dtype=np.float64)
    if len(series) <= sessions:
        raise DataMissing(
            f"A window of {sessions} sessions needs {sessions + 1} closes; there are {len(series)}. Import older bars."
        )
    windows = np.lib.stride_tricks.sliding_window_view(series, sessions + 1)[::-1][::step][::-1]
    whole = np.all(np.isfinite(windows) & (windows > 0), axis=1)
    if not whole.any():
        raise DataMissing(f"Each of the {len(windows)} windows of {sessions} sessions lacks a close.")
    kept = windows[whole]
    start = kept[:, 0]
    return Empirical(
        spot=float(spot),
        ratios=kept[:, -1] / start,
        highest=kept.max(axis=1) / start,
        lowest=kept.min(axis=1) / start,
        sessions=sessions,
        step=step,
        left_out=int((~whole).sum()),
    )
