"""Forward and discount of American options: their quotes made European, then parity.

An American call less a put is only bounded by parity: either may be worth more than its European twin. So each mid near
the money gives its American volatility under the present rate and yield; the European value of that volatility replaces
the mid; parity through these gives the forward, and with it a new yield. It settles in a few rounds, for the premium of
early exercise is small near the money.

The rate is another matter: early exercise takes away part of what strikes say of it. Best is a rate from outside (the
European index options of the same moment). Without one, a single rate for all expiries is sought: the one that the
slopes of parity, made European at it, give back in the weighted median of the expiries of 0.2 to 1.1 years; where none
does, 3 % is taken. `RateSource` says which. On SPY of 2023-09-14 it comes out 1.3 % above that of SPX,
which moves the forward of three months by 0.01 %; on ten stocks of 2025-12-02 it comes out at 4.1 to 5.2 %.

Dividends are taken as a yield that differs by expiry, ``rate - ln(F / S) / T``. What that leaves: with one large
dividend before an expiry the premium of calls is spread over the time instead of standing before the ex-date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from openbell.quant.carry import implied_spot
from openbell.quant.parity import (
    FEWEST_STRIKES,
    RATE_LEVEL,
    Intervals,
    Parity,
    fitted,
    own_rate,
    weighted_median,
    why_not,
)

Floats = NDArray[np.float64]

#: Strikes per expiry around the money that the forward is read from, and that the rate is sought with.
NEAREST, NEAREST_FOR_RATE = 15, 25
#: Expiries that the rate is sought with, in years: shorter ones do not know it, in longer ones exercise hides it.
RATE_YEARS = (0.2, 1.1)
#: The rate is sought between these, to this precision.
RATE_SOUGHT, RATE_PRECISION = (0.0, 0.10), 1e-3
#: Quotes that ask for this much less than a rate of 0 still say 0; those that ask for less than that say nothing.
RATE_NEAR_ZERO = 0.02
#: What a yield in the place of dated dividends can be off by, as a share of the strike: no quote is believed closer.
UNEXPLAINED = 2e-4
#: An expiry this near says the spot by itself.
NEAR_EXPIRY_YEARS = 0.05
#: Forwards and the spot are settled where they move by less than this share.
FORWARD_PRECISION, SPOT_PRECISION = 1e-5, 5e-5
_ROUNDS, _ROUNDS_FOR_RATE, _ROUNDS_FOR_SPOT = 4, 6, 4


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
) -> tuple[list[Parity], RateSource, float]:
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
    float
        The spot that exercise was judged at: what the crossings of calls and puts run back to; NaN without an expiry.
    """
    found = [_refusal(each, float(time)) for each, time in zip(expiries, years, strict=True)]
    good = [row for row, each in enumerate(found) if each is None]
    source = RateSource.GIVEN
    if rates is None:
        sought = sought_rate([expiries[row] for row in good], years[good])
        source = RateSource.ASSUMED if sought is None else RateSource.AMERICAN
        rates = np.full(len(years), RATE_LEVEL if sought is None else sought)
    near = [expiries[row].nearest(NEAREST) for row in good]
    settled, spot = _with_its_spot(near, years[good], rates[good])
    for row, each in zip(good, settled, strict=True):
        found[row] = each
    return [each for each in found if each is not None], source, spot


def sought_rate(expiries: Sequence[Pairs], years: Floats) -> float | None:
    """The one rate that the slopes of parity give back when the quotes are made European at it; None where none does.

    What comes out less what goes in falls nearly in a straight line through 0 at the rate sought: below it the quotes
    ask for more, until early exercise explains them. It is found by false position. At a rate of 0 a call without
    dividends is European and so is a put, so that quotes which ask for less than 0 are taken to say 0.
    """
    inside = (years >= RATE_YEARS[0]) & (years <= RATE_YEARS[1])
    near = [each.nearest(NEAREST_FOR_RATE) for each, taken in zip(expiries, inside, strict=True) if taken]
    time = years[inside]
    if not near:
        return None
    spot = _near_spot(expiries, years, np.full(len(years), RATE_LEVEL))
    forward = _crossings(near, time, np.full(len(time), RATE_LEVEL))
    low, high = RATE_SOUGHT
    over, under = (_surplus(near, time, rate, spot, forward) for rate in (low, high))
    if not under < 0:
        return None
    if over <= 0:
        return low if over > -RATE_NEAR_ZERO else None
    rate = RATE_LEVEL
    for _ in range(_ROUNDS_FOR_RATE):
        before, rate = rate, low + (high - low) * over / (over - under)
        if abs(rate - before) < RATE_PRECISION:
            break
        said = _surplus(near, time, rate, spot, forward)
        if said > 0:
            low, over, under = rate, said, 0.5 * under
        else:
            high, under, over = rate, said, 0.5 * over
    return rate


