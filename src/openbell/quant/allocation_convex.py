"""Allocators that are convex problems: least volatility, most Sharpe, equal risk.

The problems are skfolio's (`MeanRisk`, `RiskBudgeting`), handed to its solver Clarabel without the modelling layers
between: 3 ms for 60 names instead of 22 to 40, and no import of several seconds in each worker. The tests hold them
equal to skfolio's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from openbell.quant.allocation_moments import Floats, NotSolved, Room

#: Gap and infeasibility that Clarabel is asked for, relative to weights that sum to 1.
TOLERANCE = 1e-9
#: The same where there are exponential cones, on which it makes no further progress.
CONE_TOLERANCE = 1e-8


def min_volatility(covariance: Floats, room: Room) -> Floats:
    """``argmin w'Cw`` with ``sum w = 1``, ``0 <= w <= caps``, sectors within theirs; shape (n,)."""
    count = len(covariance)
    rows, limits = _caps(room, count)
    solution = _solved(
        _scaled(covariance),
        equalities=(np.ones((1, count)), np.ones(1)),
        inequalities=(np.vstack([-np.eye(count), rows]), np.concatenate([np.zeros(count), limits])),
    )
    return _whole(solution)


def max_sharpe(covariance: Floats, excess: Floats, room: Room) -> Floats:
    """``argmax (excess'w) / sqrt(w'Cw)`` with ``sum w = 1`` and the caps of `room`; shape (n,).

    Solved as ``min y'Cy`` with ``excess'y = 1`` and ``w = y / sum y`` (Charnes and Cooper; Schaible), in which every
    cap is homogeneous: ``y_i <= cap * sum y``.

    Raises
    ------
    NotSolved
        Where no expected return, or no portfolio that holds the caps, is above the risk-free rate: the ratio is then
        not concave, and its largest value says nothing about risk.
    """
    best = float(excess.max())
    if not best > 0:
        raise NotSolved(f"no expected return is above the risk-free rate (the best is {best:+.2%} a year over it)")
    count = len(covariance)
    rows, limits = _caps(room, count)
    # The last variable is the sum of the others: without it every cap would be a full row.
    held = np.vstack([np.hstack([-np.eye(count), np.zeros((count, 1))]), np.column_stack([rows, -limits])])
    try:
        solution = _solved(
            _padded(_scaled(covariance), 1),
            equalities=(
                np.vstack([np.append(excess / np.abs(excess).max(), 0.0), np.append(np.ones(count), -1.0)]),
                np.array([1.0, 0.0]),
            ),
            inequalities=(held, np.zeros(len(held))),
        )[:count]
    except NotSolved as failure:
        if "Infeasible" not in str(failure):
            raise
        raise NotSolved("no portfolio that holds the caps is expected to earn the risk-free rate") from failure
    return _whole(solution)


def risk_parity(covariance: Floats, room: Room) -> Floats:
    """Weights that share the variance equally, as far as the caps of `room` allow; shape (n,), sum 1.

    ``min y'Cy`` with ``sum log y >= 0``, ``w = y / sum y`` (Maillard, Roncalli and Teïletche 2010; Spinu 2013). Each
    logarithm is an exponential cone ``(t_i, 1, y_i)`` with ``sum t >= 0``.
    """
    count = len(covariance)
    rows, limits = _caps(room, count)
    # Variables: the weights y, their sum, and t.
    width = 2 * count + 1
    at = np.arange(count)
    whole = np.zeros((1, width))
    whole[0, :count], whole[0, count] = 1.0, -1.0
    held = np.zeros((1 + len(rows), width))
    held[0, count + 1 :] = -1.0
    held[1:, :count], held[1:, count] = rows, -limits
    cones = np.zeros((3 * count, width))
    cones[3 * at, count + 1 + at] = -1.0
    cones[3 * at + 2, at] = -1.0
    solution = _solved(
        _padded(_scaled(covariance), count + 1),
        equalities=(whole, np.zeros(1)),
        inequalities=(held, np.zeros(len(held))),
        exponentials=(cones, np.tile([0.0, 1.0, 0.0], count)),
    )[:count]
    return _whole(solution)


def _padded(matrix: Floats, more: int) -> Floats:
    """The matrix with `more` variables that it does not weigh."""
    return np.pad(matrix, (0, more))


def _scaled(covariance: Floats) -> Floats:
    """The covariance with a mean variance of 1: neither a solution nor the tolerance hangs on its unit."""
    scaled: Floats = covariance * (len(covariance) / np.trace(covariance))
    return scaled


def _whole(solution: Floats) -> Floats:
    """The solution as shares of its sum."""
    weights: Floats = solution / solution.sum()
    return weights


def _caps(room: Room, count: int) -> tuple[Floats, Floats]:
    """Rows and limits ``rows @ w <= limits`` of the caps that can bind, shapes (m, n) and (m,)."""
    rows, limits = [], []
    if room.name < 1.0:
        rows.append(np.eye(count))
        limits.append(np.full(count, room.name))
    if room.sectors is not None and room.sector < 1.0:
        rows.append(room.sectors)
        limits.append(np.full(len(room.sectors), room.sector))
    if not rows:
        return np.zeros((0, count)), np.zeros(0)
    return np.vstack(rows), np.concatenate(limits)


def _solved(
    quadratic: Floats,
    *,
    equalities: tuple[Floats, Floats],
    inequalities: tuple[Floats, Floats],
    exponentials: tuple[Floats, Floats] | None = None,
) -> Floats:
    """``argmin x'Qx / 2`` under ``Ax = b``, ``Gx <= h`` and ``e - Ex`` in exponential cones."""
    import clarabel
    from scipy import sparse

    kinds: list[Any] = [clarabel.ZeroConeT(len(equalities[1])), clarabel.NonnegativeConeT(len(inequalities[1]))]
    parts = [equalities, inequalities]
    if exponentials is not None:
        parts.append(exponentials)
        kinds += [clarabel.ExponentialConeT() for _ in range(len(exponentials[1]) // 3)]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    tolerance = TOLERANCE if exponentials is None else CONE_TOLERANCE
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix(np.triu(quadratic)),
        np.zeros(len(quadratic)),
        sparse.csc_matrix(np.vstack([left for left, _ in parts])),
        np.concatenate([right for _, right in parts]),
        kinds,
        settings,
    ).solve()
    if str(solution.status) != "Solved":
        raise NotSolved(f"the solver ended with `{solution.status}`")
    return np.asarray(solution.x, dtype=np.float64)
