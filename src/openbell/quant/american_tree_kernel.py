"""American exercise with dated dividends, and the one function of value that the volatility is sought in, compiled.

Dated dividends are escrowed: spot less the present value of what is paid until expiry moves lognormally, and the holder
gets the whole spot on exercise. The tree is Leisen and Reimer's, at two sizes, extrapolated. Exercise pays most just
before or just after a dividend, which no step of the tree hits. Whether to do so is decided at the step before, which
is too soon, and at the step after, which is too late, and the two values are weighted by where the date lies between.

References
----------
Leisen and Reimer (1996), Binomial models for option valuation, Applied Mathematical Finance 3, 319-346.
"""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math

import numba
import numpy as np

from openbell.quant.american_kernel import NODES, SCRATCH, put_value
from openbell.quant.black_kernel import black, normal_density
from openbell.quant.implied_volatility import (
    AT_BOUND,
    AT_INTRINSIC,
    BELOW_INTRINSIC,
    EXPIRED,
    NO_OPTION,
    NOT_FINITE,
    SOLVED,
    WORTHLESS,
)
from openbell.quant.implied_volatility_kernel import implied_deviation

#: A deviation under which the option is as good as certain, and an annual rate times years that is as good as none.
_CERTAIN, _FREE = 1e-7, 1e-10
#: Distance of the strike from the mean at which the tree is no longer centred on it, in deviations.
_OFF_CENTRE = 5.0
#: A price is met when it is this close, in shares of the strike; more volatility than this is not looked for.
_MET, _WILDEST = 5e-11, 100.0


@numba.njit(cache=True, error_model="numpy")
def _probability(z: float, steps: int) -> float:
    """Peizer and Pratt's second inversion: chance of an up move that puts the mean `z` deviations above the strike."""
    scaled = z / (steps + 1.0 / 3.0 + 0.1 / (steps + 1.0))
    return 0.5 + math.copysign(0.5 * math.sqrt(1.0 - math.exp(-scaled * scaled * (steps + 1.0 / 6.0))), z)


@numba.njit(cache=True, error_model="numpy")
def pending(years: float, until: float, rate: float, when: np.ndarray, amount: np.ndarray) -> float:
    """Value at `years` of the dividends paid after that and not after `until`."""
    total = 0.0
    for k in range(len(when)):
        if years < when[k] <= until:
            total += amount[k] * math.exp(-rate * (when[k] - years))
    return total


@numba.njit(cache=True, error_model="numpy")
def _ex_date(after: float, until: float, when: np.ndarray) -> int:
    """Place of the first dividend after one time and not after another; -1 if there is none."""
    for k in range(len(when)):
        if after < when[k] <= until:
            return k
    return -1


@numba.njit(cache=True, error_model="numpy")
def _tree(
    right: float,
    spot: float,
    strike: float,
    years: float,
    volatility: float,
    rate: float,
    dividend_yield: float,
    when: np.ndarray,
    amount: np.ndarray,
    steps: int,
    level: np.ndarray,
    value: np.ndarray,
    other: np.ndarray,
) -> float:
    """Value in one tree with an odd number of `steps`; `spot` without the dividends until expiry."""
    step = years / steps
    s = volatility * math.sqrt(years)
    d2 = (math.log(spot / strike) + (rate - dividend_yield) * years) / s - 0.5 * s
    d2 = min(max(d2, -_OFF_CENTRE), _OFF_CENTRE)
    p, tilted = _probability(d2, steps), _probability(d2 + s, steps)
    grown, factor = math.exp((rate - dividend_yield) * step), math.exp(-rate * step)
    up, down = grown * tilted / p, grown * (1.0 - tilted) / (1.0 - p)
    for j in range(steps + 1):
        level[j] = spot * math.exp(j * math.log(up) + (steps - j) * math.log(down))
        value[j] = max(right * (level[j] - strike), 0.0)
    rise, fall, back = factor * p, factor * (1.0 - p), 1.0 / down
    for i in range(steps - 1, -1, -1):
        now = i * step
        kept = pending(now, years, rate, when, amount)
        paid = right * (kept - strike)
        at = _ex_date(now, min(now + step, years), when)
        if at >= 0:
            wait = when[at] - now
            before = pending(now, years, rate, when[at:], amount[at:])
            after = before - amount[at] * math.exp(-rate * wait)
            owed = strike * math.exp(-rate * wait)
            committed, share = max(right * (before - owed), right * (after - owed)), wait / step
            early = right * math.exp(-dividend_yield * wait)
            late, settled = early / math.exp(-dividend_yield * step), committed / factor
            for j in range(i + 2):
                other[j] = max(value[j], late * level[j] + settled)
        for j in range(i + 1):
            level[j] *= back
            value[j] = max(rise * value[j + 1] + fall * value[j], right * level[j] + paid)
        if at >= 0:
            for j in range(i + 1):
                later = max(rise * other[j + 1] + fall * other[j], right * level[j] + paid)
                sooner = max(value[j], early * level[j] + committed)
                value[j] = sooner + share * (later - sooner)
    return float(value[0])


