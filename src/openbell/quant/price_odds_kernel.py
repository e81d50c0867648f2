"""The odds that a trade's own price implies, compiled. Imported only where they are asked for."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math

import numba
import numpy as np

from openbell.quant.black_kernel import PEAK, mills_ratio
from openbell.quant.implied_volatility import SOLVED
from openbell.quant.implied_volatility_kernel import implied_deviation, why_not
from openbell.quant.price_odds import (
    EXPECTED_MOVE,
    HIGHEST_VOLATILITY,
    LOWEST_VOLATILITY,
    MARKET_VOLATILITY,
    NOTHING,
    PARITY_TOLERANCE,
    PREMIUM,
    QUOTES,
)

#: Volatilities at which the value of a structure is looked at before its roots are bisected, evenly apart in logarithm.
_GRID = 32
_BISECTIONS = 50
_GOLDEN = 0.6180339887498949
_ROUNDING = 16.0 * 2.220446049250313e-16


@numba.njit(cache=True, error_model="numpy", nogil=True)
def normal(z: float) -> float:
    """Distribution function of the standard normal."""
    tail = PEAK * math.exp(-0.5 * z * z) * mills_ratio(abs(z))
    return tail if z < 0.0 else 1.0 - tail


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _option(right: float, forward: float, strike: float, deviation: float) -> float:
    """Undiscounted value of one option, points."""
    d1 = math.log(forward / strike) / deviation + 0.5 * deviation
    return right * (forward * normal(right * d1) - strike * normal(right * (d1 - deviation)))


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _worth(right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, forward: float, deviation: float) -> float:
    """Mean payoff of the legs under a lognormal, points."""
    total = 0.0
    for leg in range(len(ratio)):
        if ratio[leg] != 0.0:
            total += ratio[leg] * _option(right[leg], forward, strike[leg], deviation)
    return total


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _profile(
    right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, premium: float, kinks: np.ndarray, values: np.ndarray
) -> tuple[int, float, float]:
    """Fill `kinks` (0 and the strikes, rising) and the profit at them; how many, the slope beyond, the rounding."""
    n, slope, size = 1, 0.0, abs(premium)
    kinks[0] = 0.0
    for leg in range(len(ratio)):
        if ratio[leg] == 0.0:
            continue
        size += abs(ratio[leg]) * strike[leg]
        if right[leg] > 0.0:
            slope += ratio[leg]
        at = n
        while at > 0 and kinks[at - 1] > strike[leg]:
            at -= 1
        if at > 0 and kinks[at - 1] == strike[leg]:
            continue
        for place in range(n, at, -1):
            kinks[place] = kinks[place - 1]
        kinks[at] = strike[leg]
        n += 1
    for place in range(n):
        values[place] = -premium
        for leg in range(len(ratio)):
            if ratio[leg] != 0.0:
                values[place] += ratio[leg] * max(right[leg] * (kinks[place] - strike[leg]), 0.0)
    return n, slope, _ROUNDING * size


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _wins(
    kinks: np.ndarray, values: np.ndarray, n: int, slope: float, level: float, low: np.ndarray, high: np.ndarray
) -> int:
    """Fill the stretches (low, high) on which the profit lies above `level`; how many. `high` may be inf."""
    count, inside = 0, values[0] > level
    if inside:
        low[0] = 0.0
    for place in range(n):
        here = values[place] - level
        last = place == n - 1
        after = (math.inf if slope > 0.0 else -math.inf if slope < 0.0 else here) if last else values[place + 1] - level
        if inside == (after > 0.0):
            continue
        if last:
            root = kinks[place] - here / slope
        else:
            root = kinks[place] + (kinks[place + 1] - kinks[place]) * here / (here - after)
        if inside:
            high[count] = root
            count += 1
        else:
            low[count] = root
        inside = not inside
    if inside:
        high[count] = math.inf
        count += 1
    return count


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _smiled(k: float, nodes: np.ndarray, deviations: np.ndarray, n: int) -> tuple[float, float]:
    """The deviation at log-moneyness `k` and its slope: linear between the nodes, level outside of them."""
    if k <= nodes[0]:
        return deviations[0], 0.0
    if k >= nodes[n - 1]:
        return deviations[n - 1], 0.0
    at = 1
    while nodes[at] < k:
        at += 1
    slope = (deviations[at] - deviations[at - 1]) / (nodes[at] - nodes[at - 1])
    return deviations[at - 1] + slope * (k - nodes[at - 1]), slope


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _call(forward: float, strike: float, nodes: np.ndarray, deviations: np.ndarray, n: int) -> float:
    """Undiscounted value of a call under the smile, points; one struck at 0 is the forward."""
    if strike <= 0.0:
        return forward
    return _option(1.0, forward, strike, _smiled(math.log(strike / forward), nodes, deviations, n)[0])


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _gain(
    forward: float, low: np.ndarray, high: np.ndarray, count: int, kinks: np.ndarray, values: np.ndarray, n: int,
    beyond: float, cost: float, nodes: np.ndarray, deviations: np.ndarray, smile: int,
) -> float:  # fmt: skip
    """Mean of what the profit exceeds the costs by where it does (0 elsewhere), points: calls at its every bend.

    The profit less the costs is a line between `kinks`, 0 at the ends of the stretches; `beyond` is its last slope.
    """
    total = 0.0
    for each in range(count):
        if low[each] <= 0.0:
            total += values[0] - cost
        before = 0.0
        for place in range(n):
            end = kinks[place + 1] if place + 1 < n else math.inf
            if end <= low[each] or kinks[place] >= high[each]:
                continue
            slope = (values[place + 1] - values[place]) / (end - kinks[place]) if place + 1 < n else beyond
            bend = max(kinks[place], low[each])
            total += (slope - before) * _call(forward, bend, nodes, deviations, smile)
            before = slope
        if high[each] < math.inf:
            total -= before * _call(forward, high[each], nodes, deviations, smile)
    return total


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _mean(
    forward: float, kinks: np.ndarray, values: np.ndarray, n: int, beyond: float,
    nodes: np.ndarray, deviations: np.ndarray, smile: int,
) -> float:  # fmt: skip
    """Mean profit before costs, points."""
    total, before = float(values[0]), 0.0
    for place in range(n):
        slope = (values[place + 1] - values[place]) / (kinks[place + 1] - kinks[place]) if place + 1 < n else beyond
        total += (slope - before) * _call(forward, kinks[place], nodes, deviations, smile)
        before = slope
    return total


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _below(forward: float, price: float, nodes: np.ndarray, deviations: np.ndarray, n: int) -> float:
    """Probability of an underlying below `price` under the smile through `nodes` (n log-moneynesses, rising).

    ``N(-d2) + n(d2) ds/dk``: the digital put, with the skew term. The deviation s is linear between the nodes and level
    outside of them.
    """
    if price <= 0.0:
        return 0.0
    if price == math.inf:
        return 1.0
    k = math.log(price / forward)
    s, slope = _smiled(k, nodes, deviations, n)
    d2 = -k / s - 0.5 * s
    return normal(-d2) + PEAK * math.exp(-0.5 * d2 * d2) * slope


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _chance(
    forward: float, low: np.ndarray, high: np.ndarray, count: int, nodes: np.ndarray, deviations: np.ndarray, n: int
) -> float:
    """Probability of the stretches; NaN where the smile's distribution function falls or leaves [0, 1]."""
    total, reached = 0.0, 0.0
    for each in range(count):
        start = _below(forward, low[each], nodes, deviations, n)
        stop = _below(forward, high[each], nodes, deviations, n)
        if not (reached <= start <= stop <= 1.0):
            return math.nan
        total += stop - start
        reached = stop
    return total


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _parity_forward(right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, mid: np.ndarray, price: float) -> float:
    """Mean of ``K + C - P`` over strikes with both rights; `price` without one; NaN where the two do not belong."""
    total, count = 0.0, 0
    for call in range(len(ratio)):
        for put in range(len(ratio)):
            if ratio[call] == 0.0 or ratio[put] == 0.0 or right[call] < 0.0 or right[put] > 0.0:
                continue
            if strike[call] == strike[put]:
                total += strike[call] + mid[call] - mid[put]
                count += 1
    forward = total / count if count else price
    return forward if abs(forward / price - 1.0) <= PARITY_TOLERANCE else math.nan


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _smile(
    right: np.ndarray,
    strike: np.ndarray,
    ratio: np.ndarray,
    mid: np.ndarray,
    forward: float,
    leg_deviation: np.ndarray,
    nodes: np.ndarray,
    deviations: np.ndarray,
) -> int:
    """Fill the deviation of each leg and the smile through them; how many nodes, 0 where a leg has no deviation."""
    solved = True
    for leg in range(len(ratio)):
        if ratio[leg] == 0.0:
            continue
        if why_not(mid[leg], right[leg], forward, strike[leg], 1.0, 1.0) != SOLVED:
            solved = False
            continue
        smaller, ahead = min(forward, strike[leg]), forward if right[leg] > 0.0 else strike[leg]
        value = mid[leg] - max(right[leg] * (forward - strike[leg]), 0.0)
        apart = -abs(math.log(forward / strike[leg]))
        leg_deviation[leg] = implied_deviation(apart, value / smaller, (ahead - mid[leg]) / smaller)
    return _nodes(strike, ratio, forward, leg_deviation, nodes, deviations) if solved else 0


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _nodes(
    strike: np.ndarray,
    ratio: np.ndarray,
    forward: float,
    leg_deviation: np.ndarray,
    nodes: np.ndarray,
    deviations: np.ndarray,
) -> int:
    """The legs by strike; where two share one, the mean of their deviations."""
    n = 0
    shared = np.ones(len(ratio))
    for leg in range(len(ratio)):
        if ratio[leg] == 0.0:
            continue
        k = math.log(strike[leg] / forward)
        at = n
        while at > 0 and nodes[at - 1] > k:
            at -= 1
        if at > 0 and nodes[at - 1] == k:
            shared[at - 1] += 1.0
            deviations[at - 1] += (leg_deviation[leg] - deviations[at - 1]) / shared[at - 1]
            continue
        for place in range(n, at, -1):
            nodes[place], deviations[place], shared[place] = nodes[place - 1], deviations[place - 1], shared[place - 1]
        nodes[at], deviations[at], shared[at] = k, leg_deviation[leg], 1.0
        n += 1
    return n


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _bisected(
    right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, forward: float, premium: float, low: float, high: float
) -> float:
    """The deviation between `low` and `high` at which the structure is worth `premium`; it lies between them."""
    rising = _worth(right, strike, ratio, forward, high) > premium
    for _ in range(_BISECTIONS):
        middle = math.sqrt(low * high)
        if (_worth(right, strike, ratio, forward, middle) > premium) == rising:
            high = middle
        else:
            low = middle
    return math.sqrt(low * high)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _turn(
    right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, forward: float, sign: float, low: float, high: float
) -> float:
    """The deviation between `low` and `high` at which ``sign * worth`` is largest, by golden section in logarithm."""
    a, b = math.log(low), math.log(high)
    for _ in range(40):
        left, beyond = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
        at_left = sign * _worth(right, strike, ratio, forward, math.exp(left))
        if at_left < sign * _worth(right, strike, ratio, forward, math.exp(beyond)):
            a = left
        else:
            b = beyond
    return math.exp(0.5 * (a + b))


