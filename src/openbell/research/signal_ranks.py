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
    without any value in training, or with a single one, is 0 wherever it is there. Those of the p features stand one
    after another; those of feature k from ``borders[k]`` to ``borders[k + 1]`` - 1.
    """

    knots: np.ndarray
    places: np.ndarray
    borders: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray) -> Ranks:
        """Learned from `matrix` (n, p), NaN where missing."""
        found = [_column(matrix[:, at]) for at in range(matrix.shape[1])]
        counts = [len(knots) for knots, _ in found]
        together = (np.concatenate([np.empty(0), *(pair[side] for pair in found)]) for side in (0, 1))
        return cls(*together, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    def apply(self, matrix: np.ndarray) -> np.ndarray:
        """Ranks (n, p), Float32, NaN where `matrix` has NaN; those of a row do not depend on the other rows."""
        from openbell.quant.rank_kernel import place

        given = np.ascontiguousarray(matrix, dtype=np.float64)
        out = np.empty(given.shape, dtype=np.float32)
        place(given, self.borders, self.knots, self.places, out)
        return out

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything, to be kept."""
        return {"knots": self.knots, "places": self.places, "borders": self.borders}

    @classmethod
    def from_arrays(cls, kept: Mapping[str, np.ndarray]) -> Ranks:
        """What `arrays` gave."""
        return cls(kept["knots"], kept["places"], kept["borders"])


def _column(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots and their mid-ranks; equal values share theirs."""
    there = np.sort(values[~np.isnan(values)].astype(np.float64))
    if not len(there):
        return np.zeros(1), np.zeros(1)
    knots = np.unique(np.quantile(there, np.linspace(0.0, 1.0, QUANTILES), method="nearest"))
    left, right = (np.searchsorted(there, knots, side=side) for side in ("left", "right"))
    return knots, (left + right) / (2.0 * len(there)) - 0.5
