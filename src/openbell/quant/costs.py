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
def trade_costs(
    notional_usd: float,
    commission_bp: float = ...,
    slippage_bp: float = ...,
    *,
    impact: float = ...,
    volatility_daily: float | None = ...,
    volume_usd: float | None = ...,
) -> tuple[float, float]: ...


@overload
def trade_costs(
    notional_usd: NDArray[np.float64],
    commission_bp: float = ...,
    slippage_bp: float = ...,
    *,
    impact: float = ...,
    volatility_daily: NDArray[np.float64] | None = ...,
    volume_usd: NDArray[np.float64] | None = ...,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...


def trade_costs(
    notional_usd: float | NDArray[np.float64],
    commission_bp: float = COMMISSION_BP,
    slippage_bp: float = SLIPPAGE_BP,
    *,
    impact: float = 0.0,
    volatility_daily: float | NDArray[np.float64] | None = None,
    volume_usd: float | NDArray[np.float64] | None = None,
) -> tuple[float | NDArray[np.float64], float | NDArray[np.float64]]:
    """Commission and slippage of trades, USD; slippage is the half-spread and, if asked for, market impact.

    Parameters
    ----------
    notional_usd : shares times price, any sign, shape () or (n,); must be finite.
    commission_bp, slippage_bp : basis points of absolute notional, 0 or more.
    impact : coefficient of the square-root impact, 0 or more; 0 is none, and 1 is the rule of thumb of the literature:
        a trade of a whole day's volume moves the price by one daily standard deviation.
    volatility_daily : standard deviation of the daily return, fraction, 0 or more. volume_usd : mean traded per day,
        above 0. Both of the notional's shape; needed where `impact` is not 0.

    Returns
    -------
    (commission_usd, slippage_usd)
        ``abs(notional) * commission_bp / 10_000`` and ``abs(notional) * slippage_bp / 10_000 + impact *
        volatility_daily * sqrt(abs(notional) / volume_usd) * abs(notional)``, of the input's shape, never negative.

    Raises
    ------
    BadInput
        A notional that is NaN or infinite, a negative number of basis points, or an impact without a known volatility
        and volume of every trade.

    References
    ----------
    Almgren, Thum, Hauptmann and Li (2005), Direct estimation of equity market impact, Risk 18, 58-62.
    Torre (1997), Barra market impact model handbook.
    """
    cost_rate(commission_bp, slippage_bp)
    if not np.all(np.isfinite(notional_usd)):
        raise BadInput("A notional must be a finite number of USD; a trade without a price has no cost and no place.")
    size = float(np.abs(notional_usd)) if np.ndim(notional_usd) == 0 else np.abs(notional_usd)
    slippage = size * slippage_bp * BASIS_POINT
    if impact != 0:
        slippage = slippage + _impact(size, impact, volatility_daily, volume_usd)
    return size * commission_bp * BASIS_POINT, slippage


def _impact(
    size_usd: float | NDArray[np.float64],
    impact: float,
    volatility_daily: float | NDArray[np.float64] | None,
    volume_usd: float | NDArray[np.float64] | None,
) -> float | NDArray[np.float64]:
    """The impact in USD, by the formula that the accounting has compiled."""
    from openbell.quant.accounting_kernel import impact_usd

    if not (np.isfinite(impact) and impact >= 0):
        raise BadInput(f"`impact` must be 0 or more; was {impact}.")
    if volatility_daily is None or volume_usd is None:
        raise BadInput(f"An `impact` of {impact} needs `volatility_daily` and `volume_usd` of every trade.")
    if np.shape(volatility_daily) != np.shape(size_usd) or np.shape(volume_usd) != np.shape(size_usd):
        raise BadInput(
            f"`volatility_daily` and `volume_usd` must have the shape of the notional, {np.shape(size_usd)}; they had "
            f"{np.shape(volatility_daily)} and {np.shape(volume_usd)}."
        )
    known = np.isfinite(volatility_daily) & np.isfinite(volume_usd) & (np.asarray(volume_usd) > 0)
    if not np.all(known & (np.asarray(volatility_daily) >= 0)):
        raise BadInput(
            "The impact of a trade needs a volatility of 0 or more and a volume above 0, both finite; one was not. "
            "Leave `impact` at 0 for names without them."
        )
    paid = impact_usd.py_func(size_usd, volatility_daily, volume_usd, impact)
    return float(paid) if np.ndim(size_usd) == 0 else np.asarray(paid, dtype=np.float64)


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
