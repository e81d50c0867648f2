"""Black's formula and its Greeks, compiled. Imported only where options are priced: numba is slow to import.

Every compiled function that another kernel calls takes and gives plain numbers. But for `black` none branches or calls
the C library, so that a loop over them runs in vector registers. The loops work on blocks copied to one scratch array,
for only there can the compiler see that what is written is never read again.

References
----------
Black (1976), The pricing of commodity contracts, Journal of Financial Economics 3, 167-179.
Shepherd and Laframboise (1981), Chebyshev approximation of (1+2x)exp(x^2)erfc x, Mathematics of Computation 36, 249.
"""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math

import numba
import numpy as np

SQRT_HALF = 0.7071067811865476
#: Density of the standard normal distribution at 0.
PEAK = 0.3989422804014327
_PER_DAY = 1.0 / 365.0
#: Deviations from the mean at which the density is the smallest float that has all its digits.
_FAR = 37.6
#: Exponents that a float can hold the power of.
_ENDLESS = 700.0
#: Contracts that are worked on together.
BLOCK = 256
#: Rows of what `fill_greeks` writes.
PRICE, DELTA, GAMMA, THETA, VEGA, RHO, VANNA, VOMMA, CHARM = range(9)
GREEKS = 9
#: (1 + z) times Mills' ratio of z, as a polynomial in (z - 5) / (z + 5): a Chebyshev series made from 50 digits.
_MILLS = (
    1.1568486282918946,
    -0.22948753825211315,
    0.07778159886873554,
    0.0250721793016388,
    -0.0661776007789934,
    0.0615050458401865,
    -0.038026592187762366,
    0.01634823128102938,
    -0.004201290310663574,
    1.9530638370790786e-05,
    0.00045704381820007954,
    -0.0001343742785571135,
    -2.48054584472145e-05,
    2.270961270923768e-05,
    -1.7723438185601556e-07,
    -3.277287633208865e-06,
    3.2197131609042185e-07,
    4.91996233147834e-07,
    -6.738323465177047e-08,
    -7.758520236786343e-08,
    1.0082895646260188e-08,
    1.1032071151574336e-08,
    -1.0846925288860795e-09,
    -9.564832934712551e-10,
    6.288377855498677e-11,
)
#: (exp(x) - 1 - x) / x^2 for |x| <= ln(2) / 2, and (atanh(s) / s - 1) / s^2 in s^2 for |s| <= 0.1716, likewise.
_EXP = (
    0.5,
    0.1666666666666667,
    0.04166666666662416,
    0.008333333333326141,
    0.0013888888917198588,
    0.00019841269874802173,
    2.4801521319879672e-05,
    2.755725542387984e-06,
    2.762007691611333e-07,
    2.510520706464424e-08,
)
_ATANH = (
    0.3333333333333335,
    0.19999999999949503,
    0.14285714313086528,
    0.11111105553063545,
    0.09091445502524885,
    0.07665832399653132,
    0.07308546618779102,
)
#: ln(2) in two parts, the first with trailing zeros; 1.5 * 2^52, which pushes a whole number into the lowest bits.
_LN2_HIGH, _LN2_LOW, _PUSH = 0.6931471803691238, 1.9082149292705877e-10, 6755399441055744.0
_PUSH_BITS, _SQRT_HALF_BITS = 0x4338000000000000, 0x3FE6A09E667F3BCD


@numba.njit(cache=True, error_model="numpy", inline="always")
def exponential(x: float) -> float:
    """exp(x) for -708 <= x <= 708; relative error under 3e-16."""
    pushed = x * 1.4426950408889634 + _PUSH
    whole = pushed - _PUSH
    r = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    r2 = r * r
    k = _EXP
    even = k[0] + r2 * (k[2] + r2 * (k[4] + r2 * (k[6] + r2 * k[8])))
    odd = k[1] + r2 * (k[3] + r2 * (k[5] + r2 * (k[7] + r2 * k[9])))
    power = np.int64((np.float64(pushed).view(np.int64) + 1023) << 52).view(np.float64)
    return power * (1.0 + (r + r2 * (even + r * odd)))


