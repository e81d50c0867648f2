"""Forward and discount of American options: their quotes made European, then parity.

An American call less a put is only bounded by parity: either may be worth more than its European twin. So each mid near
the money gives its American volatility under the present rate and yield; the European value of that volatility replaces
the mid; parity through these gives the forward, and with it a new yield. It settles in a few rounds, for the premium of
early exercise is small near the money.

The rate is another matter: early exercise takes away part of what strikes say of it. Best is a rate from outside (the
European index options of the same moment). Without one, a single rate for all expiries is sought: the one that the
slopes of parity, made European at it, give back in the weighted median of the expiries of 0.2 to 1.1 years; where none
does, 3 % is taken. `RateSource` says which. On SPY of 2023-09-14 it comes out 0.7 % above that of SPX.

Dividends are taken as a yield that differs by expiry, ``rate - ln(F / S) / T``. What that leaves: with one large
dividend before an expiry the premium of calls is spread over the time instead of standing before the ex-date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from openbell.quant.carry import implied_spot
from openbell.quant.parity import RATE_LEVEL, Intervals, Parity, fitted, own_rate, why_not

Floats = NDArray[np.float64]

#: Strikes per expiry around the money that the forward is read from, and that the rate is sought with.
NEAREST, NEAREST_FOR_RATE = 15, 25
#: Expiries that the rate is sought with, in years: shorter ones do not know it, in longer ones exercise hides it.
RATE_YEARS = (0.2, 1.1)
#: The rate is sought between these, to this precision.
RATE_SOUGHT, RATE_PRECISION = (0.0, 0.10), 1e-3
#: What a yield in the place of dated dividends can be off by, as a share of the strike: no quote is believed closer.
UNEXPLAINED = 2e-4
_ROUNDS = 2


class RateSource(StrEnum):
    """Where the rate of an expiry comes from."""

    PARITY = "PARITY"  # of its own European quotes, smoothed over expiries
    GIVEN = "GIVEN"  # European quotes of the same moment, or the caller
    AMERICAN = "AMERICAN"  # one rate for all expiries, sought in American quotes
    ASSUMED = "ASSUMED"  # 3 %, because the quotes know none


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Mids of calls and puts of the same strikes of one expiry, (n,) each, in points, strikes rising.

    `half_width` is that of the interval call less put.
    """

    strike: Floats
    call: Floats
    put: Floats
    half_width: Floats

    def nearest(self, count: int) -> Pairs:
        """The `count` strikes around the one where call and put are worth the same."""
        if len(self.strike) <= count:
            return self
        middle = self.strike[np.argmin(np.abs(self.call - self.put))]
        rows = np.sort(np.argsort(np.abs(np.log(self.strike / middle)), kind="stable")[:count])
        return Pairs(self.strike[rows], self.call[rows], self.put[rows], self.half_width[rows])


def american_together(
    expiries: Sequence[Pairs], years: Floats, rates: Floats | None = None
) -> tuple[list[Parity], RateSource]:
    """Forward and discount of all expiries of one underlying and moment of American options.

    Parameters
    ----------
    expiries : (m,) pairs of each expiry. years : (m,) ACT/365.
    rates : (m,) known rates per year, NaN where an expiry is over; None where they are to be sought in the quotes.

    Returns
    -------
    list of Parity
        Shape (m,); bounds and residuals are those of the quotes made European. `rate_error` is NaN.
    RateSource
        Where the rates come from.
    """
    found = [_refusal(each, float(time)) for each, time in zip(expiries, years, strict=True)]
    good = [row for row, each in enumerate(found) if each is None]
    source = RateSource.GIVEN
    if rates is None:
        sought = sought_rate([expiries[row] for row in good], years[good])
        source = RateSource.ASSUMED if sought is None else RateSource.AMERICAN
        rates = np.full(len(years), RATE_LEVEL if sought is None else sought)
    near = [expiries[row].nearest(NEAREST) for row in good]
    spot = _near_spot(near, years[good], rates[good])
    for row, rows in zip(good, _european(near, years[good], rates[good], spot), strict=True):
        found[row] = replace(fitted(rows, float(years[row]), rate=float(rates[row])), rate_error=float("nan"))
    return [each for each in found if each is not None], source


def sought_rate(expiries: Sequence[Pairs], years: Floats) -> float | None:
    """The one rate that the slopes of parity give back when the quotes are made European at it; None where none does.

    What comes out less what goes in falls through 0 at the rate sought: below it the quotes ask for more, until early
    exercise explains them. It is looked for from low to high and then by halving.
    """
    inside = (years >= RATE_YEARS[0]) & (years <= RATE_YEARS[1])
    near = [each.nearest(NEAREST_FOR_RATE) for each, taken in zip(expiries, inside, strict=True) if taken]
    time = years[inside]
    if not near:
        return None
    spot = _near_spot(expiries, years, np.full(len(years), RATE_LEVEL))
    asked = np.linspace(*RATE_SOUGHT, 6)
    said = [_surplus(near, time, float(rate), spot) for rate in asked]
    falls = [at for at in range(len(asked) - 1) if said[at] > 0 >= said[at + 1]]
    if not falls:
        return None
    low, high = float(asked[falls[0]]), float(asked[falls[0] + 1])
    while high - low > RATE_PRECISION:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _surplus(near, time, middle, spot) > 0 else (low, middle)
    return 0.5 * (low + high)


