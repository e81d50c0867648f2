"""Forward and discount of an expiry from put-call parity: what calls and puts of one strike say together.

A call less a put of the same strike K is worth D (F - K). Quotes give it as an interval per strike, from
``call_bid - put_ask`` to ``call_ask - put_bid``; a robust line through the middles, weighted by their width, gives D
and F without any guess of dividends or rates. American contracts obey parity as an inequality only; their quotes are
made European first (`quant.american_parity`).

Over a few days the discount is too close to 1 to be read off quotes: an error of 0.0002 in D is 10 % per year over one
day. So the rates of all expiries of a moment are smoothed together (`rate_curve`): each is drawn toward its neighbours,
the more so the less its own quotes say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput

Floats = NDArray[np.float64]

#: Below this many strikes with a call and a put quoted, two numbers cannot be told from an error in a third.
FEWEST_STRIKES = 3
#: Residuals beyond this many robust deviations do not count (Tukey, 95 % efficient under normal errors).
TUKEY = 4.685
#: Beyond this many deviations what forwards strikes say, and rates of expiries, count linearly (Huber).
HUBER = 1.345
#: A strike is rejected where the line misses its interval by more than this share of the interval's half-width.
MISSED = 0.5
#: Makers of markets shade a whole side of a chain together; this share of a half-spread does not average out.
SHADED = 0.1
#: Before any quote is seen: the level of rates, its deviation, that of one maturity against another, and the distance
#: in ln(years) over which that deviation builds up.
RATE_LEVEL, RATE_LEVEL_DEVIATION, RATE_SHAPE_DEVIATION, RATE_LENGTH = 0.03, 0.03, 0.01, 1.0
#: A rate outside of these is a fault in the quotes, not a rate.
RATE_RANGE = (-0.10, 0.50)
_ROUNDS = 25


@dataclass(frozen=True, slots=True)
class Parity:
    """What parity says of one expiry; forward, discount and bounds are NaN where `why_not` says why there is none.

    Attributes
    ----------
    forward, discount : F in points and D. rate : -ln(D) / years, continuously compounded.
    rate_error : standard error of the rate as the quotes of this expiry alone give it; NaN where it was given.
    forward_low, forward_high : the forwards that no used strike contradicts, given the discount: the highest of
        ``K + (call_bid - put_ask) / D`` and the lowest of ``K + (call_ask - put_bid) / D``. Where the used quotes
        contradict each other, low is above high.
    moved : points by which these bounds moved the robust estimate, which they do so that no used quote contradicts the
        forward; 0 where they hold it, or contradict each other.
    strikes : used. rejected : strikes with four good quotes whose interval the line misses by far.
    residual_bound : the largest distance of a used strike's middle from the line, in points.
    """

    forward: float
    discount: float
    rate: float
    rate_error: float
    forward_low: float
    forward_high: float
    moved: float
    strikes: int
    rejected: int
    residual_bound: float
    why_not: str | None = None

    @property
    def within_bounds(self) -> bool:
        """Whether the forward lies where every used quote allows it."""
        return self.forward_low <= self.forward <= self.forward_high


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Call less put per strike, (n,) each, in points: strikes rising, the middles and their half-widths (above 0)."""

    strike: Floats
    middle: Floats
    half_width: Floats


def intervals(
    strike: ArrayLike, call_bid: ArrayLike, call_ask: ArrayLike, put_bid: ArrayLike, put_ask: ArrayLike
) -> Intervals:
    """The intervals of the strikes where both the call and the put have a bid above 0 and an ask not under it.

    Parameters
    ----------
    strike : (n,) points, each once. call_bid, call_ask, put_bid, put_ask : (n,) points; NaN where there is no quote.

    Raises
    ------
    BadInput
        Where the shapes differ, or a strike stands there twice.
    """
    columns = [np.asarray(each, dtype=np.float64) for each in (strike, call_bid, call_ask, put_bid, put_ask)]
    if any(each.ndim != 1 or each.shape != columns[0].shape for each in columns):
        raise BadInput(
            "Parity needs one strike, call bid, call ask, put bid and put ask per row; the shapes were "
            f"{', '.join(str(each.shape) for each in columns)}."
        )
    if len(np.unique(columns[0])) < len(columns[0]):
        raise BadInput("Parity needs each strike once per expiry and settlement; one stood there twice.")
    k, cb, ca, pb, pa = columns
    quoted = (k > 0) & (cb > 0) & (ca >= cb) & (pb > 0) & (pa >= pb) & np.isfinite(ca + pa)
    order = np.flatnonzero(quoted)[np.argsort(k[quoted], kind="stable")]
    low, high = (cb - pa)[order], (ca - pb)[order]
    # A locked market has no width; the smallest price step keeps its weight finite.
    return Intervals(k[order], 0.5 * (low + high), np.maximum(0.5 * (high - low), 0.005))


