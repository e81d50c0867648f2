"""What a position pays at expiry: largest profit and loss and every breakeven, exact; by valuation with more expiries.

Points per unit throughout. `premium` is what was paid for the position, above 0 for a debit and below 0 for a credit;
with a leg in the underlying it includes the price of the underlying.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.legs import UNDERLYING, Legs, netted

#: Value of one far option at the near expiry: spots (m,), right, strike, years it still has to live -> (m,) points.
FarValue = Callable[[np.ndarray, float, float, float], np.ndarray]
#: Halvings of an interval of the search that holds a breakeven; enough for every bit that a price has.
_BISECTIONS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Profit of a position at its (near) expiry as a line through points; all of it in points per unit.

    Attributes
    ----------
    premium : paid, below 0 for a credit. kinks : (k,) prices of the underlying, rising, the first is 0.
    values : (k,) profit at the kinks. slope : profit per point of the underlying beyond the last kink.
    max_profit, max_loss : largest profit, and the negative of the smallest; inf where there is no bound. A position
        that cannot gain has a `max_profit` below 0, one that cannot lose a `max_loss` below 0: nothing is clipped.
    max_profit_unlimited, max_loss_unlimited : whether they have no bound as the underlying rises.
    breakevens : rising; every price where the profit is 0 and is not 0 all around it: crossings, points that only
        touch 0, and the ends of stretches where it is 0.
    flat : the stretches (from, to) on which the profit is 0; `to` may be inf.
    error : no profit between two kinks is further than this from the line through them; 0 with one expiry.
    highest : the search covered prices from 0 to here; inf with one expiry.
    """

    premium: float
    kinks: np.ndarray
    values: np.ndarray
    slope: float
    max_profit: float
    max_loss: float
    max_profit_unlimited: bool
    max_loss_unlimited: bool
    breakevens: tuple[float, ...]
    flat: tuple[tuple[float, float], ...]
    error: float = 0.0
    highest: float = math.inf

    def profit(self, spots: np.ndarray) -> np.ndarray:
        """Profit at prices `spots` (m,) of the underlying, 0 or above; NaN stays NaN."""
        at = np.asarray(spots, dtype=np.float64)
        beyond = self.slope * np.maximum(at - self.kinks[-1], 0.0)
        return np.asarray(np.interp(at, self.kinks, self.values) + beyond)

    @property
    def reward_to_risk(self) -> float:
        """Largest profit over largest loss: inf where only the profit is unlimited, NaN where nothing can be lost."""
        if self.max_loss_unlimited:
            return math.nan if self.max_profit_unlimited else 0.0
        return self.max_profit / self.max_loss if self.max_loss > 0 else math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Profiles:
    """Largest profit and loss of many positions with one expiry each, points per unit, every array (p,)."""

    max_profit: np.ndarray
    max_loss: np.ndarray
    max_profit_unlimited: np.ndarray
    max_loss_unlimited: np.ndarray


def payoff(legs: Legs, spots: np.ndarray) -> np.ndarray:
    """Payoff of all legs if they expired at prices `spots` (m,), points per unit, before what was paid; (m,).

    The expiries play no part. The order of the legs leaves no trace in the last bit. NaN spots give NaN.
    """
    position, at = netted(legs), np.asarray(spots, dtype=np.float64)
    total = np.zeros(at.shape)
    for right, strike, ratio in zip(position.right, position.strike, position.ratio, strict=True):
        total += ratio * (at if right == UNDERLYING else np.maximum(right * (at - strike), 0.0))
    return total


def slopes(legs: Legs, kinks: np.ndarray) -> np.ndarray:
    """Slope of the payoff to the right of each kink (k,), exact whole numbers; the last one holds to infinity."""
    calls, puts = legs.right > UNDERLYING, legs.right < UNDERLYING
    stock = float(legs.ratio[legs.right == UNDERLYING].sum())
    passed = legs.strike[None, :] <= kinks[:, None]
    return np.asarray(
        stock + (passed & calls) @ legs.ratio.astype(np.float64) - (~passed & puts) @ legs.ratio.astype(np.float64)
    )