def spot_of(years: Floats, found: Sequence[Parity]) -> float:
    """The spot that the forwards of `found` run back to; see `carry.implied_spot`."""
    rows = [row for row, each in enumerate(found) if each.why_not is None]
    forward, discount = (np.array([getattr(found[r], name) for r in rows]) for name in ("forward", "discount"))
    width = np.array([max(0.5 * (found[r].forward_high - found[r].forward_low), 1e-5 * found[r].forward) for r in rows])
    return implied_spot(years[rows], forward, discount, width)


def _refusal(pairs: Pairs, years: float) -> Parity | None:
    rows = Intervals(pairs.strike, pairs.call - pairs.put, pairs.half_width)
    return fitted(rows, years) if why_not(rows, years) is not None else None


def _surplus(near: list[Pairs], time: Floats, rate: float, spot: float) -> float:
    """The rate that comes out less `rate`: the median over the expiries, weighted by their precision; NaN is no say."""
    out, error = [], []
    for rows, years in zip(_european(near, time, np.full(len(time), rate), spot), time, strict=True):
        if len(rows.strike) >= NEAREST_FOR_RATE // 2:
            own, wrong = own_rate(rows, float(years))
            out.append(own - rate)
            error.append(wrong)
    if not out:
        return float("nan")
    order = np.argsort(out, kind="stable")
    share = np.cumsum((1.0 / np.array(error) ** 2)[order])
    return float(np.array(out)[order][np.searchsorted(share, 0.5 * share[-1])])


def _near_spot(pairs: Sequence[Pairs], time: Floats, rates: Floats) -> float:
    """The spot that the crossings of all expiries run back to; the near ones, which hardly know a rate, decide."""
    ahead = np.array([_crossing(each, float(rate * t)) for each, rate, t in zip(pairs, rates, time, strict=True)])
    width = np.array([float(np.median(each.nearest(NEAREST).half_width)) for each in pairs])
    return implied_spot(time, ahead, np.exp(-rates * time), width)


def _european(near: list[Pairs], time: Floats, rates: Floats, spot: float) -> list[Intervals]:
    """The intervals of each expiry with European values in the place of American mids; strikes without one fall out.

    The forward begins where call and put cross, which early exercise hardly moves, and settles with the yield.
    """
    rows = [Intervals(each.strike, each.call - each.put, each.half_width) for each in near]
    forward = np.array([_crossing(each, float(rate * t)) for each, rate, t in zip(near, rates, time, strict=True)])
    for _ in range(_ROUNDS if near else 0):
        rows = _made_european(near, time, rates, forward, spot)
        for at, (each, years) in enumerate(zip(rows, time, strict=True)):
            said = fitted(each, float(years), rate=float(rates[at]))
            forward[at] = forward[at] if said.why_not else said.forward
    return rows


def _crossing(pairs: Pairs, growth: float) -> float:
    """K + (call - put) / D in the median of the five strikes where call and put are closest."""
    rows = np.argsort(np.abs(pairs.call - pairs.put), kind="stable")[:5]
    return float(np.median(pairs.strike[rows] + (pairs.call - pairs.put)[rows] * np.exp(growth)))


def _made_european(near: list[Pairs], time: Floats, rates: Floats, ahead: Floats, spot: float) -> list[Intervals]:
    from openbell.quant import american, black

    size = [len(each.strike) for each in near]
    years, rate, forward = (np.repeat(each, size) for each in (time, rates, ahead))
    strike = np.concatenate([each.strike for each in near])
    paid = rate - np.log(forward / spot) / years
    value = []
    for right, mids in ((1, [each.call for each in near]), (-1, [each.put for each in near])):
        implied = american.american_implied_volatilities(np.concatenate(mids), right, spot, strike, years, rate, paid)
        value.append(black.prices(right, forward, strike, years, implied.volatility, np.exp(-rate * years)))
    cuts = np.cumsum(size)[:-1]
    out = []
    for pairs, call, put in zip(near, np.split(value[0], cuts), np.split(value[1], cuts), strict=True):
        good = np.isfinite(call + put)
        width = np.hypot(pairs.half_width, UNEXPLAINED * pairs.strike)
        out.append(Intervals(pairs.strike[good], (call - put)[good], width[good]))
    return out
