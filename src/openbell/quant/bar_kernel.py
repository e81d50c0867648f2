"""The steps of bar programs, compiled. Imported only where a program runs: numba is slow to import.

All that is compiled stands in this one file: numba keeps what it has compiled, and notices a change in this file only.

One step is a row of whole numbers ``(operation, out, a, b, c, d, e, f)`` and one number. Registers hold one value each,
null is NaN, a truth is 0 or 1. The memory of a symbol is one array: a *ring* at offset `r` is the place of its newest
value, then its values; other steps keep single numbers there.

A window is walked from its oldest value to its newest, each time afresh. So what a finite window gives is the same to
the last bit whatever came before it, which running sums are not. A window of equal values has that value as its mean,
and 0 as its spread, exactly; a running sum leaves noise of 1e-17 there, which a ratio or a sign blows up.
"""
# mypy: disable-error-code="untyped-decorator, no-any-return"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np

#: Raised with every change of what a step gives; a part of each program's digest.
VERSION = 1
#: Numbers of one step.
FIELDS = 8

PLUS, MINUS, TIMES, OVER, FLOOR_OVER, MODULO, POWER = 0, 1, 2, 3, 4, 5, 6
GREATER, GREATER_EQUAL, EQUAL, UNEQUAL, AND, OR = 7, 8, 9, 10, 11, 12
CHOICE, FILLED, LARGER, SMALLER, NULL_AS_ZERO, CLIPPED = 14, 15, 16, 17, 18, 19
IS_NULL, IS_NOT_NULL, IS_FINITE, IS_INFINITE, NOT, TRUTH = 20, 21, 22, 23, 24, 25
ABSOLUTE, SIGN, NEGATED, LOG, LOG1P, EXP, SQRT, CBRT, FLOOR, CEIL = 26, 27, 28, 29, 30, 31, 32, 33, 34, 35
SINE, COSINE, TANH, ARCTAN = 36, 37, 38, 39
#: From here on the steps need the memory.
PUSH, SHIFT, CARRIED = 40, 41, 42
SUM, MEAN, SMALLEST, LARGEST, VARIANCE, DEVIATION, SKEWNESS, KURTOSIS = 43, 44, 45, 46, 47, 48, 49, 50
COVARIANCE, CORRELATION, QUANTILE, COUNT = 51, 52, 53, 54
WEIGHTED_SUM, WEIGHTED_SMALLEST, WEIGHTED_LARGEST = 55, 56, 57
EXPONENTIAL = 58

#: How a quantile between two values is taken, by Polars' names.
METHODS = ("Nearest", "Linear", "Lower", "Higher", "Midpoint")


