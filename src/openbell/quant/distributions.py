"""Distributions of the underlying at expiry, as the odds of a position ask for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from openbell.core.errors import BadInput


class Distribution(Protocol):
    """Prices of the underlying at expiry. `quant.density.Density` is one, `Lognormal` is another."""

    @property
    def forward(self) -> float:
        """The mean, points."""
        ...

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """Probability of a price below `x`."""
        ...

    def partial_expectation(self, x: np.ndarray) -> np.ndarray:
        """E[S; S < x], points."""
        ...


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Black's distribution: ``ln S`` is normal with standard deviation `deviation` and E[S] = `forward`."""

    forward: float
    deviation: float

    def __post_init__(self) -> None:
        if not (self.forward > 0 and self.deviation > 0 and math.isfinite(self.forward + self.deviation)):
            raise BadInput(
                "A lognormal needs a forward and a deviation (volatility times the root of years) above 0; they were "
                f"{self.forward} and {self.deviation}."
            )

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """Probability of a price below `x`; 0 at and below 0."""
        return self._normal(x, 0.5)

    def partial_expectation(self, x: np.ndarray) -> np.ndarray:
        """E[S; S < x]; 0 at and below 0."""
        return self.forward * self._normal(x, -0.5)

    def _normal(self, x: np.ndarray, shift: float) -> np.ndarray:
        from scipy.special import ndtr

        with np.errstate(divide="ignore"):
            k = np.log(np.maximum(np.asarray(x, dtype=np.float64), 0.0) / self.forward)
        return np.asarray(ndtr(k / self.deviation + shift * self.deviation))