def spot_of(years: Floats, found: Sequence[Parity]) -> float:
    """The spot that the forwards of `found` run back to; see `carry.implied_spot`."""
    rows = [row for row, each in enumerate(found) if each.why_not is None]
    forward, discount = (np.array([getattr(found[r], name) for r in rows]) for name in ("forward", "discount"))
    width = np.array([max(0.5 * (found[r].forward_high - found[r].forward_low), 1e-4 * found[r].forward) for r in rows])
    return implied_spot(years[rows], forward, discount, width)


def _refusal(pairs: Pairs, years: float) -> Parity | None:
    rows = Intervals(pairs.strike, pairs.call - pairs.put, pairs.half_width)
    return fitted(rows, years) if why_not(rows, years) is not None else None


def _surplus(near: list[Pairs], time: Floats, rate: float, spot: float, forward: Floats) -> float:
    """The rate that comes out less `rate`: the median over the expiries, weighted by their precision; NaN is no say."""
    out, error = [], []
    for rows, years in zip(_european(near, time, np.full(len(time), rate), spot, forward), time, strict=True):
        if len(rows.strike) >= NEAREST_FOR_RATE // 2:
            own, wrong = own_rate(rows, float(years))
            out.append(own - rate)
            error.append(wrong)
    if not out:
        return float("nan")
    return weighted_median(np.array(out), np.array(error) ** -2.0)


def _near_spot(pairs: Sequence[Pairs], time: Floats, rates: Floats) -> float:
    """The spot that the crossings of all expiries run back to; the near ones, which hardly know a rate, decide."""
    width = np.array([float(np.median(each.nearest(NEAREST).half_width)) for each in pairs])
    return implied_spot(time, _crossings(pairs, time, rates), np.exp(-rates * time), width)


def _european(near: list[Pairs], time: Floats, rates: Floats, spot: float, forward: Floats) -> list[Intervals]:
    """The intervals of each expiry with European values in the place of American mids; strikes without one fall out.

    `forward` (m,) is where the search for the yields begins, and is filled with where it ends.
    """
    rows: list[Intervals] = []
    for _ in range(_ROUNDS):
        rows = _made_european(near, time, rates, forward, spot)
        before = forward.copy()
        for at, (each, growth) in enumerate(zip(rows, np.exp(rates * time), strict=True)):
            if len(each.strike) >= FEWEST_STRIKES:
                forward[at] = weighted_median(each.strike + each.middle * growth, 1.0 / each.half_width)
        if np.all(np.abs(forward / before - 1.0) < FORWARD_PRECISION):
            break
    return rows


def _with_its_spot(near: list[Pairs], time: Floats, rates: Floats) -> tuple[list[Parity], float]:
    """Parity of each expiry, and the spot.

    Where an expiry is near, its crossing says the spot, and exercise matters little to it. Where all are far it does,
    and the spot is the one that the forwards made European at it run back to, found by secants.
    """
    found: list[Parity] = []
    if not near:
        return found, float("nan")
    tried: list[tuple[float, float]] = []
    forward, spot = _crossings(near, time, rates), _near_spot(near, time, rates)
    while True:
        rows = _european(near, time, rates, spot, forward)
        found = [fitted(each, float(t), rate=float(rate)) for each, t, rate in zip(rows, time, rates, strict=True)]
        tried.append((spot, spot_of(time, found) - spot))
        settled = not abs(tried[-1][1]) > SPOT_PRECISION * spot
        if settled or time.min() <= NEAR_EXPIRY_YEARS or len(tried) == _ROUNDS_FOR_SPOT:
            return found, spot
        spot = _next_spot(tried)


def _next_spot(tried: list[tuple[float, float]]) -> float:
    """Where the line through the last two (spot, what comes out less it) meets 0; after one, what came out."""
    y, g = tried[-1]
    x, f = tried[-2] if len(tried) > 1 else tried[-1]
    if g == f:
        return y + g
    return y - g * (y - x) / (g - f)


def _crossings(pairs: Sequence[Pairs], time: Floats, rates: Floats) -> Floats:
    """Forwards where call and put cross: K + (call - put) / D in the median of the five strikes with the least gap."""
    out = []
    for each, growth in zip(pairs, np.exp(rates * time), strict=True):
        rows = np.argsort(np.abs(each.call - each.put), kind="stable")[:5]
        out.append(float(np.median(each.strike[rows] + (each.call - each.put)[rows] * growth)))
    return np.array(out)


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