@numba.njit(cache=True, error_model="numpy", nogil=True)
def deviations_worth(
    right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, forward: float, premium: float, years: float,
    found: np.ndarray,
) -> int:  # fmt: skip
    """Fill the deviations at which the structure is worth `premium`, rising; how many (at most ``len(found)``)."""
    root, count = math.sqrt(years), 0
    step = math.log(HIGHEST_VOLATILITY / LOWEST_VOLATILITY) / (_GRID - 1)
    at, gap = np.empty(_GRID), np.empty(_GRID)
    for place in range(_GRID):
        at[place] = LOWEST_VOLATILITY * root * math.exp(step * place)
        gap[place] = _worth(right, strike, ratio, forward, at[place]) - premium
    for place in range(1, _GRID):
        if (gap[place - 1] > 0.0) != (gap[place] > 0.0):
            if count < len(found):
                found[count] = _bisected(right, strike, ratio, forward, premium, at[place - 1], at[place])
                count += 1
        elif place + 1 < _GRID and (gap[place] > 0.0) == (gap[place + 1] > 0.0):
            sign = -1.0 if gap[place] > 0.0 else 1.0
            if sign * gap[place] < sign * gap[place - 1] or sign * gap[place] < sign * gap[place + 1]:
                continue
            if sign * gap[place] <= max(sign * gap[place - 1], sign * gap[place + 1]):
                continue
            turn = _turn(right, strike, ratio, forward, sign, at[place - 1], at[place + 1])
            if sign * (_worth(right, strike, ratio, forward, turn) - premium) > 0.0 and count + 1 < len(found):
                found[count] = _bisected(right, strike, ratio, forward, premium, at[place - 1], turn)
                found[count + 1] = _bisected(right, strike, ratio, forward, premium, turn, at[place + 1])
                count += 2
    return count


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _chosen(found: np.ndarray, count: int, market: float) -> tuple[float, bool]:
    """Of several deviations the one nearest the market's in logarithm; without a market the largest, and a flag."""
    if count == 0:
        return math.nan, False
    best = found[count - 1]
    if not market > 0.0:
        return best, count > 1
    for each in range(count):
        if abs(math.log(found[each] / market)) < abs(math.log(best / market)):
            best = found[each]
    return best, False


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _one_deviation(
    right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, premium: float, price: float, move: float, years: float,
    market: float, found: np.ndarray,
) -> tuple[float, int, bool]:  # fmt: skip
    """The single deviation of a row that has no smile, where it comes from, and whether another one would do."""
    if 0.0 < move < price:
        return move / price, EXPECTED_MOVE, False
    if not years > 0.0:
        return math.nan, NOTHING, False
    ahead = market * math.sqrt(years)
    count = deviations_worth(right, strike, ratio, price, premium, years, found)
    if count > 0:
        deviation, ambiguous = _chosen(found, count, ahead)
        return deviation, PREMIUM, ambiguous
    return (ahead, MARKET_VOLATILITY, False) if ahead > 0.0 else (math.nan, NOTHING, False)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _usable(right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, premium: float, price: float) -> bool:
    """Whether there is a structure, a premium and a price to speak of."""
    legs = 0
    for leg in range(len(ratio)):
        if math.isnan(ratio[leg]):
            return False
        if ratio[leg] != 0.0:
            legs += 1
            if not (strike[leg] > 0.0 and abs(right[leg]) == 1.0):
                return False
    return legs > 0 and math.isfinite(premium) and price > 0.0