def profile(legs: Legs, premium: float) -> Profile:
    """Exact profit profile of a position whose options all expire on one day.

    The profit is a line between the strikes, so its extremes lie at the strikes, at a price of 0, or nowhere: then it
    is unlimited, which the slope beyond the last strike says.

    Parameters
    ----------
    legs : any options of one expiry and any number of the underlying, long and short.
    premium : paid in points per unit, below 0 for a credit; finite.

    Raises
    ------
    BadInput
        With several expiries (see `profile_by_valuation`) or a premium that is no number.
    """
    return terminal(legs).profile(premium)


@dataclass(frozen=True, slots=True, eq=False)
class Terminal:
    """What options of one expiry pay there: `kinks` (k,) and `values` (k,) as in `Profile`, but before what was paid.

    steps : (k,) slope beyond each kink. size : sum of the strikes in the legs, for what rounds off.
    """

    kinks: np.ndarray
    values: np.ndarray
    steps: np.ndarray
    size: float

    def profile(self, premium: float) -> Profile:
        """The profile at a premium."""
        paid = _paid(premium)
        roundoff = 16.0 * np.finfo(np.float64).eps * (self.size + abs(paid))
        values = self.values - paid + 0.0
        return _profile(paid, self.kinks, values, self.steps, float(self.steps[-1]), roundoff)


def terminal(legs: Legs) -> Terminal:
    """The part of `profile` that no premium changes, for whoever asks about the same legs at many prices."""
    position = netted(legs)
    days = np.unique(legs.expiry[legs.right != UNDERLYING])
    if len(days) > 1:
        raise BadInput(
            f"The options expire on {len(days)} days ({', '.join(str(day) for day in days)}), so the payoff of the far "
            "ones is not known at the near expiry. Use `profile_by_valuation`."
        )
    kinks = np.unique(np.concatenate([[0.0], position.strike[position.right != UNDERLYING]]))
    size = float(np.abs(position.ratio) @ position.strike)
    return Terminal(kinks, payoff(position, kinks), slopes(position, kinks), size)


def _paid(premium: float) -> float:
    if not math.isfinite(premium):
        raise BadInput(f"The premium must be a number of points, below 0 for a credit; was {premium}.")
    return float(premium)


def _profile(
    paid: float, kinks: np.ndarray, values: np.ndarray, steps: np.ndarray, net: float, roundoff: float
) -> Profile:
    """The profile through (`kinks`, `values`) with the slope `net` deciding what is unlimited."""
    roots, flat = _zeros(kinks, values, steps, roundoff)
    up, down = net > 0, net < 0
    return Profile(
        premium=paid,
        kinks=kinks,
        values=values,
        slope=float(steps[-1]),
        max_profit=math.inf if up else float(values.max()),
        max_loss=math.inf if down else float(-values.min()) + 0.0,
        max_profit_unlimited=up,
        max_loss_unlimited=down,
        breakevens=roots,
        flat=flat,
    )


def _zeros(
    kinks: np.ndarray, values: np.ndarray, steps: np.ndarray, roundoff: float
) -> tuple[tuple[float, ...], tuple[tuple[float, float], ...]]:
    """Where the line is 0: the boundary of that set within [0, inf), and its stretches."""
    sign = np.where(np.abs(values) <= roundoff, 0.0, np.sign(values))
    after = np.append(sign[1:], np.sign(steps[-1]) or sign[-1])
    crosses = sign * after < 0
    closed, right = np.append(kinks, np.inf), np.append(values[1:], np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):  # a level stretch never crosses
        ahead, behind = kinks - values / steps, closed[1:] - right / steps
    crossings = np.where(np.abs(values) <= np.abs(right), ahead, behind)[crosses]  # the shorter way rounds less
    zero_after = (sign == 0) & (after == 0)
    zero_before = np.concatenate([[sign[0] == 0], zero_after[:-1]])  # nothing lies below a price of 0
    touched = kinks[(sign == 0) & ~(zero_before & zero_after)]
    starts = np.flatnonzero(zero_after & ~np.concatenate([[False], zero_after[:-1]]))
    ends = np.flatnonzero(zero_after & ~np.append(zero_after[1:], False)) + 1
    flat = tuple((float(kinks[a]), float(closed[b])) for a, b in zip(starts, ends, strict=True))
    return tuple(sorted(float(each) for each in np.concatenate([crossings, touched]))), flat


