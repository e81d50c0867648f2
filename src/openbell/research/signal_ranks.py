"""Features as ranks among the training rows: the form that every model of the house expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

#: Quantiles that are kept of each feature; between two of them the rank is drawn straight.
QUANTILES = 65


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """For each feature the values (`knots`) whose rank (`places`) is known, from -0.5 to 0.5; 0 is the middle.

    A missing value stays missing. Beyond the outermost knot its rank holds: no training row says more. A feature
    without any value in training, or with a single one, is 0 wherever it is there.
    """

    knots: tuple[np.ndarray, ...]
    places: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, matrix: np.ndarray) -> Ranks:
        """Learned from `matrix` (n, p), NaN where missing."""
        found = [_column(matrix[:, at]) for at in range(matrix.shape[1])]
        return cls(tuple(knots for knots, _ in found), tuple(places for _, places in found))

    def apply(self, matrix: np.ndarray) -> np.ndarray:
        """Ranks (n, p), Float32, NaN where `matrix` has NaN."""
        out = np.empty(matrix.shape, dtype=np.float32)
        for at, (knots, places) in enumerate(zip(self.knots, self.places, strict=True)):
            out[:, at] = np.interp(matrix[:, at], knots, places)
        out[np.isnan(matrix)] = np.nan  # a single knot would stand for them
        return out

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything, to be kept."""
        return {
            "knots": np.concatenate([np.empty(0), *self.knots]),
            "places": np.concatenate([np.empty(0), *self.places]),
            "knot_counts": np.array([len(each) for each in self.knots], dtype=np.int64),
        }

    @classmethod
    def from_arrays(cls, kept: Mapping[str, np.ndarray]) -> Ranks:
        """What `arrays` gave."""
        borders = np.cumsum(kept["knot_counts"])[:-1]
        return cls(*(tuple(np.split(kept[name], borders)) for name in ("knots", "places")))


def _column(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots and their mid-ranks; equal values share theirs."""
    there = np.sort(values[~np.isnan(values)].astype(np.float64))
    if not len(there):
        return np.zeros(1), np.zeros(1)
    knots = np.unique(np.quantile(there, np.linspace(0.0, 1.0, QUANTILES), method="nearest"))
    left, right = (np.searchsorted(there, knots, side=side) for side in ("left", "right"))
    return knots, (left + right) / (2.0 * len(there)) - 0.5
