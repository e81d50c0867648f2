"""When an option is exercised: early by whoever holds what we are short, and at expiry by everyone.

Rules, not a lottery: who would gain by exercising today does so, and every short contract of that kind is assigned.
Real assignments are drawn among the writers, so the rule assigns at least as often as the market does.

References
----------
Options Clearing Corporation, Rule 805 (exercise by exception): options in the money by $0.01 or more at expiry are
exercised. Cboe, Covered calls, Early assignment: a short call in the money is likely assigned on the day before the
ex-dividend date when its time value is less than the dividend. Roll (1977), Journal of Financial Economics 5, 251-258,
and Geske and Shastri (1985), Journal of Financial and Quantitative Analysis 20, 207-219, for the theory of both rules.
"""

from __future__ import annotations

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.legs import CALL, PUT

#: Why a short contract is assigned before its expiry.
NOT_ASSIGNED, DIVIDEND, INTEREST = 0, 1, 2
#: Points in the money from which an option is exercised at expiry (OCC Rule 805).
EXERCISED_FROM = 0.01
_DAYS_PER_YEAR = 365.0


def intrinsic_values(right: np.ndarray, strike: np.ndarray, spot: float) -> np.ndarray:
    """Value of immediate exercise in points, shape (n,), never below 0."""
    return np.asarray(np.maximum(right * (spot - strike), 0.0))


def exercised_at_expiry(right: np.ndarray, strike: np.ndarray, spot: float) -> np.ndarray:
    """Whether each option is in the money by a cent or more at its last price, shape (n,).

    Half of a ten-thousandth of a point is forgiven, so that 100.01 - 100 counts as a cent in floating point.
    """
    return np.asarray(intrinsic_values(right, strike, spot) >= EXERCISED_FROM - 5e-5)


def overnight_interest(strike: np.ndarray, rate: float, days: float) -> np.ndarray:
    """What the strike earns from this session to the next, points, shape (n,): ``K (1 - exp(-r days / 365))``."""
    return np.asarray(strike * -np.expm1(-rate * days / _DAYS_PER_YEAR))


def early_assignments(
    right: np.ndarray,
    strike: np.ndarray,
    mark: np.ndarray,
    *,
    spot: float,
    next_dividend: float,
    rate: float,
    days_to_next_session: float,
) -> np.ndarray:
    """Which short American options are exercised against us after this close.

    Parameters
    ----------
    right : +1 call, -1 put, shape (n,). strike, mark : points, shape (n,); the mark is the mid of this close.
    spot : close of the underlying. next_dividend : points per share whose ex-date is the next session, else 0.
    rate : per year, continuously compounded. days_to_next_session : calendar days.

    Returns
    -------
    numpy.ndarray
        ``NOT_ASSIGNED``, ``DIVIDEND`` or ``INTEREST``, int8, shape (n,). With the time value ``mark - intrinsic``:

        * a call in the money is exercised on the session before the ex-date if its time value is below the dividend;
        * a put in the money is exercised if its time value and the dividend that its holder would still gain by
          waiting are together below what the strike earns until the next session. The comparison is of today against
          the next session, as for the call: against the interest of the whole remaining life it would exercise options
          that are worth more alive.

        A NaN mark is never assigned: without a price nobody can say what the time value is.

    Raises
    ------
    BadInput
        On a negative dividend or days that are not positive.
    """
    if not next_dividend >= 0:
        raise BadInput(f"`next_dividend` must be 0 or more points per share; was {next_dividend}.")
    if not days_to_next_session > 0:
        raise BadInput(f"`days_to_next_session` must be above 0; was {days_to_next_session}.")
    intrinsic = intrinsic_values(right, strike, spot)
    time_value, inside = mark - intrinsic, intrinsic > 0.0
    found = np.full(len(right), NOT_ASSIGNED, dtype=np.int8)
    found[(right == CALL) & inside & (time_value < next_dividend)] = DIVIDEND
    interest = overnight_interest(strike, rate, days_to_next_session)
    found[(right == PUT) & inside & (time_value + next_dividend < interest)] = INTEREST
    return found
