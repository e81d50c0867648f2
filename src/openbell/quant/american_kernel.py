"""American exercise under a continuous dividend yield, compiled: the exercise boundary by collocation.

The boundary of a put as a function of the square root of the time left is a polynomial in Chebyshev's points after one
change of variable; each point solves the equation that value and payoff meet there, by Newton's steps that hold the
other points. The premium over the European value is one integral along the boundary. A call is a put with spot and
strike, rate and yield exchanged. Everything is in units of the strike.

References
----------
Andersen, Lake and Offengenden (2016), High performance American option pricing, Journal of Computational Finance 20(1),
39-87.
McDonald and Schroder (1998), A parity result for American options, Journal of Computational Finance 1(3), 5-13.
"""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math

import numba
import numpy as np

from openbell.quant.black_kernel import black, exponential, logarithm, mills_ratio, normal_density

#: Points of the boundary beside the one at expiry; points of the integral at each; points of the last integral.
NODES, INNER, OUTER = 8, 12, 24
POINTS = NODES * INNER
#: Where the columns of the points end in the scratch of `put_value` and those of the nodes begin; how much it wants.
_NODES_AT = 9 * POINTS
SCRATCH = _NODES_AT + 11 * NODES
#: Rounds of Newton's steps over all points; the boundary counts as found when no point moves by more than this share,
#: for the value is flat in it: what remains is of the order of its square.
_ROUNDS, _STILL = 12, 3e-5
_FAR, _ENDLESS = 37.6, 700.0


def _interpolation(at: np.ndarray) -> np.ndarray:
    """Matrix that takes values in Chebyshev's points of the second kind, descending, to `at` in [-1, 1]."""
    points = np.cos(np.pi * np.arange(NODES + 1) / NODES)
    weight = (-1.0) ** np.arange(NODES + 1)
    weight[[0, -1]] *= 0.5
    away = at[:, None] - points
    exact = np.abs(away) < 1e-14
    terms = weight / np.where(exact, 1.0, away)
    terms = np.where(exact.any(axis=1)[:, None], exact, terms)
    return np.asarray(terms / terms.sum(axis=1)[:, None])


def _tables() -> tuple[np.ndarray, ...]:
    """What does not depend on the contract; times in shares of the whole time, nodes within points of the integral."""
    root = 0.5 * (1.0 + np.cos(np.pi * np.arange(NODES) / NODES))
    y, weight = np.polynomial.legendre.leggauss(INNER)
    passed = 0.25 * (1.0 + y) ** 2
    inner = _interpolation(2.0 * np.outer(np.sqrt(1.0 - passed), root).reshape(-1) - 1.0)
    z, last = np.polynomial.legendre.leggauss(OUTER)
    gone = 0.25 * (1.0 + z) ** 2
    outer = _interpolation(2.0 * np.sqrt(1.0 - gone) - 1.0)
    return (
        root,
        np.outer(passed, root * root).reshape(-1),
        np.outer(weight * 0.5 * (1.0 + y), root * root).reshape(-1),
        np.ascontiguousarray(inner.T),
        gone,
        last * 0.5 * (1.0 + z),
        np.ascontiguousarray(outer.T),
    )


#: Square root of the time left in each node; time passed, weight and interpolation of the integral in each; the same
#: three of the last integral.
_ROOT, _PASSED, _WEIGHT, _INNER, _GONE, _LAST, _OUTER = _tables()


@numba.njit(cache=True, error_model="numpy")
def perpetual_boundary(rate: float, dividend_yield: float, variance: float) -> float:
    """Spot under which a put without expiry is exercised, over the strike; `variance` and rates per same time."""
    drift = rate - dividend_yield - 0.5 * variance
    power = -(drift + math.sqrt(drift * drift + 2.0 * rate * variance)) / variance
    return max(power / (power - 1.0), 1e-8)


