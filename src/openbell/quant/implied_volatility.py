"""The volatility at which Black's formula gives the price, for whole chains at once, and why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openbell.quant.option_inputs import Numbers, aligned, run_in_parts

SOLVED, BELOW_INTRINSIC, AT_INTRINSIC, WORTHLESS, AT_BOUND, NOT_FINITE, EXPIRED, NO_OPTION = range(8)
#: What each code means, as a sentence.
REASONS: dict[int, str] = {
    SOLVED: "The volatility was found.",
    BELOW_INTRINSIC: "The price is under the intrinsic value against the forward, or negative: no volatility gives it.",
    AT_INTRINSIC: "The price is the intrinsic value: volatility 0, or too small to be seen in the price.",
    WORTHLESS: "The price is 0: volatility 0, or too small for any value.",
    AT_BOUND: "The price is at or above its upper bound, the discounted forward of a call or strike of a put.",
    NOT_FINITE: "An input is missing or endless.",
    EXPIRED: "The option has no time left.",
    NO_OPTION: "The right is not +1 or -1, or the forward, strike or discount is not above 0.",
}


@dataclass(frozen=True, slots=True, eq=False)
class Implied:
    """Implied volatilities, all of the same shape.

    Attributes
    ----------
    volatility : per year; NaN where there is none. reason : int8, a key of `REASONS`; `SOLVED` where there is one.
    """

    volatility: np.ndarray
    reason: np.ndarray

    @property
    def counts(self) -> dict[str, int]:
        """How many rows had each reason, by its sentence; only reasons that occurred."""
        codes, counts = np.unique(self.reason, return_counts=True)
        return {REASONS[int(code)]: int(count) for code, count in zip(codes, counts, strict=True)}


def implied_volatilities(
    price: Numbers,
    right: Numbers,
    forward: Numbers,
    strike: Numbers,
    years: Numbers,
    discount: Numbers = 1.0,
    *,
    threads: int = 1,
) -> Implied:
    """Volatility that each price of a European option implies.

    Parameters
    ----------
    price : discounted, points. right, forward, strike, years, discount, threads : as in `black.prices`.

    Returns
    -------
    Implied
        Of the broadcast shape. Quotes are what they are: a row without a solution is NaN with its reason, never an
        error, and never a bound of the search.

    Raises
    ------
    BadInput
        On shapes that do not broadcast.

    Notes
    -----
    The error of the deviation is under 1e-14 of itself for any log-moneyness to 500 and deviation from 1e-4 to 20, as
    far as the price carries it: where vega is small, the rounding of the price is what remains. In the money, time
    value below 4 units in the last place of the price cannot be told from none.

    References
    ----------
    Jaeckel (2015), Let's be rational, Wilmott 2015(75), 40-53.
    """
    from openbell.quant.implied_volatility_kernel import fill_volatilities

    given, shape = aligned(price=price, right=right, forward=forward, strike=strike, years=years, discount=discount)
    volatility, reason = np.empty(len(given[0])), np.empty(len(given[0]), dtype=np.int8)
    run_in_parts(
        lambda start, stop: fill_volatilities(tuple(given), volatility, reason, start, stop), len(reason), threads
    )
    return Implied(volatility.reshape(shape), reason.reshape(shape))