@numba.njit(cache=True, error_model="numpy")
def _certain(right: float, spot: float, strike: float, years: float, rate: float, dividend_yield: float) -> float:
    """Value without volatility or dated dividends: the best moment to exercise, known beforehand."""
    best = max(right * (spot - strike), 0.0)
    best = max(best, right * (spot * math.exp(-dividend_yield * years) - strike * math.exp(-rate * years)))
    if rate * dividend_yield > 0.0 and rate != dividend_yield:
        turn = math.log(rate * strike / (dividend_yield * spot)) / (rate - dividend_yield)
        if 0.0 < turn < years:
            best = max(best, right * (spot * math.exp(-dividend_yield * turn) - strike * math.exp(-rate * turn)))
    return best


@numba.njit(cache=True, error_model="numpy")
def american(
    right: float,
    spot: float,
    strike: float,
    years: float,
    volatility: float,
    rate: float,
    dividend_yield: float,
    when: np.ndarray,
    amount: np.ndarray,
    steps: int,
    w: np.ndarray,
) -> float:
    """Value of one American option; `w` is scratch of `scratch_floats(steps)`."""
    escrowed = pending(0.0, years, rate, when, amount)
    bare, s = spot - escrowed, volatility * math.sqrt(years)
    discount = math.exp(-rate * years)
    forward = bare * math.exp((rate - dividend_yield) * years)
    floor = max(discount * black(right, forward, strike, s), right * (spot - strike))
    earns, costs = (rate, dividend_yield) if right < 0.0 else (dividend_yield, rate)
    if escrowed == 0.0:
        if s < _CERTAIN:
            return _certain(right, spot, strike, years, rate, dividend_yield)
        if earns * years <= _FREE and costs >= earns - _FREE:
            return floor
        if earns >= 0.0:
            have, owe = (spot, strike) if right < 0.0 else (strike, spot)
            log = math.log(have / owe)
            return max(floor, owe * put_value(log, earns * years, costs * years, s, w[: NODES + 1], w[NODES + 1 :]))
    few, many = steps, 2 * steps + 1
    level, value, other = w[: many + 1], w[many + 1 : 2 * many + 2], w[2 * many + 2 : 3 * many + 3]
    s = max(s, 1e-4) / math.sqrt(years)
    coarse = _tree(right, bare, strike, years, s, rate, dividend_yield, when, amount, few, level, value, other)
    fine = _tree(right, bare, strike, years, s, rate, dividend_yield, when, amount, many, level, value, other)
    return max(floor, fine + (fine - coarse) * few / (many - few))


