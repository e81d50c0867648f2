"""Expected volume and open interest of modelled contracts, log-linear in what the real chains differ by.

With d the deviations from the forward to the strike (for open interest from where the spot has stood of late, which is
where positions were opened), o = d on the side out of the money and i on the side in it, both at least 0::

    ln volume        = relative + call, o of calls, o of puts, i, ln days, third Friday, Friday, round strikes,
                       call x return, |return|
    ln open interest = the same without call and the day's return, on its own coefficients but for the round strikes

times the day's own volume relative to its mean. They are expectations: rounded to whole contracts, no noise is added,
so the same day always gives the same chain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Terms of `volume_terms` and `open_interest_terms`, in the order of the scalars.
VOLUME = (
    "constant", "call", "outside_call", "outside_put", "inside", "log_days", "third_friday", "friday", "round_5",
    "round_20", "call_return", "absolute_return",
)  # fmt: skip
OPEN_INTEREST = ("constant", "outside_call", "outside_put", "inside", "log_days", "third_friday", "friday")
ROUND = (VOLUME.index("round_5"), VOLUME.index("round_20"))
#: Further out the fit saw next to nothing; the terms stand still there.
FURTHEST = 8.0


def volume_terms(
    deviations: Floats, right: Floats, days: Floats, third: Floats, friday: Floats, step: Floats, change: Floats
) -> Floats:
    """Columns of the terms `VOLUME`, (n, 12).

    Parameters
    ----------
    deviations : (n,) ln(K/F) over the at-the-money deviation. right : (n,) +1, -1. days : (n,) calendar, 1 or more.
    third, friday : (n,) whether the expiry is a third Friday, any Friday. step : (n,) strike over increment.
    change : (n,) log return of the underlying that day.
    """
    call = (right > 0).astype(np.float64)
    outside, inside = _sides(deviations, right)
    return np.column_stack(
        [np.ones(len(call)), call, outside * call, outside * (1 - call), inside, np.log(days), third, friday,
         *round_terms(step), call * change, np.abs(change)]
    )  # fmt: skip


def open_interest_terms(deviations: Floats, right: Floats, days: Floats, third: Floats, friday: Floats) -> Floats:
    """Columns of the terms `OPEN_INTEREST`, (n, 7); `deviations` are from where the spot has stood of late."""
    call = (right > 0).astype(np.float64)
    outside, inside = _sides(deviations, right)
    return np.column_stack(
        [np.ones(len(call)), outside * call, outside * (1 - call), inside, np.log(days), third, friday]
    )


def round_terms(step: Floats) -> tuple[Floats, Floats]:
    """Whether a strike, in increments, is a multiple of 5 and of 20."""
    whole = np.rint(step)
    exact = np.abs(step - whole) < 1e-6
    return (exact & (whole % 5 == 0)).astype(np.float64), (exact & (whole % 20 == 0)).astype(np.float64)


def _sides(deviations: Floats, right: Floats) -> tuple[Floats, Floats]:
    away = np.clip(deviations * right, -FURTHEST, FURTHEST)
    return np.maximum(away, 0.0), np.maximum(-away, 0.0)