@numba.njit(cache=True, error_model="numpy")
def _prepare(rate: float, dividend_yield: float, deviation: float, w: np.ndarray) -> None:
    """What the rounds share, in units of the whole time: steepness, drift, deviation and discounts of all distances."""
    drift = (rate - dividend_yield) / deviation - 0.5 * deviation
    for k in range(POINTS):
        share = _PASSED[k]
        root = math.sqrt(share)
        w[k] = 1.0 / (deviation * root)
        w[k + POINTS] = drift * root
        w[k + 2 * POINTS] = deviation * root
        w[k + 3 * POINTS] = rate * _WEIGHT[k] * exponential(-rate * share)
        w[k + 4 * POINTS] = dividend_yield * _WEIGHT[k] * exponential(-dividend_yield * share)
    for i in range(NODES):
        root = _ROOT[i]
        w[_NODES_AT + i] = 1.0 / (deviation * root)
        w[_NODES_AT + i + NODES] = drift * root
        w[_NODES_AT + i + 2 * NODES] = deviation * root
        w[_NODES_AT + i + 3 * NODES] = exponential(-rate * root * root)
        w[_NODES_AT + i + 4 * NODES] = exponential(-dividend_yield * root * root)


@numba.njit(cache=True, error_model="numpy")
def _integrands(bent: np.ndarray, w: np.ndarray) -> None:
    """The integrands of both sides of the equation in all points."""
    for k in range(POINTS):
        w[k + 5 * POINTS] = 0.0
    for m in range(NODES + 1):
        for k in range(POINTS):
            w[k + 5 * POINTS] += _INNER[m, k] * bent[m]
    for k in range(POINTS):
        low = (math.sqrt(max(w[k + 5 * POINTS], 0.0)) - w[k + 6 * POINTS]) * w[k] + w[k + POINTS]
        high = low + w[k + 2 * POINTS]
        tail_low = normal_density(low) * mills_ratio(min(abs(low), _FAR))
        tail_high = normal_density(high) * mills_ratio(min(abs(high), _FAR))
        w[k + 7 * POINTS] = w[k + 3 * POINTS] * (tail_low if low < 0.0 else 1.0 - tail_low)
        w[k + 8 * POINTS] = w[k + 4 * POINTS] * (tail_high if high < 0.0 else 1.0 - tail_high)


@numba.njit(cache=True, error_model="numpy")
def _sides(at_expiry: float, w: np.ndarray) -> None:
    """Both sides of the equation in the nodes, what is outside the integrals included, and Newton's next ln(boundary).

    Only the terms outside the integrals are taken for the slope: the points of an integral move along.
    """
    n = _NODES_AT
    for i in range(NODES):
        log = w[n + i + 5 * NODES]
        low = log * w[n + i] + w[n + i + NODES]
        high = low + w[n + i + 2 * NODES]
        bell_low, bell_high = normal_density(low), normal_density(high)
        tail_low = bell_low * mills_ratio(min(abs(low), _FAR))
        tail_high = bell_high * mills_ratio(min(abs(high), _FAR))
        paid, kept = w[n + i + 3 * NODES], w[n + i + 4 * NODES]
        w[n + i + 6 * NODES] = paid * (tail_low if low < 0.0 else 1.0 - tail_low)
        w[n + i + 7 * NODES] = kept * (tail_high if high < 0.0 else 1.0 - tail_high)
        w[n + i + 8 * NODES] = paid * bell_low * w[n + i]
        w[n + i + 9 * NODES] = kept * bell_high * w[n + i]
    for j in range(INNER):
        for i in range(NODES):
            w[n + i + 6 * NODES] += w[j * NODES + i + 7 * POINTS]
            w[n + i + 7 * NODES] += w[j * NODES + i + 8 * POINTS]
    for i in range(NODES):
        log, a, c = w[n + i + 5 * NODES], w[n + i + 6 * NODES], w[n + i + 7 * NODES]
        fits = (a > 0.0) & (c > 0.0)
        ratio, a, c = a / c if fits else 1.0, a if fits else 1.0, c if fits else 1.0
        move = (logarithm(ratio) - log) / (1.0 - w[n + i + 8 * NODES] / a + w[n + i + 9 * NODES] / c)
        w[n + i + 10 * NODES] = log + (move if fits else 0.5 * (at_expiry - log))


