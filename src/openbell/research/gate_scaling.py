"""Features on one scale, learned from training rows alone; what is missing says so instead of being made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from openbell.quant.design_effects import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Standardised features, and behind them one column for each way in which values were missing together.

    Attributes
    ----------
    mean, rate : (k,) of the values that were there; ``(x - mean) * rate``, and rate 0 for a constant. A missing value
        is 0, the mean.
    together : (k, q) the features that were missing in the same training rows, each column summing to 1: their column
        is the share that is missing, standardised too. absent_mean, absent_rate : (q,).
    """

    mean: Floats
    rate: Floats
    together: Floats
    absent_mean: Floats
    absent_rate: Floats

    @classmethod
    def of(cls, values: Floats) -> Scaling:
        """Learned from `values` (n, k), NaN where missing."""
        absent = np.isnan(values)
        mean, rate = _moments(np.where(absent, 0.0, values), ~absent)
        kinds: dict[bytes, list[int]] = {}
        for at in np.flatnonzero(absent.any(axis=0)):
            kinds.setdefault(np.packbits(absent[:, at]).tobytes(), []).append(int(at))
        together = np.zeros((values.shape[1], len(kinds)))
        for column, members in enumerate(kinds.values()):
            together[members, column] = 1.0 / len(members)
        shares = absent @ together
        return cls(mean, rate, together, *_moments(shares, np.ones(shares.shape, dtype=bool)))

    def matrix(self, values: Floats) -> Floats:
        """Columns (n, k + q) of unit scale on the training rows; NaN in `values` (n, k) is a missing value."""
        absent = np.isnan(values)
        scaled = (values - self.mean) * self.rate
        scaled[absent] = 0.0
        if not self.together.shape[1]:
            return np.asarray(scaled)
        shares = absent @ self.together if absent.any() else np.zeros((len(values), self.together.shape[1]))
        return np.concatenate([scaled, (shares - self.absent_mean) * self.absent_rate], axis=1)

    def arrays(self) -> dict[str, Floats]:
        """Everything, to be kept."""
        return {name: getattr(self, name) for name in ("mean", "rate", "together", "absent_mean", "absent_rate")}

    @classmethod
    def from_arrays(cls, kept: Mapping[str, Floats]) -> Scaling:
        """What `arrays` gave."""
        return cls(*(kept[name] for name in ("mean", "rate", "together", "absent_mean", "absent_rate")))


def _moments(values: Floats, there: np.ndarray) -> tuple[Floats, Floats]:
    """Mean of each column over the values that are there, and one over their standard deviation; 0 for a constant."""
    n = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, values, 0.0).sum(axis=0) / n
    deviation = np.sqrt((np.where(there, values - mean, 0.0) ** 2).sum(axis=0) / n)
    varies = deviation > 1e-12 * np.maximum(np.abs(mean), 1.0)
    return mean, np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varies)