@numba.njit(cache=True, error_model="numpy", nogil=True)
def fill_price_odds(
    right: np.ndarray,
    strike: np.ndarray,
    ratio: np.ndarray,
    mid: np.ndarray,
    numbers: np.ndarray,
    out: np.ndarray,
    basis: np.ndarray,
    ambiguous: np.ndarray,
    leg_deviation: np.ndarray,
) -> None:
    """Write the odds of each row. `right`, `strike`, `ratio`, `mid`, `leg_deviation` are (p, L).

    `numbers` (6, p): premium, cost, price, expected move, years, market volatility. `out` (8, p): probability,
    deviation, forward, lowest and highest breakeven, 1 where the profit lies between them and 0 where it lies outside,
    mean profit after costs of a win, and of a loss.
    """
    legs = ratio.shape[1]
    kinks, values, low, high = np.empty(legs + 1), np.empty(legs + 1), np.empty(legs + 1), np.empty(legs + 1)
    nodes, deviations, found = np.empty(legs), np.empty(legs), np.empty(8)
    for row in range(len(ratio)):
        premium, cost, price, move, years, market = numbers[:, row]
        out[:, row], basis[row], ambiguous[row], leg_deviation[row] = math.nan, NOTHING, False, math.nan
        if not _usable(right[row], strike[row], ratio[row], premium, price):
            continue
        n, slope, rounding = _profile(right[row], strike[row], ratio[row], premium, kinks, values)
        out[3:6, row] = _ends(low, high, _wins(kinks, values, n, slope, rounding, low, high))
        count = _wins(kinks, values, n, slope, cost + rounding, low, high) if cost >= 0.0 else -1
        forward = _parity_forward(right[row], strike[row], ratio[row], mid[row], price)
        smile = 0
        if forward > 0.0:
            legs_of = right[row], strike[row], ratio[row], mid[row]
            smile = _smile(*legs_of, forward, leg_deviation[row], nodes, deviations)
        chance = _chance(forward, low, high, count, nodes, deviations, smile) if smile > 0 else math.nan
        if not math.isnan(chance):
            basis[row], out[2, row] = QUOTES, forward
            out[1, row] = _at_the_forward(nodes, deviations, smile)
        else:
            out[1, row], basis[row], ambiguous[row] = _one_deviation(
                right[row], strike[row], ratio[row], premium, price, move, years, market, found
            )
            if basis[row] == NOTHING:
                continue
            nodes[0], deviations[0], out[2, row] = 0.0, out[1, row], price
            chance = _chance(price, low, high, count, nodes, deviations, 1)
        if count < 0:
            continue
        out[0, row] = chance
        centre, smile = out[2, row], max(smile, 1) if basis[row] == QUOTES else 1
        gain = _gain(centre, low, high, count, kinks, values, n, slope, cost, nodes, deviations, smile)
        whole = _mean(centre, kinks, values, n, slope, nodes, deviations, smile) - cost
        out[6, row] = gain / chance if chance > 0.0 else 0.0
        out[7, row] = (whole - gain) / (1.0 - chance) if chance < 1.0 else 0.0


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _at_the_forward(nodes: np.ndarray, deviations: np.ndarray, n: int) -> float:
    return _smiled(0.0, nodes, deviations, n)[0]


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _ends(low: np.ndarray, high: np.ndarray, count: int) -> np.ndarray:
    """Lowest and highest breakeven, and whether the profit lies between them; NaN for an end that there is not."""
    ends = np.full(3, math.nan)
    if count == 1:
        ends[2] = 1.0
        if low[0] > 0.0:
            ends[0] = low[0]
        if high[0] < math.inf:
            ends[1] = high[0]
    elif count == 2 and low[0] == 0.0 and high[1] == math.inf:
        ends[0], ends[1], ends[2] = high[0], low[1], 0.0
    return ends
