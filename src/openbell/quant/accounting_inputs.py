"""What an account is opened with, checked and in the one form that the compiled kernel takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.costs import cost_rate

if TYPE_CHECKING:
    from openbell.quant.accounting_kernel import Book, Terms


def locked(values: np.ndarray) -> np.ndarray:
    """`values` as the kernel takes them: contiguous and read-only, whatever they were, so that it is compiled once."""
    view = np.ascontiguousarray(values, dtype=np.float64).view()
    view.flags.writeable = False
    return view


def _prices(name: str, prices: np.ndarray) -> np.ndarray:
    matrix = locked(prices)
    if np.ndim(prices) != 2:
        raise BadInput(f"`{name}` must have the shape (sessions, names); it had {np.ndim(prices)} dimension(s).")
    if not matrix.shape[1]:
        raise BadInput(f"`{name}` must hold the prices of at least 1 name; it held none.")
    wrong = np.isinf(matrix) | (matrix <= 0)
    if wrong.any():
        row, column = (int(each) for each in np.argwhere(wrong)[0])
        raise BadInput(
            f"`{name}` must be positive and finite, NaN where missing; {int(wrong.sum())} were not, the first at row "
            f"{row}, column {column}: {matrix[row, column]}. Let the quality gate quarantine it."
        )
    return matrix


def checked_terms(
    closes: np.ndarray,
    opens: np.ndarray | None,
    commission_bp: float,
    slippage_bp: float,
    impact: float,
    cash_return: float | np.ndarray,
    staleness_sessions: int,
    delisting_return: float,
) -> Terms:
    """What all portfolios share, checked."""
    from openbell.quant.accounting_kernel import Terms

    marks = _prices("closes", closes)
    fills = marks if opens is None else _prices("opens", opens)
    if fills.shape != marks.shape:
        raise BadInput(f"`opens` and `closes` must have one shape; they had {fills.shape} and {marks.shape}.")
    if np.shape(cash_return) not in {(), (len(marks),)}:
        raise BadInput(
            f"`cash_return` must be one number or one for each of the {len(marks)} sessions; its shape was "
            f"{np.shape(cash_return)}."
        )
    earned = locked(np.broadcast_to(np.asarray(cash_return, dtype=np.float64), len(marks)))
    if not (np.isfinite(earned) & (earned > -1)).all():
        raise BadInput("`cash_return` must be finite fractions per session above -1; one was not.")
    if not (np.isfinite(delisting_return) and delisting_return >= -1):
        raise BadInput(f"`delisting_return` must be a fraction of -1 or more; was {delisting_return}.")
    if not (np.isfinite(impact) and impact >= 0):
        raise BadInput(f"`impact` must be 0 or more; was {impact}.")
    if staleness_sessions < 0:
        raise BadInput(f"`staleness_sessions` must be 0 or more; was {staleness_sessions}.")
    rate = cost_rate(commission_bp, slippage_bp)
    return Terms(
        marks, fills, opens is not None, earned, int(staleness_sessions), float(delisting_return), rate, float(impact)
    )


def checked_rows(rows: Sequence[int] | np.ndarray, sessions: int) -> np.ndarray:
    """Rows of rebalances: rising strictly, each of them a session."""
    places = np.asarray(rows, dtype=np.int64)
    if places.ndim != 1 or (np.diff(places) <= 0).any() or (places < 0).any() or (places >= sessions).any():
        raise BadInput(
            f"The rows of the rebalances must rise strictly and lie in 0 to {sessions - 1}; they were "
            f"{places.tolist()}."
        )
    return places


def checked_weights(weights: np.ndarray, rows: np.ndarray, names: int) -> np.ndarray:
    """Weights of many portfolios, shape (k, r, m), whose rows are all NaN or 0 or more with a sum of at most 1."""
    if weights.shape[1:] != (len(rows), names):
        raise BadInput(
            f"The targets must be {names} finite weights for each rebalance; their shape was {weights.shape}."
        )
    sums, least = weights.sum(axis=2), weights.min(axis=2, initial=0.0)
    strange = ~np.isfinite(sums)
    for k, r in np.argwhere(strange):
        if not np.isnan(weights[k, r]).all():
            raise BadInput(f"The targets of row {rows[r]} must be {names} finite weights, or all NaN to hold.")
    wrong = ~strange & ((least < 0.0) | (sums > 1.0 + 1e-9))
    if wrong.any():
        k, r = (int(each) for each in np.argwhere(wrong)[0])
        raise BadInput(
            f"The targets of row {rows[r]} must be 0 or more and sum to at most 1, the rest being cash; the smallest "
            f"was {least[k, r]:.6g} and the sum {sums[k, r]:.6g}."
        )
    return weights


def checked_liquidity(
    volatility: np.ndarray | None, volume_usd: np.ndarray | None, rows: np.ndarray, names: int, impact: float
) -> tuple[np.ndarray, np.ndarray]:
    """Volatility and volume at each rebalance; empty rows where there is no impact to compute."""
    if impact == 0:
        empty = locked(np.empty((len(rows), 0)))
        return empty, empty
    if volatility is None or volume_usd is None:
        raise BadInput(f"An `impact` of {impact} needs both `volatility` and `volume_usd`; one was not given.")
    found = locked(volatility), locked(volume_usd)
    for name, matrix in zip(("volatility", "volume_usd"), found, strict=True):
        if matrix.shape != (len(rows), names):
            raise BadInput(f"`{name}` must have the shape {(len(rows), names)}; it was {matrix.shape}.")
        if (np.isinf(matrix) | (matrix < 0)).any():
            raise BadInput(f"`{name}` must be 0 or more and finite, NaN where unknown; one was not.")
    return found


def opened(names: int, capital_usd: float) -> Book:
    """A book that holds nothing but its capital."""
    from openbell.quant.accounting_kernel import Book

    if not (np.isfinite(capital_usd) and capital_usd > 0):
        raise BadInput(f"`capital_usd` must be above 0; was {capital_usd}.")
    return Book(
        units=np.zeros(names),
        price=np.zeros(names),
        notional=np.zeros(names),
        held=np.zeros(names, dtype=np.int64),
        stuck=np.zeros(names, dtype=np.bool_),
        purse=np.array([capital_usd, capital_usd], dtype=np.float64),
        counts=np.array([0, 0, -1, -1], dtype=np.int64),
    )
