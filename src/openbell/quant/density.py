"""The risk-neutral density that a smile implies, in closed form.

With total variance w(k) and ``d2 = -k / sqrt(w) - sqrt(w) / 2`` the density of k = ln(S / F) is
``g(k) exp(-d2^2 / 2) / sqrt(2 pi w)``. Its distribution function, the undiscounted digital put, and its partial
expectation, K times that less the undiscounted put, need no integral either.

References
----------
Breeden and Litzenberger (1978), Prices of state-contingent claims implicit in option prices, Journal of Business 51,
621-651.
Gatheral and Jacquier (2014), Arbitrage-free SVI volatility surfaces, Quantitative Finance 14, 59-71: equation 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput
from openbell.quant.svi import Svi

Floats = NDArray[np.float64]

#: Probability that may lie beyond each end of the grid.
_BEYOND = 1e-12
_POINTS = 8001


@dataclass(frozen=True, slots=True, eq=False)
class Density:
    """The distribution of the underlying at expiry under the pricing measure.

    Parameters
    ----------
    forward : points. smile : total variance to the expiry, free of butterfly arbitrage; else the density is refused.

    Attributes
    ----------
    grid : (8001,) prices in points, rising, that hold all but about 1e-12 of the probability and of the mean at each
        end; dense near the money. Where a wing is so steep that they do not, the grid ends at exp(±60) of the forward.
    """

    forward: float
    smile: Svi
    grid: Floats = field(init=False)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.forward) and self.forward > 0):
            raise BadInput(f"A density needs a forward above 0; was {self.forward}.")
        if self.smile.least_butterfly < 0 or self.smile.steepest_wing >= 2:
            raise BadInput(
                "This smile has butterfly arbitrage, so it has no density: its lowest g is "
                f"{self.smile.least_butterfly:.3g} and its steepest wing {self.smile.steepest_wing:.3g} (2 is too "
                "much). Fit it by `svi.fit`, which keeps it free."
            )
        object.__setattr__(self, "grid", self.forward * np.exp(self._log_grid()))

    def pdf(self, x: ArrayLike) -> Floats:
        """Density per point at the prices `x`; 0 at and below 0."""
        price, k = self._moneyness(x)
        w, _, d2 = self._deviation(k)
        value = self.smile.butterfly(k) * np.exp(-0.5 * d2**2) / np.sqrt(2.0 * np.pi * w)
        return np.asarray(np.where(price > 0, value / np.where(price > 0, price, 1.0), 0.0))

    def cdf(self, x: ArrayLike) -> Floats:
        """Probability of an underlying below `x`: the undiscounted digital put."""
        price, k = self._moneyness(x)
        return np.asarray(np.where(price > 0, np.clip(self._below(k), 0.0, 1.0), 0.0))

    def partial_expectation(self, x: ArrayLike) -> Floats:
        """E[S; S < x] in points; at infinity the forward. K times `cdf` less the undiscounted put."""
        price, k = self._moneyness(x)
        from scipy.special import ndtr

        _, root, d2 = self._deviation(k)
        slope = self.smile.derivatives(k)[1]
        # K cdf - put = F N(-d1) + K n(d2) w' / (2 sqrt w), which loses no digits where K is large.
        density = np.exp(-0.5 * d2**2) / np.sqrt(2.0 * np.pi)
        value = self.forward * ndtr(-d2 - root) + np.exp(np.minimum(k, 700.0)) * self.forward * density * slope / (
            2.0 * root
        )
        value = np.where(np.isposinf(price), self.forward, value)
        return np.asarray(np.where(price > 0, np.clip(value, 0.0, self.forward), 0.0))

    def quantile(self, probability: ArrayLike) -> Floats:
        """The price below which `probability` lies, by bisection of `cdf` to rounding; in the shape of `probability`.

        Raises
        ------
        BadInput
            A probability outside of [0, 1].
        """
        p = np.asarray(probability, dtype=np.float64)
        if not np.all((p >= 0) & (p <= 1)):
            raise BadInput("A quantile needs probabilities between 0 and 1; one was outside.")
        low, high = np.full(p.shape, -700.0), np.full(p.shape, 700.0)
        for _ in range(70):
            middle = 0.5 * (low + high)
            under = self._below(middle) < p
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        inside = self.forward * np.exp(0.5 * (low + high))
        return np.asarray(np.where(p <= 0, 0.0, np.where(p >= 1, np.inf, inside)))

    def _moneyness(self, x: ArrayLike) -> tuple[Floats, Floats]:
        price = np.asarray(x, dtype=np.float64)
        if np.any(np.isnan(price)):
            raise BadInput("A density cannot be asked at NaN.")
        sane = np.where((price > 0) & np.isfinite(price), price, self.forward)
        k = np.where(np.isposinf(price), 1e4, np.log(sane / self.forward))
        return price, np.asarray(k)

    def _deviation(self, k: Floats) -> tuple[Floats, Floats, Floats]:
        w = self.smile.total_variance(k)
        root = np.sqrt(w)
        return w, root, -k / root - 0.5 * root

    def _below(self, k: Floats) -> Floats:
        """N(-d2) + n(d2) w'(k) / (2 sqrt(w))."""
        from scipy.special import ndtr

        _, root, d2 = self._deviation(k)
        slope = self.smile.derivatives(k)[1]
        return np.asarray(ndtr(-d2) + np.exp(-0.5 * d2**2) / np.sqrt(2.0 * np.pi) * slope / (2.0 * root))

    def _log_grid(self) -> Floats:
        """ln(S / F) as far as the probability (below) and the mean (above) run out, by doubling."""
        scale = float(np.sqrt(self.smile.total_variance(0.0)))
        low, high = -4.0 * scale, 4.0 * scale
        while low > -60.0 and self._below(np.asarray(low)) > _BEYOND:
            low *= 1.25
        while (
            high < 60.0 and 1.0 - float(self.partial_expectation(self.forward * np.exp(high))) / self.forward > _BEYOND
        ):
            high *= 1.25
        # Steps grow away from the money, where the density is smooth over ever longer stretches.
        ends = np.arcsinh(np.array([low, high]) / scale)
        points = scale * np.sinh(np.linspace(ends[0], ends[1], _POINTS))
        points[[0, -1]] = low, high
        return points