def forward_and_discount(
    strike: ArrayLike,
    call_bid: ArrayLike,
    call_ask: ArrayLike,
    put_bid: ArrayLike,
    put_ask: ArrayLike,
    years: float,
    *,
    rate: float | None = None,
) -> Parity:
    """Forward and discount of one expiry of European options, by a robust line through the parity intervals.

    Parameters
    ----------
    strike, call_bid, call_ask, put_bid, put_ask : (n,) points; NaN or 0 where there is no quote.
    years : ACT/365 to the moment of expiry.
    rate : known rate per year, continuously compounded, for example of `rate_curve`; then only the forward is fitted.
        Without it the slope of the line gives the rate, combined with what is known before any quote (3 % ± 3 %)
        according to their errors.

    Returns
    -------
    Parity
        With `why_not` and NaN where the expiry is over, fewer than 3 strikes are usable, or the rate is no rate.

    References
    ----------
    Beaton and Tukey (1974), The fitting of power series, meaning polynomials, illustrated on band-spectroscopic data,
    Technometrics 16, 147-185.
    """
    return fitted(intervals(strike, call_bid, call_ask, put_bid, put_ask), years, rate=rate)


def fitted(rows: Intervals, years: float, *, rate: float | None = None) -> Parity:
    """`forward_and_discount` of intervals made before."""
    why = why_not(rows, years)
    if why is not None:
        return _refused(why)
    if rate is not None:
        return _at_rate(rows, years, rate, float("nan"))
    own, error = own_rate(rows, years)
    return _at_rate(rows, years, float(rate_curve([years], [own], [error])[0]), error)


def together(expiries: Sequence[Intervals], years: ArrayLike) -> list[Parity]:
    """Forward and discount of all expiries of one underlying and moment, their rates smoothed together.

    Parameters
    ----------
    expiries : (m,) intervals of each expiry. years : (m,) ACT/365.

    Returns
    -------
    list of Parity
        Shape (m,), each as of `fitted` with the rate of `rate_curve`.
    """
    times = np.asarray(years, dtype=np.float64)
    found = [
        _refused(why) if (why := why_not(rows, float(t))) else None for rows, t in zip(expiries, times, strict=True)
    ]
    good = [row for row, refused in enumerate(found) if refused is None]
    lines = [_line(expiries[row]) for row in good]
    own = np.array([_rate(line, float(times[row])) for line, row in zip(lines, good, strict=True)]).reshape(-1, 2)
    curve = rate_curve(times[good], own[:, 0], own[:, 1])
    for row, rate, error in zip(good, curve, own[:, 1], strict=True):
        found[row] = _at_rate(expiries[row], float(times[row]), float(rate), float(error))
    return [each for each in found if each is not None]


def rate_curve(years: ArrayLike, rate: ArrayLike, error: ArrayLike) -> Floats:
    """Rates of all expiries of a moment, each drawn toward its neighbours as far as its own error asks for.

    The posterior mean of a Gaussian process over ln(years): level 3 % ± 3 %, shape ± 1 % that decorrelates over a
    factor of e in maturity. An expiry that contradicts the rest gets a larger error (Huber) instead of a say.

    Parameters
    ----------
    years, rate, error : (m,) maturities above 0, rates as each expiry alone gives them, and their standard errors.

    Returns
    -------
    numpy.ndarray
        Shape (m,), rates per year, continuously compounded.

    References
    ----------
    Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, equation 2.23.
    """
    time, seen, noise = (np.asarray(each, dtype=np.float64) for each in (years, rate, error))
    if not (np.all(time > 0) and np.all(noise > 0)):
        raise BadInput("A rate curve needs maturities and errors above 0; one was not.")
    distance = (np.log(time)[:, None] - np.log(time)[None, :]) / RATE_LENGTH
    prior = RATE_LEVEL_DEVIATION**2 + RATE_SHAPE_DEVIATION**2 * np.exp(-0.5 * distance**2)
    variance = noise**2
    curve = seen
    for _ in range(4):
        curve = RATE_LEVEL + prior @ np.linalg.solve(prior + np.diag(variance), seen - RATE_LEVEL)
        variance = noise**2 * np.maximum(1.0, np.abs(seen - curve) / noise / HUBER)
    return curve


def why_not(rows: Intervals, years: float) -> str | None:
    """Why these intervals can have no forward; None where they may."""
    if not years > 0:
        return f"The expiry was over at the moment of the quotes ({years:.6f} years)."
    n = len(rows.strike)
    if n < FEWEST_STRIKES:
        return (
            f"Parity needs {FEWEST_STRIKES} strikes with both a call and a put that have a bid; this expiry has {n}, "
            "so it has no forward and no discount."
        )
    return None