@numba.njit(cache=True, error_model="numpy", inline="always")
def logarithm(x: float) -> float:
    """ln(x) of a normal number above 0; relative error under 4e-16, near 1 as well."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits - _SQRT_HALF_BITS) >> 52
    m = np.int64(bits - (exponent << 52)).view(np.float64)
    whole = np.int64(exponent + _PUSH_BITS).view(np.float64) - _PUSH
    s = (m - 1.0) / (m + 1.0)
    w = s * s
    k = _ATANH
    bend = w * (k[0] + w * (k[1] + w * (k[2] + w * (k[3] + w * (k[4] + w * (k[5] + w * k[6]))))))
    return whole * _LN2_HIGH + (2.0 * s + (2.0 * s * bend + whole * _LN2_LOW))


@numba.njit(cache=True, error_model="numpy", inline="always")
def mills_ratio(z: float) -> float:
    """Upper tail of the standard normal distribution over its density, for z >= 0; relative error under 5e-16."""
    k = _MILLS
    t = (z - 5.0) / (z + 5.0)
    t2 = t * t
    t4 = t2 * t2
    a = k[0] + t4 * (k[4] + t4 * (k[8] + t4 * (k[12] + t4 * (k[16] + t4 * (k[20] + t4 * k[24])))))
    b = k[1] + t4 * (k[5] + t4 * (k[9] + t4 * (k[13] + t4 * (k[17] + t4 * k[21]))))
    c = k[2] + t4 * (k[6] + t4 * (k[10] + t4 * (k[14] + t4 * (k[18] + t4 * k[22]))))
    d = k[3] + t4 * (k[7] + t4 * (k[11] + t4 * (k[15] + t4 * (k[19] + t4 * k[23]))))
    return ((a + t2 * c) + t * (b + t2 * d)) / (1.0 + z)


@numba.njit(cache=True, error_model="numpy", inline="always")
def normal_density(x: float) -> float:
    """Density of the standard normal distribution, as good as 0 from 37.6 on."""
    size = min(abs(x), _FAR)
    return PEAK * exponential(-0.5 * size * size)


@numba.njit(cache=True, error_model="numpy")
def normal_cdf(x: float) -> float:
    """Standard normal distribution function; absolute error under 3e-16, relative under 5e-16 times max(1, x^2)."""
    tail = normal_density(x) * mills_ratio(min(abs(x), _FAR))
    return tail if x < 0.0 else 1.0 - tail


@numba.njit(cache=True, error_model="numpy", inline="always")
def _value(right: float, forward: float, strike: float, moneyness: float, deviation: float) -> float:
    """Black's value where `deviation` is above 0: intrinsic and time value; `moneyness` is -|ln(forward / strike)|."""
    shift, half = moneyness / deviation, 0.5 * deviation
    d1 = shift + half
    density = normal_density(d1)
    tail = density * mills_ratio(min(abs(d1), _FAR))
    share = (1.0 - tail if d1 > 0.0 else tail) - density * mills_ratio(min(half - shift, _FAR))
    return max(right * (forward - strike), 0.0) + min(forward, strike) * max(share, 0.0)


@numba.njit(cache=True, error_model="numpy")
def black(right: float, forward: float, strike: float, deviation: float) -> float:
    """Undiscounted Black-76 value; `right` is +1 for a call and -1 for a put, `deviation` is sigma times sqrt(T).

    One option at a time the library's own exp and log are the faster ones; else this is `_value`.
    """
    intrinsic = max(right * (forward - strike), 0.0)
    if deviation <= 0.0 or strike <= 0.0 or forward <= 0.0:
        return intrinsic
    shift, half = -abs(math.log(forward / strike)) / deviation, 0.5 * deviation
    d1 = shift + half
    density = PEAK * math.exp(-0.5 * d1 * d1)
    tail = density * mills_ratio(min(abs(d1), _FAR))
    share = (1.0 - tail if d1 > 0.0 else tail) - density * mills_ratio(min(half - shift, _FAR))
    return intrinsic + min(forward, strike) * max(share, 0.0)


@numba.njit(cache=True, error_model="numpy")
def _price_block(w: np.ndarray) -> None:
    """Turn the six inputs in the blocks 0 to 5 of `w` into values in block 6."""
    for j in range(BLOCK):
        sign, f, x = w[j], w[j + BLOCK], w[j + 2 * BLOCK]
        years, sigma, discount = w[j + 3 * BLOCK], w[j + 4 * BLOCK], w[j + 5 * BLOCK]
        s = sigma * math.sqrt(max(years, 0.0))
        value = _value(sign, f, x, -abs(logarithm(f / x)), max(s, 1e-300))
        value = discount * (value if s > 0.0 else max(sign * (f - x), 0.0))
        known = (abs(sign) == 1.0) & (f > 0.0) & (x > 0.0) & (discount > 0.0) & (years >= 0.0) & (sigma >= 0.0)
        w[j + 6 * BLOCK] = value if known else np.nan


@numba.njit(cache=True, error_model="numpy", nogil=True)
def fill_prices(inputs: tuple[np.ndarray, ...], out: np.ndarray, start: int, stop: int) -> None:
    """Write values to ``out[start:stop]`` from right, forward, strike, years, volatility and discount."""
    w = np.ones(7 * BLOCK)
    for at in range(start, stop, BLOCK):
        n = min(BLOCK, stop - at)
        for k in range(6):
            w[k * BLOCK : k * BLOCK + n] = inputs[k][at : at + n]
        _price_block(w)
        out[at : at + n] = w[6 * BLOCK : 6 * BLOCK + n]