@numba.njit(cache=True)
def scratch_floats(steps: int) -> int:
    """How much scratch `american` wants."""
    return max(6 * steps + 6, NODES + 1 + SCRATCH)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def fill_american(
    inputs: tuple[np.ndarray, ...],
    when: np.ndarray,
    amount: np.ndarray,
    steps: int,
    out: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Write values to ``out[start:stop]``; NaN where an input is NaN or impossible, or dividends exceed the spot.

    The inputs: right, spot, strike, years, volatility, rate, dividend yield.
    """
    right, spot, strike, years, volatility, rate, dividend_yield = inputs
    w = np.empty(scratch_floats(steps))
    for i in range(start, stop):
        out[i] = np.nan
        known = abs(right[i]) == 1.0 and strike[i] > 0.0 and years[i] >= 0.0 and volatility[i] >= 0.0
        if not (known and math.isfinite(rate[i]) and math.isfinite(dividend_yield[i])):
            continue
        if not spot[i] > pending(0.0, years[i], rate[i], when, amount):
            continue
        if years[i] == 0.0:
            out[i] = max(right[i] * (spot[i] - strike[i]), 0.0)
            continue
        out[i] = american(
            right[i], spot[i], strike[i], years[i], volatility[i], rate[i], dividend_yield[i], when, amount, steps, w
        )


@numba.njit(cache=True, error_model="numpy")
def _european_guess(
    price: float, right: float, bare: float, strike: float, years: float, rate: float, dividend_yield: float
) -> float:
    """Volatility of a European option of that price, which lies above that of an American one; 1.0 where none is."""
    discount = math.exp(-rate * years)
    forward, value = bare * math.exp((rate - dividend_yield) * years), price / discount
    rest = max(right * (forward - strike), 0.0)
    smaller, bound = min(forward, strike), forward if right > 0.0 else strike
    if not (value - rest > 1e-14 * bound and bound - value > 1e-14 * bound):
        return 1.0
    share = (value - rest) / smaller
    return implied_deviation(-abs(math.log(forward / strike)), share, (bound - value) / smaller) / math.sqrt(years)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def fill_american_volatilities(
    inputs: tuple[np.ndarray, ...],
    when: np.ndarray,
    amount: np.ndarray,
    steps: int,
    volatility: np.ndarray,
    reason: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Write implied volatilities and reasons from price, right, spot, strike, years, rate and dividend yield."""
    price, right, spot, strike, years, rate, dividend_yield = inputs
    w = np.empty(scratch_floats(steps))
    for i in range(start, stop):
        volatility[i] = np.nan
        given = price[i] + right[i] + spot[i] + strike[i] + years[i] + rate[i] + dividend_yield[i]
        if not math.isfinite(given):
            reason[i] = NOT_FINITE
        elif not (abs(right[i]) == 1.0 and strike[i] > 0.0 and spot[i] > pending(0.0, years[i], rate[i], when, amount)):
            reason[i] = NO_OPTION
        elif years[i] <= 0.0:
            reason[i] = EXPIRED
        else:
            terms = (right[i], spot[i], strike[i], years[i], rate[i], dividend_yield[i])
            reason[i], volatility[i] = _sought(price[i], terms, when, amount, steps, w)


@numba.njit(cache=True, error_model="numpy")
def _sought(
    price: float,
    terms: tuple[float, float, float, float, float, float],
    when: np.ndarray,
    amount: np.ndarray,
    steps: int,
    w: np.ndarray,
) -> tuple[int, float]:
    """The reason, and the volatility where there is one: false position from the European one, or halving."""
    right, spot, strike, years, rate, paid = terms
    least = american(right, spot, strike, years, 0.0, rate, paid, when, amount, steps, w)
    noise = 1e-13 * max(spot, strike)
    if price <= least + (noise if least > 0.0 else 0.0):
        if price < least - noise or price < 0.0:
            return BELOW_INTRINSIC, np.nan
        return (AT_INTRINSIC if least > 0.0 else WORTHLESS), np.nan
    bare = spot - pending(0.0, years, rate, when, amount)
    met = _MET * strike
    low, gap_low, high = 0.0, least - price, _european_guess(price, right, bare, strike, years, rate, paid)
    gap_high = american(right, spot, strike, years, high, rate, paid, when, amount, steps, w) - price
    while gap_high < -met:
        low, gap_low, high = high, gap_high, 2.0 * high
        if high > _WILDEST:
            return AT_BOUND, np.nan
        gap_high = american(right, spot, strike, years, high, rate, paid, when, amount, steps, w) - price
    if abs(gap_high) <= met:
        return SOLVED, high
    s = high * math.sqrt(years)
    forward = bare * math.exp((rate - paid) * years)
    density = normal_density(math.log(forward / strike) / s + 0.5 * s)
    at = high - gap_high / (bare * math.exp(-paid * years) * density * math.sqrt(years) + 1e-300)
    for _ in range(100):
        if not low < at < high:
            at = 0.5 * (low + high)
        gap = american(right, spot, strike, years, at, rate, paid, when, amount, steps, w) - price
        if abs(gap) <= met or high - low <= 1e-13 * high:
            return SOLVED, at
        width = high - low
        if gap > 0.0:
            slope = (gap_high - gap) / (high - at)
            high, gap_high = at, gap
        else:
            slope = (gap - gap_low) / (at - low)
            low, gap_low = at, gap
        at = at - gap / slope
        if high - low > 0.5 * width and not abs(gap) < 0.1 * abs(gap_high - gap_low):
            at = 0.5 * (low + high)
    return SOLVED, at
