"""The search for one smile, compiled: Levenberg-Marquardt over five coordinates. Imported only where smiles are fitted.

References
----------
Marquardt (1963), An algorithm for least-squares estimation of nonlinear parameters, SIAM Journal 11, 431-441.
"""
# mypy: disable-error-code="untyped-decorator, no-any-return"

from __future__ import annotations

import math

import numba
import numpy as np

#: Settled where a step gains less than this share of the loss, so many times in a row.
_GAIN, _TIMES = 1e-9, 3
_ROUNDS = 300


@numba.njit(cache=True, error_model="numpy")
def smile_at(k: float, p: np.ndarray, steepest: float, value: np.ndarray, slope: np.ndarray) -> None:
    """Fill `value` with w, w' and w'' at `k`, and `slope` (3, 5) with their derivatives in the coordinates `p`.

    With wings L and R: ``w = least - sigma sqrt(L R) + (R - L) x / 2 + (L + R) root / 2``.
    """
    least = math.exp(p[0])
    left, right = steepest / (1.0 + math.exp(-p[1])), steepest / (1.0 + math.exp(-p[2]))
    s = math.exp(p[4])
    x = k - p[3]
    root = math.sqrt(x * x + s * s)
    mean = math.sqrt(left * right)
    unit, bent, b, tilt = x / root, s * s / root**3, 0.5 * (left + right), 0.5 * (right - left)
    value[0], value[1], value[2] = least - s * mean + tilt * x + b * root, tilt + b * unit, b * bent
    # d wing / d logit.
    d_left, d_right = left * (1.0 - left / steepest), right * (1.0 - right / steepest)
    slope[0, 0], slope[1, 0], slope[2, 0] = least, 0.0, 0.0
    slope[0, 1] = d_left * (-0.5 * s * right / mean - 0.5 * x + 0.5 * root)
    slope[1, 1], slope[2, 1] = 0.5 * d_left * (unit - 1.0), 0.5 * d_left * bent
    slope[0, 2] = d_right * (-0.5 * s * left / mean + 0.5 * x + 0.5 * root)
    slope[1, 2], slope[2, 2] = 0.5 * d_right * (unit + 1.0), 0.5 * d_right * bent
    slope[0, 3], slope[1, 3], slope[2, 3] = -(tilt + b * unit), -b * bent, 3.0 * b * bent * x / (root * root)
    slope[0, 4], slope[1, 4] = s * (b * s / root - mean), -b * bent * x
    slope[2, 4] = b * bent * (2.0 - 3.0 * s * s / (root * root))


@numba.njit(cache=True, error_model="numpy")
def _add(miss: float, row: np.ndarray, weight: float, normal: np.ndarray, gradient: np.ndarray) -> None:
    """One residual `miss` with the derivatives `weight` times `row` into the normal equations."""
    for i in range(5):
        gradient[i] += miss * weight * row[i]
        for j in range(5):
            normal[i, j] += weight * weight * row[i] * row[j]


