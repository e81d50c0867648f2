"""What trading costs: the one cost function of the back-test, the trade list and the broker (S2.08)."""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput

BASIS_POINT = 1e-4
COMMISSION_BP = 1.0
SLIPPAGE_BP = 2.0


def cost_rate(commission_bp: float = COMMISSION_BP, slippage_bp: float = SLIPPAGE_BP) -> float:
    """Commission and slippage together as a fraction of notional; both in basis points, finite and not negative."""
    for name, value in (("commission_bp", commission_bp), ("slippage_bp", slippage_bp)):
        if not (np.isfinite(value) and value >= 0):
            raise BadInput(f"`{name}` must be 0 or more basis points; was {value}.")
    return (commission_bp + slippage_bp) * BASIS_POINT


@overload
def trade_costs(notional_usd: float, commission_bp: float = ..., slippage_bp: float = ...) -> tuple[float, float]: ...


@overload
def trade_costs(
    notional_usd: NDArray[np.float64], commission_bp: float = ..., slippage_bp: float = ...
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...


def trade_costs(
    notional_usd: float | NDArray[np.float64],
    commission_bp: float = COMMISSION_BP,
    slippage_bp: float = SLIPPAGE_BP,
) -> tuple[float | NDArray[np.float64], float | NDArray[np.float64]]:
    """Commission and slippage of trades, USD.

    Parameters
    ----------
    notional_usd : shares times price, any sign, shape () or (n,); must be finite.
    commission_bp, slippage_bp : basis points of absolute notional, 0 or more.

    Returns
    -------
    (commission_usd, slippage_usd)
        Each ``abs(notional) * bp / 10_000``, of the input's shape, never negative.

    Raises
    ------
    BadInput
        A notional that is NaN or infinite, or a negative number of basis points.
    """
    cost_rate(commission_bp, slippage_bp)
    if not np.all(np.isfinite(notional_usd)):
        raise BadInput("A notional must be a finite number of USD; a trade without a price has no cost and no place.")
    size = np.abs(notional_usd)
    if np.ndim(size) == 0:
        return float(size) * commission_bp * BASIS_POINT, float(size) * slippage_bp * BASIS_POINT
    return size * commission_bp * BASIS_POINT, size * slippage_bp * BASIS_POINT


def turnover(notionals_usd: ArrayLike, value_usd: float) -> float:
    """One-way turnover ``sum(abs(notional)) / (2 * value)`` as a fraction of the account (S2.09).

    Parameters
    ----------
    notionals_usd : of all trades, any sign, shape (n,), finite; an empty one gives 0.
    value_usd : value of the account, cash included, above 0.

    Raises
    ------
    BadInput
        A value that is not above 0, or a notional that is not finite.
    """
    if not (np.isfinite(value_usd) and value_usd > 0):
        raise BadInput(f"The value of the account must be above 0 USD to speak of turnover; was {value_usd}.")
    notionals = np.asarray(notionals_usd, dtype=np.float64)
    if not np.all(np.isfinite(notionals)):
        raise BadInput("The notionals of a turnover must be finite numbers of USD; one was not.")
    return float(np.abs(notionals).sum() / (2.0 * value_usd))