@numba.njit(cache=True, error_model="numpy")
def _boundary(rate: float, dividend_yield: float, deviation: float, bent: np.ndarray, w: np.ndarray) -> float:
    """Write ln(B / X)^2 in the nodes to `bent`, X the boundary at expiry; gives ln(X). In units of the whole time."""
    _prepare(rate, dividend_yield, deviation, w)
    at_expiry = math.log(rate / dividend_yield) if dividend_yield > rate else 0.0
    lowest = min(math.log(perpetual_boundary(rate, dividend_yield, deviation * deviation)), at_expiry)
    floor, top = math.exp(lowest), math.exp(at_expiry)
    pull = -2.0 * deviation / max(1.0 - floor, 1e-3)
    n = _NODES_AT
    for i in range(NODES):
        w[n + i + 10 * NODES] = logarithm(floor + (top - floor) * exponential(max(pull * _ROOT[i], -_ENDLESS)))
    bent[NODES] = 0.0
    for round_ in range(_ROUNDS):
        moved = 0.0
        for i in range(NODES):
            log = min(max(w[n + i + 10 * NODES], lowest), at_expiry)
            moved = max(moved, abs(log - w[n + i + 5 * NODES]))
            w[n + i + 5 * NODES] = log
            bent[i] = (at_expiry - log) ** 2
        if moved < _STILL and round_ > 0:
            break
        for j in range(INNER):
            for i in range(NODES):
                w[j * NODES + i + 6 * POINTS] = at_expiry - w[n + i + 5 * NODES]
        _integrands(bent, w)
        _sides(at_expiry, w)
    return at_expiry


@numba.njit(cache=True, error_model="numpy")
def _premium(
    moneyness: float,
    rate: float,
    dividend_yield: float,
    deviation: float,
    at_expiry: float,
    bent: np.ndarray,
    w: np.ndarray,
) -> float:
    """What early exercise is worth where ln(spot / strike) is `moneyness`, along the boundary."""
    drift = (rate - dividend_yield) / deviation - 0.5 * deviation
    spot = math.exp(moneyness)
    for k in range(OUTER):
        w[k] = 0.0
    for m in range(NODES + 1):
        for k in range(OUTER):
            w[k] += _OUTER[m, k] * bent[m]
    for k in range(OUTER):
        share = _GONE[k]
        root = math.sqrt(share)
        low = (moneyness - at_expiry + math.sqrt(max(w[k], 0.0))) / (deviation * root) + drift * root
        high = low + deviation * root
        tail_low = normal_density(low) * mills_ratio(min(abs(low), _FAR))
        tail_high = normal_density(high) * mills_ratio(min(abs(high), _FAR))
        below = tail_low if low > 0.0 else 1.0 - tail_low
        above = tail_high if high > 0.0 else 1.0 - tail_high
        gain = rate * exponential(-rate * share) * below
        w[k + OUTER] = _LAST[k] * (gain - dividend_yield * spot * exponential(-dividend_yield * share) * above)
    total = 0.0
    for k in range(OUTER):
        total += w[k + OUTER]
    return total


@numba.njit(cache=True, error_model="numpy")
def put_value(
    moneyness: float, rate: float, dividend_yield: float, deviation: float, bent: np.ndarray, w: np.ndarray
) -> float:
    """American put over its strike at ``ln(spot / strike)``; rate (not below 0) and yield are times the time."""
    spot = math.exp(moneyness)
    european = math.exp(-rate) * black(-1.0, spot * math.exp(rate - dividend_yield), 1.0, deviation)
    at_expiry = _boundary(rate, dividend_yield, deviation, bent, w)
    if moneyness <= at_expiry - math.sqrt(bent[0]):
        return 1.0 - spot
    premium = _premium(moneyness, rate, dividend_yield, deviation, at_expiry, bent, w)
    return max(min(european + max(premium, 0.0), 1.0), 1.0 - spot)