@numba.njit(cache=True, error_model="numpy")
def _loss(
    p: np.ndarray,
    begin: np.ndarray,
    k: np.ndarray,
    w: np.ndarray,
    root_weight: np.ndarray,
    asked: np.ndarray,
    floor_k: np.ndarray,
    floor_w: np.ndarray,
    numbers: tuple[float, float, float, float, float],
    normal: np.ndarray,
    gradient: np.ndarray,
) -> float:
    """The loss at `p`; `normal` and `gradient` are filled with J'J and J'r.

    Charbonnier's soft loss on the quotes, squares on the pull, on what `g` lacks and on what the floor is missed by.
    """
    steepest, pull, margin, hard, lift = numbers
    for i in range(5):
        gradient[i] = 0.0
        for j in range(5):
            normal[i, j] = 0.0
    value, slope, row = np.empty(3), np.empty((3, 5)), np.empty(5)
    loss = 0.0
    for i in range(len(k)):
        smile_at(k[i], p, steepest, value, slope)
        z = (value[0] - w[i]) * root_weight[i]
        far = math.sqrt(1.0 + z * z)
        soft = z / math.sqrt(0.5 * (1.0 + far))
        loss += soft * soft
        _add(soft, slope[0], root_weight[i] * (z / far / soft if abs(z) > 1e-9 else 1.0), normal, gradient)
    for i in range(5):
        away = pull * (p[i] - begin[i])
        loss += away * away
        gradient[i] += pull * away
        normal[i, i] += pull * pull
    for i in range(len(asked) if hard > 0.0 else 0):
        smile_at(asked[i], p, steepest, value, slope)
        a, v, d, c = asked[i], value[0], value[1], value[2]
        short = 1.0 - 0.5 * a * d / v
        miss = hard * (short * short - 0.25 * d * d * (1.0 / v + 0.25) + 0.5 * c - margin)
        if miss < 0.0:
            for j in range(5):
                row[j] = (
                    -short * a / v * (slope[1, j] - d / v * slope[0, j])
                    - 0.5 * d * (1.0 / v + 0.25) * slope[1, j]
                    + 0.25 * d * d / (v * v) * slope[0, j]
                    + 0.5 * slope[2, j]
                )
            loss += miss * miss
            _add(miss, row, hard, normal, gradient)
    for i in range(len(floor_k)):
        smile_at(floor_k[i], p, steepest, value, slope)
        miss = lift * (value[0] - floor_w[i])
        if miss < 0.0:
            loss += miss * miss
            _add(miss, slope[0], lift, normal, gradient)
    return loss


@numba.njit(cache=True, error_model="numpy")
def _step(normal: np.ndarray, gradient: np.ndarray, damping: float, held: np.ndarray, out: np.ndarray) -> None:
    """Marquardt's step by Gauss's elimination (damped, the matrix is positive definite); 0 where `held`."""
    table = np.empty((5, 6))
    for i in range(5):
        for j in range(5):
            table[i, j] = 0.0 if held[i] or held[j] else normal[i, j]
        table[i, i] = 1.0 if held[i] else normal[i, i] * (1.0 + damping) + 1e-12
        table[i, 5] = 0.0 if held[i] else -gradient[i]
    for i in range(5):
        for j in range(i + 1, 5):
            share = table[j, i] / table[i, i]
            for m in range(i, 6):
                table[j, m] -= share * table[i, m]
    for i in range(4, -1, -1):
        out[i] = table[i, 5]
        for j in range(i + 1, 5):
            out[i] -= table[i, j] * out[j]
        out[i] /= table[i, i]


@numba.njit(cache=True, error_model="numpy")
def descend(
    begin: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    k: np.ndarray,
    w: np.ndarray,
    root_weight: np.ndarray,
    asked: np.ndarray,
    floor_k: np.ndarray,
    floor_w: np.ndarray,
    numbers: tuple[float, float, float, float, float],
) -> np.ndarray:
    """The coordinates (5,) of least loss that a descent from `begin` within the box ends at.

    `numbers` are the steepest wing, the pull toward `begin`, the margin of g, and the weights of g and of the floor.
    """
    p, tried, step, held = np.empty(5), np.empty(5), np.empty(5), np.zeros(5, dtype=np.bool_)
    normal, gradient = np.empty((2, 5, 5)), np.empty((2, 5))
    for i in range(5):
        p[i] = min(max(begin[i], low[i]), high[i])
    now = 0
    loss = _loss(p, begin, k, w, root_weight, asked, floor_k, floor_w, numbers, normal[now], gradient[now])
    damping, calm = 1e-3, 0
    for _ in range(_ROUNDS):
        for i in range(5):
            slope = gradient[now, i]
            held[i] = (p[i] <= low[i] and slope > 0.0) or (p[i] >= high[i] and slope < 0.0)
        _step(normal[now], gradient[now], damping, held, step)
        for i in range(5):
            tried[i] = min(max(p[i] + step[i], low[i]), high[i])
        other = 1 - now
        found = _loss(tried, begin, k, w, root_weight, asked, floor_k, floor_w, numbers, normal[other], gradient[other])
        if found < loss:
            calm = calm + 1 if loss - found <= _GAIN * loss else 0
            for i in range(5):
                p[i] = tried[i]
            loss, now = found, other
            damping = max(damping / 5.0, 1e-12)
        else:
            damping *= 4.0
        if calm >= _TIMES or damping > 1e12:
            break
    return p
