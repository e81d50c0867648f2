"""Labels moved about among the sessions: what a pipeline still earns by them is its own fault (check 69)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.research.signal_noise import shuffled

__all__ = ["Noise", "noise", "shuffled"]


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """Sharpe ratios of the same pipeline: of the true labels, and of shuffled ones, shape (seeds,)."""

    true: float
    shuffled: np.ndarray

    @property
    def mean(self) -> float:
        """Of the shuffled ones."""
        return float(self.shuffled.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Of their mean, 95 %, by Student's t: the seeds are drawn apart, but share one market."""
        from scipy.stats import t

        n = len(self.shuffled)
        half = float(t.ppf(0.975, n - 1) * self.shuffled.std(ddof=1) / np.sqrt(n))
        return self.mean - half, self.mean + half

    @property
    def line(self) -> str:
        """In a sentence."""
        low, high = self.interval
        return (
            f"Sharpe ratio of the true labels {self.true:+.2f}; of labels shuffled {len(self.shuffled)} times "
            f"{self.mean:+.2f} on average ({low:+.2f} to {high:+.2f}), single ones {self.shuffled.min():+.2f} to "
            f"{self.shuffled.max():+.2f}."
        )


def noise(
    rows: pl.DataFrame,
    sharpe_of: Callable[[pl.DataFrame], float],
    *,
    seeds: Sequence[int] = tuple(range(10)),
    block_sessions: int = 1,
) -> Noise:
    """What `sharpe_of` the whole way, from rows to an account, is with true labels and with shuffled ones.

    Parameters
    ----------
    rows : columns of `core.session.DECISIONS` and the features. sharpe_of : walks and back-tests such rows.
    seeds : one shuffle each, at least 2. block_sessions : neighbours whose labels move together; outcomes of the desk
        do not overlap, so 1.

    Notes
    -----
    The fit and the calibration see shuffled labels alone; entries and exits are the market's own. Only what knows the
    outcome by another way than the labels (a price of before the decision, a feature of after it) still earns.
    """
    if len(set(seeds)) < 2:
        raise BadInput(f"An interval needs at least 2 different seeds; there were {list(seeds)}.")
    found = [sharpe_of(shuffled(rows, seed, block_sessions=block_sessions)) for seed in seeds]
    return Noise(sharpe_of(rows), np.array(found, dtype=np.float64))