def profiles(right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, premium: np.ndarray) -> Profiles:
    """Exact largest profit and loss of many positions at once, each with one expiry.

    Parameters
    ----------
    right, strike, ratio : (p, L), +1 call, -1 put, 0 the underlying; entries with `ratio` 0 are padding and ignored.
    premium : (p,) points paid per unit, below 0 for a credit.

    Returns
    -------
    Profiles
        As `profile` says it of one; NaN where the premium or a strike of the position is NaN. The same to the last bit
        for every order of the legs.
    """
    from openbell.quant.payoffs_kernel import bound

    right, strike, ratio, paid = _many(right, strike, ratio, premium)
    high, low, slope = (np.empty(len(paid)) for _ in range(3))
    bound(right, strike, ratio, paid, high, low, slope)
    known = ~np.isnan(high)
    up, down = known & (slope > 0), known & (slope < 0)
    return Profiles(np.where(up, np.inf, high), np.where(down, np.inf, -low) + 0.0, up, down)


def owing(right: np.ndarray, strike: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """(p,) whether expiry can only cost: legs (p, L) whose payoff is nowhere above 0 and somewhere below it.

    Such a structure is sold, and a premium quoted for it is a credit.
    """
    found = profiles(right, strike, ratio, np.zeros(len(ratio)))
    return np.asarray((found.max_profit <= 0) & (found.max_loss > 0))


def settlement_values(right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, spot: np.ndarray) -> np.ndarray:
    """Payoff of many positions (p, L), each at its own settlement price `spot` (p,); (p,) points, padding as above."""
    from openbell.quant.payoffs_kernel import settle

    right, strike, ratio, at = _many(right, strike, ratio, spot)
    value = np.empty(len(at))
    settle(right, strike, ratio, at, value)
    return value


def _many(
    right: np.ndarray, strike: np.ndarray, ratio: np.ndarray, each: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The arrays as the kernels want them, or the sentence about their shapes."""
    found = tuple(np.ascontiguousarray(array, dtype=np.float64) for array in (right, strike, ratio, each))
    shapes = [array.shape for array in found]
    if len(shapes[0]) != 2 or len(set(shapes[:3])) != 1 or shapes[3] != shapes[0][:1]:
        raise BadInput(
            "`right`, `strike` and `ratio` must have one shape (positions, legs) and the last argument (positions,); "
            f"they had {', '.join(str(shape) for shape in shapes)}."
        )
    return found[0], found[1], found[2], found[3]


def profile_by_valuation(
    legs: Legs,
    premium: float,
    value_far: FarValue,
    *,
    years: np.ndarray | None = None,
    highest: float | None = None,
    tolerance: float | None = None,
) -> Profile:
    """Profit at the near expiry of a position with several: the near options settle, the far ones are valued.

    Between two neighbouring points of the search the profit departs from the line through them by at most `tolerance`:
    the value of an option is convex in the price of the underlying, so each far leg lies between its chord and the
    extension of the chords beside it; intervals are halved until the sum of those gaps is small enough. The largest
    profit and loss are therefore right to `Profile.error`, and each breakeven is found by bisection of the profit
    itself. A far option that is sold against a near one counts one for one beyond `highest`: the flags say what the
    contracts allow, not the dividend of the far leg.

    Parameters
    ----------
    legs : options of two or more expiries, and the underlying; with one expiry the result is that of `profile`.
    premium : paid, points per unit, below 0 for a credit.
    value_far : value of one option at the near expiry: spots (m,), right, strike, years left -> (m,) points; it must
        be finite from a spot of 0 on, and convex in it (every arbitrage-free value is).
    years : (n,) each leg has to live from now, where moments are known; by default expiries are calendar days apart.
    highest : end of the search, by default twice the largest strike. tolerance : points, by default 1e-7 of the
        largest strike.

    Raises
    ------
    BadInput
        On a premium or value that is no number, or a `highest` at or below the largest strike.
    """
    from openbell.quant.refinement import refined

    position, paid = netted(legs), _paid(premium)
    options = position.right != UNDERLYING
    if not options.any():
        return profile(legs, premium)
    near_day = position.expiry[options].min()
    far = options & (position.expiry > near_day)
    if not far.any():
        return profile(legs, premium)
    top = float(position.strike.max())
    end = 2.0 * top if highest is None else float(highest)
    if not end > top:
        raise BadInput(f"`highest` must lie above the largest strike {top:g}; was {end:g}.")
    near, left = position.take(~far) if not far.all() else None, position.take(far)
    apart = _years_apart(legs, years, near_day)
    terms = [(float(r), float(k), apart[day]) for r, k, day in zip(left.right, left.strike, left.expiry, strict=True)]

    def far_values(spots: np.ndarray) -> np.ndarray:
        return _finite(np.stack([value_far(spots, *term) for term in terms]), spots)

    def profit(spots: np.ndarray) -> np.ndarray:
        settled = payoff(near, spots) if near is not None else 0.0
        return np.asarray(settled + left.ratio.astype(np.float64) @ far_values(spots) - paid)

    kinks = np.unique(np.concatenate([[0.0, end], position.strike[options]]))
    nodes, error = refined(far_values, kinks, np.abs(left.ratio), tolerance or 1e-7 * top)
    values = profit(nodes)
    steps = np.diff(values) / np.diff(nodes)
    net = float(position.ratio[position.right >= UNDERLYING].sum())
    found = _profile(paid, nodes, values, np.append(steps, 0.0), net, 0.0)
    roots = _polished(profit, nodes, found.breakevens)
    return replace(found, slope=float(steps[-1]), breakevens=roots, error=error, highest=end)


def _years_apart(legs: Legs, years: np.ndarray | None, near_day: np.datetime64) -> dict[np.datetime64, float]:
    """Years from the near expiry to each expiry."""
    days, first = np.unique(legs.expiry[legs.options], return_index=True)
    if years is None:
        after = (days - near_day).astype(np.float64) / 365.0
    else:
        after = np.asarray(years, dtype=np.float64)[legs.options][first]
        after = after - after[0]
    return dict(zip(days, after.tolist(), strict=True))


def _finite(values: np.ndarray, spots: np.ndarray) -> np.ndarray:
    bad = ~np.isfinite(values).all(axis=0)
    if bad.any():
        raise BadInput(
            f"The far options have no finite value at {int(bad.sum())} of {len(spots)} prices of the underlying, the "
            f"first {spots[bad][0]:g}. Is a volatility missing?"
        )
    return values


def _polished(
    profit: Callable[[np.ndarray], np.ndarray], nodes: np.ndarray, roots: tuple[float, ...]
) -> tuple[float, ...]:
    """Each root of the line through `nodes`, moved to the root of `profit` in the same interval by bisection."""
    if not roots:
        return ()
    at = np.asarray(roots)
    low = nodes[np.searchsorted(nodes, at, side="right") - 1]
    high = nodes[np.minimum(np.searchsorted(nodes, at, side="left"), len(nodes) - 1)]
    below = np.sign(profit(low))
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        same = np.sign(profit(middle)) == below
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return tuple(float(each) for each in 0.5 * (low + high))
