"""One volatility surface evaluated at one option, compiled.

References
----------
Gatheral and Jacquier (2014), Arbitrage-free SVI volatility surfaces, Quantitative Finance 14, 59-71.
"""
# mypy: disable-error-code="untyped-decorator, no-any-return"

from __future__ import annotations

import math

import numba
import numpy as np

from openbell.quant.black_kernel import black

#: Columns of `Surfaces.parameters`.
SHORT, LONG, REVERSION, RHO, ETA, GAMMA = 0, 1, 2, 3, 4, 5


@numba.njit(cache=True)
def at_the_money_variance(short: float, long: float, reversion: float, years: float) -> float:
    """Total variance at the forward: a variance that reverts from `short` to `long`, integrated; it never falls."""
    if years <= 0.0:
        return 0.0
    pull = reversion * years
    weight = 1.0 - 0.5 * pull if pull < 1e-8 else -math.expm1(-pull) / pull
    return years * (long + (short - long) * weight)


@numba.njit(cache=True)
def ssvi(theta: float, moneyness: float, rho: float, eta: float, gamma: float) -> float:
    """Total variance at log-moneyness ln(K/F), with phi = eta / (theta^gamma (1 + theta)^(1 - gamma))."""
    if theta <= 0.0:
        return 0.0
    phi = eta / (theta**gamma * (1.0 + theta) ** (1.0 - gamma))
    tilted = phi * moneyness + rho
    return 0.5 * theta * (1.0 + rho * phi * moneyness + math.sqrt(tilted * tilted + 1.0 - rho * rho))


@numba.njit(cache=True)
def option_value(
    right: float,
    strike: float,
    years: float,
    spot: float,
    rate: float,
    dividend_yield: float,
    parameters: np.ndarray,
    displacement: float,
    variance: float,
) -> float:
    """Discounted European value; with a finite `displacement` Black on the displaced forward and `variance` (total)."""
    forward = spot * math.exp((rate - dividend_yield) * years)
    if math.isfinite(displacement):
        value = black(right, forward + displacement, strike + displacement, math.sqrt(max(variance, 0.0)))
        return math.exp(-rate * years) * value
    theta = at_the_money_variance(parameters[SHORT], parameters[LONG], parameters[REVERSION], years)
    total = ssvi(theta, math.log(strike / forward), parameters[RHO], parameters[ETA], parameters[GAMMA])
    return math.exp(-rate * years) * black(right, forward, strike, math.sqrt(total))