def own_rate(rows: Intervals, years: float) -> tuple[float, float]:
    """The rate that the slope of the robust line through these intervals gives, and its standard error."""
    return _rate(_line(rows), years)


def _refused(why: str) -> Parity:
    nan = float("nan")
    return Parity(nan, nan, nan, nan, nan, nan, nan, 0, 0, nan, why)


@dataclass(frozen=True, slots=True)
class _Line:
    """The robust line through the middles; `error` is that of the slope."""

    slope: float
    level: float
    error: float


def _line(rows: Intervals) -> _Line:
    """Tukey's line by reweighting, begun at a median slope over long distances, so that no far fifth can turn it."""
    k, y, width = rows.strike, rows.middle, rows.half_width
    half = len(k) // 2
    apart = k[half:] - k[: len(k) - half]
    pairs = (y[half:] - y[: len(y) - half]) / apart
    slope = weighted_median(pairs, apart / (width[half:] + width[: len(k) - half]))
    level = weighted_median(y - slope * k, 1.0 / width)
    for _ in range(_ROUNDS):
        weight, scale = _weights((y - level - slope * k) / width)
        weight /= width**2
        centre = float(np.average(k, weights=weight))
        spread = float(np.sum(weight * (k - centre) ** 2))
        if not spread > 0:
            break
        before, slope = slope, float(np.sum(weight * (k - centre) * y)) / spread
        level = float(np.average(y, weights=weight)) - slope * centre
        if abs(slope - before) < 1e-12:
            break
    error = np.sqrt((scale**2 + SHADED**2 * len(k)) / spread) if spread > 0 else np.inf
    return _Line(slope, level, float(error))


def _location(said: Floats, width: Floats) -> float:
    """Huber's location, begun at the weighted median."""
    forward = weighted_median(said, 1.0 / width)
    for _ in range(_ROUNDS):
        missed = np.abs(said - forward) / width
        scale = max(1.4826 * float(np.median(missed)), SHADED)
        weight = np.minimum(1.0, HUBER * scale / np.maximum(missed, 1e-300)) / width**2
        before, forward = forward, float(np.average(said, weights=weight))
        if abs(forward - before) < 1e-12 * abs(forward):
            break
    return forward


def weighted_median(values: Floats, weight: Floats) -> float:
    """The lowest value at or below which half of the weight lies."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(share, 0.5 * share[-1])])


def _weights(missed: Floats) -> tuple[Floats, float]:
    """Tukey's weights of residuals in half-widths, and the robust scale; some weight is left wherever any residual is.

    The scale is no smaller than what makers shade: else the strikes that were printed by one formula would be all.
    """
    scale = max(1.4826 * float(np.median(np.abs(missed))), SHADED)
    return np.maximum(1.0 - (missed / (TUKEY * scale)) ** 2, 0.0) ** 2, scale


def _rate(line: _Line, years: float) -> tuple[float, float]:
    """Rate and its standard error; a line that rises has no discount and says nothing, with an error to match."""
    discount = -line.slope
    if discount <= 0:
        return RATE_LEVEL, 1e3
    return -float(np.log(discount)) / years, line.error / discount / years


def _at_rate(rows: Intervals, years: float, rate: float, error: float) -> Parity:
    """The forward given the rate: the location of K + middle / D; strikes that it misses by far are rejected."""
    if not RATE_RANGE[0] <= rate <= RATE_RANGE[1]:
        return _refused(f"The quotes imply a rate of {rate:.2%} per year, which no market pays; they are faulty.")
    discount = float(np.exp(-rate * years))
    said, width = rows.strike + rows.middle / discount, rows.half_width / discount
    forward = _location(said, width)
    good = np.abs(said - forward) <= (1.0 + MISSED) * width
    if np.count_nonzero(good) < FEWEST_STRIKES:
        return _refused(
            f"Calls and puts contradict each other: of {len(good)} strikes only {np.count_nonzero(good)} agree on a "
            f"forward near {forward:.2f}."
        )
    forward = _location(said[good], width[good])
    low, high = float(np.max((said - width)[good])), float(np.min((said + width)[good]))
    bounded = min(max(forward, low), high) if low <= high else forward
    return Parity(
        forward=bounded,
        discount=discount,
        rate=rate,
        rate_error=error,
        forward_low=low,
        forward_high=high,
        moved=bounded - forward,
        strikes=int(np.count_nonzero(good)),
        rejected=int(np.count_nonzero(~good)),
        residual_bound=float(np.max(np.abs(said - bounded)[good])) * discount,
    )
