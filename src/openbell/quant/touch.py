"""The probability that the underlying touches a price on its way to expiry."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.distributions import Distribution, Lognormal
from openbell.quant.empirical import Empirical

#: Exact for a lognormal with constant volatility and drift.
REFLECTION = "reflection"
#: Reflection at the volatility of the option struck at the level, and at the one of the digital there: the nearer the
#: level, the more of the first. See `probability_of_touch`.
BLENDED = "reflection at the volatilities of the option and the digital struck at the level"
#: Where no lognormal ends beyond the level as often as the density does.
OF_THE_OPTION = "reflection at the volatility of the option struck at the level"
#: Where the option struck at the level has no volatility either: it is worth less than rounding.
TWICE_THE_TAIL = "twice the probability of ending beyond the level"
#: Share of past windows whose closes reached the level.
COUNTED = "counted over past windows, at closes"
_STEPS = 400


@dataclass(frozen=True, slots=True)
class Touch:
    """Probability of touching a level before or at expiry.

    Attributes
    ----------
    probability : by `method`. low, high : under a density, bounds that hold for every continuous martingale that ends
        in it: it cannot touch less often than it ends beyond, nor more often than Doob's inequality over all calls (for
        a level below: puts) allows. Under a sample the interval of the share at 95 %; None where it is too small.
    """

    level: float
    probability: float
    low: float | None
    high: float | None
    method: str


def probability_of_touch(level: float, spot: float, distribution: Distribution | Empirical) -> Touch:
    """Probability that the underlying reaches `level` from `spot` before or at expiry.

    Exact for `Lognormal`, watched without a pause. A density of one moment does not say how its prices are reached: the
    answer is an approximation, named in `Touch.method`, kept within bounds that hold whatever the path. It takes the
    reflection p at the volatility of the option struck at the level, and q at the volatility of the digital there, and
    answers ``p p + (1 - p) q``: q knows the skew, which counts far away, and p does not overrate it near by. Against
    simulated paths of Heston's model with a strong skew it is within 0.05, and p or q alone within 0.13 and 0.21. Under
    a sample the windows are counted whose closes reached it, so moves within a session are not seen.

    Parameters
    ----------
    level, spot : points, above 0. distribution : of the price at expiry; its forward over `spot` gives the drift.

    References
    ----------
    Reiner and Rubinstein (1991), Breaking down the barriers, Risk 4(8), 28-35: the reflection with drift.
    Hobson (1998), Robust hedging of the lookback option, Finance and Stochastics 2, 329-347: the upper bound.
    """
    if not (level > 0 and spot > 0 and math.isfinite(level + spot)):
        raise BadInput(f"A level and a price of the underlying must be above 0; they were {level} and {spot}.")
    if isinstance(distribution, Empirical):
        return _counted(level, spot, distribution)
    if level == spot:
        return Touch(level, 1.0, 1.0, 1.0, REFLECTION)
    beyond = _beyond(level, spot, distribution)
    low, high = beyond, _doob(level, spot, distribution)
    if isinstance(distribution, Lognormal):
        return Touch(
            level, _reflected(level, spot, distribution.forward, distribution.deviation), low, high, REFLECTION
        )
    chance, method = _approximated(level, spot, distribution, beyond)
    return Touch(level, min(max(chance, low), high), low, high, method)


def _approximated(level: float, spot: float, distribution: Distribution, beyond: float) -> tuple[float, str]:
    forward = distribution.forward
    of_option, of_digital = _implied(level, spot, distribution), _matched(level, spot, forward, beyond)
    if of_option is None:
        return 2.0 * beyond, TWICE_THE_TAIL
    near = _reflected(level, spot, forward, of_option)
    if of_digital is None:
        return near, OF_THE_OPTION
    return near * near + (1.0 - near) * _reflected(level, spot, forward, of_digital), BLENDED


def _implied(level: float, spot: float, distribution: Distribution) -> float | None:
    """The deviation of ln S at which Black gives the option that pays beyond `level` its value under the density."""
    from openbell.quant.implied_volatility import implied_volatilities

    forward, at = distribution.forward, np.asarray([level])
    put = float((level * distribution.cdf(at) - distribution.partial_expectation(at))[0])
    worth, right = (put + forward - level, 1.0) if level > spot else (put, -1.0)
    found = float(np.ravel(implied_volatilities(worth, right, forward, level, 1.0, 1.0).volatility)[0])
    return found if found > 0 else None


def _counted(level: float, spot: float, sample: Empirical) -> Touch:
    reach = level / spot
    hit = sample.highest >= reach if reach >= 1.0 else sample.lowest <= reach
    share = float(np.mean(hit))
    low, high = sample.share_interval(share) or (None, None)
    return Touch(level, share, low, high, COUNTED)


def _beyond(level: float, spot: float, distribution: Distribution) -> float:
    below = float(distribution.cdf(np.asarray([level]))[0])
    return 1.0 - below if level > spot else below


def _reflected(level: float, spot: float, forward: float, deviation: float) -> float:
    """``N((m - b) / v) + exp(2 m b / v^2) N((-b - m) / v)`` for b above 0, mirrored below; m is the drift of ln S."""
    from scipy.special import log_ndtr, ndtr

    side = 1.0 if level > spot else -1.0
    b = side * math.log(level / spot)
    m = side * (math.log(forward / spot) - 0.5 * deviation**2)
    again = math.exp(2.0 * m * b / deviation**2 + float(log_ndtr((-b - m) / deviation)))
    return min(float(ndtr((m - b) / deviation)) + again, 1.0)


def _matched(level: float, spot: float, forward: float, beyond: float) -> float | None:
    """The deviation at which a lognormal with mean `forward` ends beyond `level` with probability `beyond`.

    With z the normal quantile of `beyond` it solves ``v^2 / 2 + z v = ln(forward / level)`` above, and with z mirrored
    below; None where no lognormal does. Of two solutions the smaller is the one that grows with `beyond`.
    """
    from scipy.special import ndtri

    if not 0.0 < beyond < 1.0:
        return None
    z = float(ndtri(beyond)) if level > spot else -float(ndtri(beyond))
    gap = math.log(forward / level)
    root = z * z + 2.0 * gap
    if root < 0:
        return None
    found = [v for v in (-z - math.sqrt(root), -z + math.sqrt(root)) if v > 0]
    return min(found) if found else None


def _doob(level: float, spot: float, distribution: Distribution) -> float:
    """``min over K below the level of C(K) / (level - K)``, of the forward price, which has no drift.

    The level moves with the carry when seen from the forward; whichever end of it is nearer is touched more often.
    """
    forward = distribution.forward
    moved = level * forward / spot
    if level > spot:
        reach = min(level, moved)
        if reach <= forward:
            return 1.0
        strikes = np.linspace(0.0, reach, _STEPS + 2)[1:-1]
        below = distribution.cdf(strikes)
        options = forward - distribution.partial_expectation(strikes) - strikes * (1.0 - below)
        return float(min(1.0, np.min(options / (reach - strikes))))
    reach = max(level, moved)
    if reach >= forward:
        return 1.0
    strikes = reach + (4.0 * forward - reach) * np.linspace(0.0, 1.0, _STEPS + 1)[1:] ** 2
    options = strikes * distribution.cdf(strikes) - distribution.partial_expectation(strikes)
    return float(min(1.0, np.min(options / (strikes - reach))))