@numba.njit(cache=True, error_model="numpy")
def _greeks_block(w: np.ndarray) -> None:
    """Turn the nine inputs in the first blocks of `w` into the nine Greeks in the blocks after them.

    Without a deviation the density is 0 and the distribution a step, one half where forward and strike are equal.
    """
    for j in range(BLOCK):
        sign, spot, x = w[j], w[j + BLOCK], w[j + 2 * BLOCK]
        years, sigma, rate = w[j + 3 * BLOCK], w[j + 4 * BLOCK], w[j + 5 * BLOCK]
        dividend_yield, f, discount = w[j + 6 * BLOCK], w[j + 7 * BLOCK], w[j + 8 * BLOCK]
        known = (abs(sign) == 1.0) & (spot > 0.0) & (f > 0.0) & (x > 0.0) & (discount > 0.0)
        known = known & (years >= 0.0) & (sigma >= 0.0) & (abs(rate) < np.inf) & (abs(dividend_yield) < np.inf)
        root = math.sqrt(max(years, 0.0))
        moving = sigma * root > 0.0
        s = sigma * root if moving else 1.0
        log = logarithm(f / x)
        d1 = log / s + 0.5 * s
        d2 = d1 - s
        bell = normal_density(d1)
        density = bell if moving & (abs(d1) < _FAR) else 0.0
        tail1 = bell * mills_ratio(min(abs(d1), _FAR))
        tail2 = normal_density(d2) * mills_ratio(min(abs(d2), _FAR))
        first = tail1 if sign * d1 < 0.0 else 1.0 - tail1
        second = tail2 if sign * d2 < 0.0 else 1.0 - tail2
        ahead = sign * (f - x)
        step = 1.0 if ahead > 0.0 else 0.5 if ahead == 0.0 else 0.0
        first, second = first if moving else step, second if moving else step
        value = _value(sign, f, x, -abs(log), s) if moving else max(ahead, 0.0)
        carried, paid = discount * f, discount * x
        per_point, vega = carried / spot, carried * root * density
        bent, over_sigma = per_point * density, 1.0 / (sigma if moving else 1.0)
        over_years = 1.0 / (years if moving else 1.0)
        theta = sign * (dividend_yield * carried * first - rate * paid * second) - 0.5 * vega * sigma * over_years
        charm = sign * dividend_yield * per_point * first
        charm -= bent * ((rate - dividend_yield) / s - 0.5 * d2 * over_years)
        w[j + 9 * BLOCK] = discount * value if known else np.nan
        w[j + 10 * BLOCK] = sign * per_point * first if known else np.nan
        w[j + 11 * BLOCK] = bent / (spot * s) if known else np.nan
        w[j + 12 * BLOCK] = theta * _PER_DAY if known else np.nan
        w[j + 13 * BLOCK] = vega if known else np.nan
        w[j + 14 * BLOCK] = sign * paid * years * second if known else np.nan
        w[j + 15 * BLOCK] = -bent * d2 * over_sigma if known else np.nan
        w[j + 16 * BLOCK] = vega * d1 * d2 * over_sigma if known else np.nan
        w[j + 17 * BLOCK] = charm * _PER_DAY if known else np.nan


@numba.njit(cache=True, error_model="numpy")
def _carry_block(w: np.ndarray) -> None:
    """Write forward and discount, which rate and yield make of spot and years, to the blocks 7 and 8 of `w`."""
    for j in range(BLOCK):
        years, rate, dividend_yield = w[j + 3 * BLOCK], w[j + 5 * BLOCK], w[j + 6 * BLOCK]
        grown, paid = (rate - dividend_yield) * years, -rate * years
        fits = (abs(grown) < _ENDLESS) & (abs(paid) < _ENDLESS)
        w[j + 7 * BLOCK] = w[j + BLOCK] * exponential(grown if fits else 0.0) if fits else np.nan
        w[j + 8 * BLOCK] = exponential(paid if fits else 0.0)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def fill_greeks(inputs: tuple[np.ndarray, ...], out: np.ndarray, start: int, stop: int) -> None:
    """Write value and Greeks to the columns `start` to `stop` of `out`, (9, n); NaN where an input is impossible.

    The inputs: right, spot, strike, years, volatility, rate, dividend yield, and where they are known beforehand
    forward and discount.
    """
    w = np.ones(18 * BLOCK)
    count = len(inputs)
    for at in range(start, stop, BLOCK):
        n = min(BLOCK, stop - at)
        for k in range(count):
            w[k * BLOCK : k * BLOCK + n] = inputs[k][at : at + n]
        if count == 7:
            _carry_block(w)
        _greeks_block(w)
        for k in range(9):
            out[k, at : at + n] = w[(k + 9) * BLOCK : (k + 9) * BLOCK + n]
