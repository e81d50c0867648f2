"""What contracts are worth on the surfaces of their sessions: values, implied volatilities, Greeks, half-spreads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput
from openbell.quant.surfaces import Surfaces

if TYPE_CHECKING:
    from openbell.quant.surface_values_kernel import Grid

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceValues:
    """n contracts valued at the close of their session; every field has shape (n,).

    Attributes
    ----------
    value : points, discounted, European. years : to expiry, calendar days / 365. forward : points. discount : factor.
    volatility : of Black's formula that gives `value`, per year. at_the_money_volatility : at the forward, same expiry.
    half_spread : points; the quotes are ``max(value - half_spread, 0)`` and ``value + half_spread``.
    """

    value: Floats
    years: Floats
    forward: Floats
    discount: Floats
    volatility: Floats
    at_the_money_volatility: Floats
    half_spread: Floats


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceGreeks:
    """Greeks by Black at each contract's own volatility; shapes (n,), units as in `black.Greeks`."""

    delta: Floats
    gamma: Floats
    theta: Floats
    vega: Floats
    rho: Floats


def surface_values(
    surfaces: Surfaces,
    row: ArrayLike,
    right: ArrayLike,
    strike: ArrayLike,
    expiry: ArrayLike,
    *,
    calendar: ArrayLike | None = None,
) -> SurfaceValues:
    """Values of n contracts, each on the surface of one session.

    Parameters
    ----------
    row : (n,) session of the surfaces, at whose close the contract is valued.
    right : (n,) +1 call, -1 put. strike : (n,) points. expiry : (n,) datetime64[D]; they broadcast with `row`.
    calendar : (m,) sessions that the clock of surfaces without parameters counts, the first n those of the surfaces;
        needed for expiries after the last session of such surfaces.

    Returns
    -------
    SurfaceValues
        NaN on sessions without a surface and after the expiry. On the day of the expiry the value is the intrinsic
        one, and there is no volatility.

    Raises
    ------
    BadInput
        On rows outside the surfaces, strikes of 0 or less, other rights, or an expiry that the clock does not reach.
    """
    from openbell.quant.spread_kernel import half_spreads
    from openbell.quant.surface_values_kernel import AT_THE_MONEY, VALUE, VALUES, VOLATILITY, fill_values

    rows, sign, struck, last_day = _contracts(surfaces, row, right, strike, expiry)
    last = _on_clock(surfaces, last_day, calendar)
    out = np.empty((VALUES, len(rows)))
    fill_values(_grid(surfaces), rows, sign, struck, last_day.astype(np.int64), last, out)
    years = (last_day - surfaces.sessions.astype("datetime64[D]")[rows]).astype(np.int64) / 365.0
    carry = surfaces.rate[rows] - surfaces.dividend_yield[rows]
    spread = half_spreads(
        out[VALUE], surfaces.spot[rows], struck, years, out[AT_THE_MONEY], np.ascontiguousarray(surfaces.spread)
    )
    return SurfaceValues(
        value=out[VALUE],
        years=years,
        forward=surfaces.spot[rows] * np.exp(carry * years),
        discount=np.exp(-surfaces.rate[rows] * years),
        volatility=out[VOLATILITY],
        at_the_money_volatility=out[AT_THE_MONEY],
        half_spread=spread,
    )


def surface_greeks(
    surfaces: Surfaces, row: ArrayLike, right: ArrayLike, strike: ArrayLike, values: SurfaceValues
) -> SurfaceGreeks:
    """Greeks of the contracts that `values` were made of, smile standing still; NaN where there is no volatility."""
    from openbell.quant.black import greeks

    rows = np.asarray(row, dtype=np.int64)
    found = greeks(
        np.asarray(right, dtype=np.float64),
        surfaces.spot[rows],
        np.asarray(strike, dtype=np.float64),
        np.maximum(values.years, 0.0),
        values.volatility,
        surfaces.rate[rows],
        surfaces.dividend_yield[rows],
    )
    return SurfaceGreeks(found.delta, found.gamma, found.theta, found.vega, found.rho)


def at_the_money_volatility(
    surfaces: Surfaces, row: ArrayLike, days: ArrayLike, *, calendar: ArrayLike | None = None
) -> Floats:
    """Volatility at the forward, per year, `days` calendar days after each session; (n,), NaN without a surface.

    On a clock the expiry is taken at the last session that is not after that day.
    """
    rows, ahead = np.broadcast_arrays(np.asarray(row, dtype=np.int64), np.asarray(days, dtype=np.int64))
    expiry = surfaces.sessions.astype("datetime64[D]")[rows] + ahead
    spot = surfaces.spot[rows]
    return surface_values(
        surfaces, rows, 1.0, np.where(spot > 0, spot, 1.0), expiry, calendar=calendar
    ).at_the_money_volatility


def _contracts(
    surfaces: Surfaces, row: ArrayLike, right: ArrayLike, strike: ArrayLike, expiry: ArrayLike
) -> tuple[NDArray[np.int64], Floats, Floats, np.ndarray]:
    rows, sign, struck, last = np.broadcast_arrays(
        np.atleast_1d(np.asarray(row, dtype=np.int64)),
        np.asarray(right, dtype=np.float64),
        np.asarray(strike, dtype=np.float64),
        np.asarray(expiry, dtype="datetime64[D]"),
    )
    n = len(surfaces.sessions)
    if np.any((rows < 0) | (rows >= n)):
        raise BadInput(f"Rows of the surfaces go from 0 to {n - 1}; had {rows[(rows < 0) | (rows >= n)][0]}.")
    if np.any(np.abs(sign) != 1.0):
        raise BadInput(f"`right` must be +1 (call) or -1 (put); was {sign[np.abs(sign) != 1.0][0]}.")
    if np.any(~(struck > 0)):
        raise BadInput(f"A strike must be above 0; was {struck[~(struck > 0)][0]}.")
    if np.any(np.isnat(last)):
        raise BadInput("Every contract needs the date of its expiry; one had none.")
    # Copies: what is broadcast cannot be written to, and numba compiles a second time for that.
    return np.array(rows), np.array(sign), np.array(struck), np.array(last)


def _on_clock(surfaces: Surfaces, last_day: np.ndarray, calendar: ArrayLike | None) -> NDArray[np.int64]:
    """Place of each expiry on the clock: the last session that is not after it. Zeros where there is no clock."""
    if not np.isfinite(surfaces.displacement):
        return np.zeros(len(last_day), dtype=np.int64)
    known = np.asarray(surfaces.sessions if calendar is None else calendar, dtype="datetime64[D]")
    if len(known) > len(surfaces.clock):
        known = known[: len(surfaces.clock)]
    if len(last_day) and last_day.max() > known[-1]:
        raise BadInput(
            f"The variance clock is known up to {known[-1]}, and an expiry was {last_day.max()}. Hand in the "
            "`calendar` that the clock counts, or contracts that expire within it."
        )
    return np.asarray(np.searchsorted(known, last_day, side="right") - 1, dtype=np.int64)


def _grid(surfaces: Surfaces) -> Grid:
    from openbell.quant.surface_values_kernel import Grid

    def plain(values: np.ndarray) -> np.ndarray:
        """Contiguous and writeable: numba compiles a second time for an array that is locked."""
        return np.require(values, dtype=np.float64, requirements=["C", "W"])

    return Grid(
        surfaces.sessions.astype("datetime64[D]").astype(np.int64),
        plain(surfaces.spot),
        plain(surfaces.rate),
        plain(surfaces.dividend_yield),
        plain(surfaces.parameters),
        float(surfaces.displacement),
        plain(surfaces.clock),
    )
