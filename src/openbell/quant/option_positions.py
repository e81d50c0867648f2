"""Option positions as arrays, and what the compiled walk over their sessions takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.surfaces import Surfaces

if TYPE_CHECKING:
    from openbell.quant.option_paths_kernel import Book, Market


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """p positions of at most L legs each.

    Attributes
    ----------
    entry : (p,) row of the session at whose close they are filled; a row beyond the surfaces is not known yet.
    strike, right, ratio : (p, L) points, +1 call and -1 put, signed contracts; a ratio of 0 is padding.
    expiry : (p, L) row of the session on which the leg expires, beyond the surfaces where that is not known yet.
    expiry_date : (p, L) datetime64[D]; needed for rows beyond the surfaces, None takes the sessions'.
    am : (p, L) whether the leg settles on the open; None: none does.
    due : (p,) +1 where a credit is due, -1 a debit, 0 either; None: either.
    refused : (p,) reason, below 0, why the position cannot be had (not listed, say); None: none is.
    """

    entry: np.ndarray
    strike: np.ndarray
    right: np.ndarray
    ratio: np.ndarray
    expiry: np.ndarray
    expiry_date: np.ndarray | None = None
    am: np.ndarray | None = None
    due: np.ndarray | None = None
    refused: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.entry)


def _array(values: np.ndarray, kind: type = np.float64) -> np.ndarray:
    """Contiguous and writeable: numba compiles a second time for an array that is locked."""
    return np.require(values, dtype=kind, requirements=["C", "W"])


def market_of(surfaces: Surfaces, american: bool) -> Market:
    """The arrays of `surfaces`, as compiled code takes them."""
    from openbell.quant.option_paths_kernel import Market

    return Market(
        surfaces.sessions.astype("datetime64[D]").astype(np.int64),
        _array(surfaces.spot),
        _array(surfaces.settle),
        _array(surfaces.rate),
        _array(surfaces.dividend_yield),
        _array(surfaces.parameters),
        _array(surfaces.spread),
        float(surfaces.displacement),
        _array(surfaces.clock),
        bool(american),
    )


def book_of(surfaces: Surfaces, held: Positions) -> Book:
    """The arrays of `held`, checked."""
    from openbell.quant.option_paths_kernel import Book

    shape = held.strike.shape
    for name in ("right", "ratio", "expiry"):
        if getattr(held, name).shape != shape or len(shape) != 2 or shape[0] != len(held):
            raise BadInput(
                f"`{name}` of positions must have the shape of `strike`, (positions, legs); had "
                f"{getattr(held, name).shape} beside {shape}."
            )
    ratio, right = held.ratio.astype(np.int64), held.right.astype(np.int64)
    refused = np.zeros(shape[0], dtype=np.int8) if held.refused is None else held.refused.astype(np.int8)
    used = (ratio != 0) & (refused == 0)[:, None]
    if np.any(used & (np.abs(right) != 1)):
        raise BadInput("Only options are simulated: `right` must be +1 (call) or -1 (put) wherever `ratio` is not 0.")
    if np.any(held.entry < 0) or not used.any(axis=1)[refused == 0].all():
        raise BadInput("Every position needs an entry row of 0 or more and at least one leg.")
    if np.any(used & ~(held.strike > 0)):
        raise BadInput("Every strike must be above 0; mark a position that is not listed in `refused`.")
    am = np.zeros(shape, dtype=bool) if held.am is None else _array(held.am, np.bool_)
    due = np.zeros(shape[0], dtype=np.int8) if held.due is None else held.due.astype(np.int8)
    return Book(
        _array(held.entry, np.int64),
        _array(held.strike),
        _array(right, np.int64),
        _array(ratio, np.int64),
        _array(held.expiry, np.int64),
        _expiry_days(surfaces, held, used),
        am,
        due,
        refused,
    )


def _expiry_days(surfaces: Surfaces, held: Positions, used: np.ndarray) -> np.ndarray:
    """Calendar day of each leg's expiry, (p, L), 0 for padding."""
    n = len(surfaces.sessions)
    if held.expiry_date is None:
        if np.any(used & ((held.expiry >= n) | (held.expiry < 0))):
            raise BadInput(
                f"An expiry beyond the {n} sessions of the surfaces needs its date: hand in `expiry_date`, or "
                "simulate only what expires within them."
            )
        dates = surfaces.sessions.astype("datetime64[D]")[np.clip(held.expiry, 0, n - 1)]
    else:
        dates = held.expiry_date.astype("datetime64[D]")
        if np.any(used & np.isnat(dates)):
            raise BadInput("A leg has no expiry date; mark a position that is not listed in `refused`.")
    return np.where(used, dates.astype(np.int64), 0)