class Plan(NamedTuple):
    """A program: steps (s, FIELDS), a number for each, and the weights and the longest window of all.

    `constants` are the registers before a bar; `inputs` and `results` those of the columns and of what is said.
    """

    steps: np.ndarray
    numbers: np.ndarray
    weights: np.ndarray
    constants: np.ndarray
    inputs: np.ndarray
    results: np.ndarray
    window: int


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _first(memory: Any, ring: int, length: int, window: int) -> int:
    """Place in `memory` of the oldest of the newest `window` values of a ring."""
    place = int(memory[ring]) - window + 1
    return ring + 1 + (place + length if place < 0 else place)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _mean(memory: Any, ring: int, length: int, window: int, least: int) -> tuple[float, int]:
    """Mean of the values that are there and their count; NaN where they are fewer than `least`."""
    at, end = _first(memory, ring, length, window), ring + 1 + length
    oldest, total, count, is_constant = math.nan, 0.0, 0, True
    for _ in range(window):
        x = memory[at]
        if x == x:
            if count == 0:
                oldest = x
            is_constant = is_constant and x == oldest
            total += x
            count += 1
        at += 1
        if at == end:
            at = ring + 1
    if count < least or count == 0:
        return math.nan, count
    return oldest if is_constant else total / count, count


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _moments(
    memory: Any, ring: int, length: int, window: int, least: int, highest: int
) -> tuple[float, float, float, int]:
    """Sums of the second, third and fourth powers of the distances from the mean, and the count."""
    mean, count = _mean(memory, ring, length, window, least)
    if mean != mean:
        return math.nan, math.nan, math.nan, count
    at, end = _first(memory, ring, length, window), ring + 1 + length
    second, third, fourth = 0.0, 0.0, 0.0
    for _ in range(window):
        x = memory[at]
        if x == x:
            distance = x - mean
            square = distance * distance
            second += square
            if highest > 2:
                third += square * distance
                fourth += square * square
        at += 1
        if at == end:
            at = ring + 1
    return second, third, fourth, count


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _sum(memory: Any, ring: int, length: int, window: int, least: int) -> float:
    at, end = _first(memory, ring, length, window), ring + 1 + length
    total, count = 0.0, 0
    for _ in range(window):
        x = memory[at]
        if x == x:
            total += x
            count += 1
        at += 1
        if at == end:
            at = ring + 1
    return total if count >= least else math.nan


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _extreme(memory: Any, ring: int, length: int, window: int, least: int, state: int, sign: float) -> float:
    """The largest value times `sign`, the newest among equals. The ring is longer than the window.

    `state` holds it, the rows since it came, and the count of values in the window. The window is walked again only
    where it has left; which value that finds does not depend on what came before.
    """
    x = memory[ring + 1 + int(memory[ring])] * sign
    gone = memory[_first(memory, ring, length, window + 1)]
    if gone == gone:
        memory[state + 2] -= 1.0
    if x == x:
        memory[state + 2] += 1.0
    memory[state + 1] += 1.0
    if x >= memory[state]:
        memory[state], memory[state + 1] = x, 0.0
    elif memory[state + 1] >= window:
        memory[state] = -math.inf
        at, end = _first(memory, ring, length, window), ring + 1 + length
        for age in range(window - 1, -1, -1):
            x = memory[at] * sign
            if x >= memory[state]:
                memory[state], memory[state + 1] = x, age
            at += 1
            if at == end:
                at = ring + 1
    return memory[state] * sign if memory[state + 2] >= least else math.nan


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _weighted(memory: Any, ring: int, length: int, window: int, weights: Any, first: int, kind: int) -> float:
    """Sum, smallest or largest of value times weight over a full window; NaN where a value is null."""
    at, end = _first(memory, ring, length, window), ring + 1 + length
    total, low, high = 0.0, math.inf, -math.inf
    for k in range(window):
        x = memory[at] * weights[first + k]
        if x != x:
            return math.nan
        total += x
        low, high = min(low, x), max(high, x)
        at += 1
        if at == end:
            at = ring + 1
    if kind == WEIGHTED_SUM:
        return total
    return low if kind == WEIGHTED_SMALLEST else high


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _paired(
    memory: Any, one: int, one_length: int, two: int, two_length: int, window: int, least: int
) -> tuple[float, float, float, int]:
    """Sums of squares of two rings, of their products, about their means, and the count of the pairs."""
    at, other = _first(memory, one, one_length, window), _first(memory, two, two_length, window)
    at_start, other_start = at, other
    at_end, other_end = one + 1 + one_length, two + 1 + two_length
    x0, y0, x_sum, y_sum, count = math.nan, math.nan, 0.0, 0.0, 0
    for _ in range(window):
        x, y = memory[at], memory[other]
        if x == x and y == y:
            if count == 0:
                x0, y0 = x, y
            x_sum += x - x0
            y_sum += y - y0
            count += 1
        at, other = at + 1, other + 1
        at = one + 1 if at == at_end else at
        other = two + 1 if other == other_end else other
    if count < least or count == 0:
        return math.nan, math.nan, math.nan, count
    x_mean, y_mean = x0 + x_sum / count, y0 + y_sum / count
    at, other = at_start, other_start
    xx, yy, xy = 0.0, 0.0, 0.0
    for _ in range(window):
        dx, dy = memory[at] - x_mean, memory[other] - y_mean
        if dx == dx and dy == dy:
            xx += dx * dx
            yy += dy * dy
            xy += dx * dy
        at, other = at + 1, other + 1
        at = one + 1 if at == at_end else at
        other = two + 1 if other == other_end else other
    return xx, yy, xy, count


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _quantile(
    memory: Any, ring: int, length: int, window: int, least: int, share: float, method: int, scratch: Any
) -> float:
    at, end = _first(memory, ring, length, window), ring + 1 + length
    count = 0
    for _ in range(window):
        x = memory[at]
        if x == x:
            place = count
            while place > 0 and scratch[place - 1] > x:
                scratch[place] = scratch[place - 1]
                place -= 1
            scratch[place] = x
            count += 1
        at += 1
        if at == end:
            at = ring + 1
    if count < least or count == 0:
        return math.nan
    exact = share * (count - 1)
    low, high = math.floor(exact), math.ceil(exact)
    if method == 0:
        return scratch[math.floor(exact + 0.5)]
    if method == 1:
        return scratch[low] + (exact - low) * (scratch[high] - scratch[low])
    if method == 4:
        return (scratch[low] + scratch[high]) / 2.0
    return scratch[low] if method == 2 else scratch[high]


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _counted(memory: Any, ring: int, length: int, window: int, least: int, state: int) -> float:
    """Sum of truths, kept running: whole numbers, so exact in any order. The ring is longer than the window."""
    newest = memory[ring + 1 + int(memory[ring])]
    gone = memory[_first(memory, ring, length, window + 1)]
    if newest == newest:
        memory[state] += newest
        memory[state + 1] += 1.0
    if gone == gone:
        memory[state] -= gone
        memory[state + 1] -= 1.0
    return memory[state] if memory[state + 1] >= least else math.nan


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _exponential(memory: Any, state: int, x: float, alpha: float, adjusted: int, least: int) -> float:
    """Exponential mean; `state` holds the mean, the weight of the past and the count of values so far.

    A null gives null and lets the past decay: behind it the newest value weighs ``a / (a + (1 - a)^(gap + 1))``.
    """
    if memory[state + 2] == 0.0:
        if x == x:
            memory[state], memory[state + 1], memory[state + 2] = x, 1.0, 1.0
        return x if least <= 1 else math.nan
    weight = memory[state + 1] * (1.0 - alpha)
    memory[state + 1] = weight
    if x != x:
        return math.nan
    new = 1.0 if adjusted else alpha
    # Written as Polars writes it: another order of the same arithmetic differs in the last bit.
    mean = memory[state] + (x - memory[state]) * (new / (weight + new))
    memory[state] = mean
    memory[state + 1] = weight + new if adjusted else 1.0
    memory[state + 2] += 1.0
    return mean if memory[state + 2] >= least else math.nan


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _spread(code: int, memory: Any, ring: int, length: int, window: int, least: int, ddof: int) -> float:
    """Variance, standard deviation, skewness or excess kurtosis of a window."""
    highest = 4 if code in (SKEWNESS, KURTOSIS) else 2
    second, third, fourth, count = _moments(memory, ring, length, window, least, highest)
    if code in (VARIANCE, DEVIATION):
        if count <= ddof:
            return math.nan
        variance = second / (count - ddof)
        return math.sqrt(variance) if code == DEVIATION else variance
    if second == 0.0:
        return math.nan
    m2 = second / count
    return (third / count) / (m2 * math.sqrt(m2)) if code == SKEWNESS else (fourth / count) / (m2 * m2) - 3.0


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _windowed(
    code: int, steps: Any, k: int, number: float, registers: Any, memory: Any, weights: Any, scratch: Any
) -> float:
    """One step that needs the memory."""
    ring, length, window, least = steps[k, 2], steps[k, 3], steps[k, 4], steps[k, 5]
    e, f = steps[k, 6], steps[k, 7]
    if code == CARRIED:
        for back in range(window):
            x = memory[_first(memory, ring, length, back + 1)]
            if x == x:
                return x
        return math.nan
    if code == SUM:
        return _sum(memory, ring, length, window, least)
    if code == MEAN:
        return _mean(memory, ring, length, window, least)[0]
    if code == SMALLEST:
        return _extreme(memory, ring, length, window, least, e, -1.0)
    if code == LARGEST:
        return _extreme(memory, ring, length, window, least, e, 1.0)
    if code == COUNT:
        return _counted(memory, ring, length, window, least, e)
    if code in (VARIANCE, DEVIATION, SKEWNESS, KURTOSIS):
        return _spread(code, memory, ring, length, window, least, int(number))
    if code == QUANTILE:
        return _quantile(memory, ring, length, window, least, number, e, scratch)
    if code == EXPONENTIAL:
        return _exponential(memory, e, registers[ring], number, f, least)
    if code in (COVARIANCE, CORRELATION):
        xx, yy, xy, count = _paired(memory, ring, length, e, f, window, least)
        if code == CORRELATION:
            return xy / math.sqrt(xx * yy)
        return xy / (count - number) if count > number else math.nan
    return _weighted(memory, ring, length, window, weights, e, code)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _compared(code: int, x: float, y: float) -> float:
    """Comparison and logic of three values: true, false and null."""
    if code == AND:
        if x == 0.0 or y == 0.0:
            return 0.0
        return math.nan if x != x or y != y else 1.0
    if code == OR:
        if x == 1.0 or y == 1.0:
            return 1.0
        return math.nan if x != x or y != y else 0.0
    if x != x or y != y:
        return math.nan
    if code == GREATER:
        return 1.0 if x > y else 0.0
    if code == GREATER_EQUAL:
        return 1.0 if x >= y else 0.0
    if code == EQUAL:
        return 1.0 if x == y else 0.0
    return 1.0 if x != y else 0.0


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _of_one(code: int, x: float) -> float:
    """A function of one value that is there."""
    if code == ABSOLUTE:
        return abs(x)
    if code == SIGN:
        return 1.0 if x > 0.0 else -1.0 if x < 0.0 else x
    if code == NEGATED:
        return -x
    if code == LOG1P:
        return math.log1p(x)
    if code == EXP:
        return math.exp(x)
    if code == SQRT:
        return math.sqrt(x)
    if code == CBRT:
        return np.cbrt(x)
    if code == FLOOR:
        return np.floor(x)
    if code == CEIL:
        return np.ceil(x)
    if code == NOT:
        return 1.0 - x
    if code == TRUTH:
        return 1.0 if x != 0.0 else 0.0
    if code == SINE:
        return math.sin(x)
    if code == COSINE:
        return math.cos(x)
    return math.tanh(x) if code == TANH else math.atan(x)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _step(steps: Any, numbers: Any, weights: Any, registers: Any, memory: Any, scratch: Any) -> None:
    """All steps of one bar of one symbol: `registers` hold its columns and the literals already."""
    for k in range(steps.shape[0]):
        code, out = steps[k, 0], steps[k, 1]
        if code >= PUSH:
            if code == PUSH:
                ring, length = steps[k, 2], steps[k, 3]
                place = int(memory[ring]) + 1
                place = 0 if place == length else place
                memory[ring] = place
                memory[ring + 1 + place] = registers[out]
            elif code == SHIFT:
                registers[out] = memory[_first(memory, steps[k, 2], steps[k, 3], steps[k, 4])]
            else:
                registers[out] = _windowed(code, steps, k, numbers[k], registers, memory, weights, scratch)
            continue
        x = registers[steps[k, 2]]
        y = registers[steps[k, 3]]
        if code == PLUS:
            z = x + y
        elif code == MINUS:
            z = x - y
        elif code == TIMES:
            z = x * y
        elif code == OVER:
            z = x / y
        elif code == FLOOR_OVER:
            z = np.floor(x / y)
        elif code == MODULO:
            z = x - np.floor(x / y) * y
        elif code == POWER:
            z = x * x if y == 2.0 else x**y if x == x and y == y else math.nan
        elif code <= OR:
            z = _compared(code, x, y)
        elif code == CHOICE:
            z = y if x == 1.0 else registers[steps[k, 4]]
        elif code == FILLED:
            z = x if x == x else y
        elif code == LARGER:
            z = x if y != y or x >= y else y
        elif code == SMALLER:
            z = x if y != y or x <= y else y
        elif code == NULL_AS_ZERO:
            z = x if x == x else 0.0
        elif code == CLIPPED:
            top = registers[steps[k, 4]]
            z = y if x < y else x
            z = top if z > top else z
        elif code == IS_NULL:
            z = 1.0 if x != x else 0.0
        elif code == IS_NOT_NULL:
            z = 1.0 if x == x else 0.0
        elif x != x:
            z = math.nan
        elif code == IS_FINITE:
            z = 1.0 if abs(x) < math.inf else 0.0
        elif code == IS_INFINITE:
            z = 1.0 if abs(x) == math.inf else 0.0
        elif code == LOG:
            z = math.log(x) if y == math.e else math.log(x) / math.log(y)
        else:
            z = _of_one(code, x)
        registers[out] = z


@numba.njit(cache=True, error_model="numpy", nogil=True)
def walk(plan: Any, memory: Any, which: Any, values: Any, blank: Any, out: Any) -> None:
    """Bars one after another, each of the symbol `which`; results into `out`, null where they are not finite.

    Each symbol has its row of `memory`, which goes on. Where `memory` has no row at all, the bars of a symbol stand
    together and begin with a `blank` one.
    """
    registers, scratch, own = plan.constants.copy(), np.empty(plan.window), blank.copy()
    keeps = memory.shape[0] > 0
    for k in range(which.shape[0]):
        if keeps:
            own = memory[which[k]]
        elif k > 0 and which[k] != which[k - 1]:
            # A loop, for an assignment of slices takes numba 4 s to compile: it can fail, and then says so at length.
            for place in range(blank.shape[0]):
                own[place] = blank[place]
        for place in range(plan.inputs.shape[0]):
            registers[plan.inputs[place]] = values[k, place]
        _step(plan.steps, plan.numbers, plan.weights, registers, own, scratch)
        for place in range(plan.results.shape[0]):
            x = registers[plan.results[place]]
            out[k, place] = x if abs(x) < math.inf else math.nan
