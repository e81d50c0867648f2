"""Option positions walked from entry to exit, one session at a time, compiled.

Imported only where they are simulated: numba is slow to import. The surface, Black's formula and the spread come from
kernels of their own; numba keeps what it compiled here until *this* file changes, so after a change in one of them
remove the caches (the oracle test fails on a stale one).
"""
# mypy: disable-error-code="untyped-decorator, no-any-return"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np

from openbell.quant.spread_kernel import half_spread
from openbell.quant.surface_kernel import LONG, REVERSION, SHORT, at_the_money_variance, option_value

#: How a position ended; below 0 why it never began (the codes of `snapping.REASONS` come before these).
OPEN, TARGET, STOP, TIME, EXPIRY = 0, 1, 2, 3, 4
NO_EXPIRY, NO_QUOTE, UNPRICED, NO_CREDIT, NO_DEBIT, NO_RISK, NO_PROFIT = -1, -4, -5, -6, -7, -8, -9


#: For what only compiled code calls: without the doors to Python it compiles in two thirds of the time.
_ONLY_COMPILED: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_inner = numba.njit(cache=True, nogil=True, error_model="numpy", **_ONLY_COMPILED)


class Market(NamedTuple):
    """The arrays of `Surfaces`; `day` counts calendar days, (n,). `american` holds no value under its intrinsic."""

    day: np.ndarray
    spot: np.ndarray
    settle: np.ndarray
    rate: np.ndarray
    dividend_yield: np.ndarray
    parameters: np.ndarray
    spread: np.ndarray
    displacement: float
    clock: np.ndarray
    american: bool


class Book(NamedTuple):
    """The arrays of `Positions`, (p,) and (p, legs); `day` is the calendar day of each leg's expiry."""

    entry: np.ndarray
    strike: np.ndarray
    right: np.ndarray
    ratio: np.ndarray
    expiry: np.ndarray
    day: np.ndarray
    am: np.ndarray
    due: np.ndarray
    refused: np.ndarray


class Rules(NamedTuple):
    """Exits as shares of the premium (inf: never), calendar days before expiry (-1: never), costs."""

    target_credit: float
    target_debit: float
    stop_credit: float
    stop_debit: float
    exit_days: float
    commission_usd: float
    spread_fraction: float
    multiplier: float


class Log(NamedTuple):
    """What is written down, (p,); `marks` (p, h) may have no columns."""

    pnl: np.ndarray
    premium: np.ndarray
    max_loss: np.ndarray
    max_profit: np.ndarray
    exit: np.ndarray
    reason: np.ndarray
    unmarked: np.ndarray
    marks: np.ndarray


@_inner
def _worth(
    market: Market, t: int, spot: float, right: float, strike: float, last: int, years: float, since: int
) -> tuple[float, float]:
    """Value of one option at `spot` with the surface of session t, and the volatility at the money for its term.

    On a clock its variance runs from the session `since` to the session `last`.
    """
    variance, deviation = math.nan, math.nan
    if math.isfinite(market.displacement):
        if last >= len(market.clock):
            return math.nan, math.nan
        variance = market.clock[last] - market.clock[since]
        forward = spot * math.exp((market.rate[t] - market.dividend_yield[t]) * years)
        deviation = math.sqrt(max(variance, 0.0)) * (forward + market.displacement) / forward
    else:
        row = market.parameters[t]
        deviation = math.sqrt(at_the_money_variance(row[SHORT], row[LONG], row[REVERSION], years))
    value = option_value(
        right,
        strike,
        years,
        spot,
        market.rate[t],
        market.dividend_yield[t],
        market.parameters[t],
        market.displacement,
        variance,
    )
    if market.american:
        value = max(value, right * (spot - strike))
    return value, deviation / math.sqrt(years)


@_inner
def _quoted(market: Market, book: Book, p: int, leg: int, t: int) -> tuple[float, float]:
    """Value and half-spread of one leg at the close of session t; NaN where that session has no surface."""
    years = (book.day[p, leg] - market.day[t]) / 365.0
    strike = book.strike[p, leg]
    value, volatility = _worth(
        market, t, market.spot[t], float(book.right[p, leg]), strike, book.expiry[p, leg], years, t
    )
    return value, half_spread(value, market.spot[t], strike, years, volatility, market.spread)


@_inner
def _traded(
    market: Market, book: Book, p: int, t: int, after: int, fraction: float, side: float
) -> tuple[float, float, bool]:
    """Value of the legs that expire after session `after` where they trade at session t; opened (+1) or closed (-1).

    With it go their contracts and whether each has a bid above 0. What is closed is never sold under 0.
    """
    total, contracts, live = 0.0, 0.0, True
    for leg in range(book.ratio.shape[1]):
        ratio = book.ratio[p, leg]
        if ratio == 0 or book.expiry[p, leg] <= after:
            continue
        value, half = _quoted(market, book, p, leg, t)
        if math.isnan(value) or math.isnan(half):
            return math.nan, 0.0, False
        live = live and value - half > 0.0
        price = value + side * half * fraction if ratio > 0 else value - side * half * fraction
        total += ratio * (price if side > 0.0 else max(price, 0.0))
        contracts += abs(ratio)
    return total, contracts, live


@_inner
def _settled(market: Market, book: Book, p: int, t: int) -> tuple[float, float]:
    """Cash of the legs that expire on session t, and how many contracts are worth something."""
    total, contracts = 0.0, 0.0
    for leg in range(book.ratio.shape[1]):
        ratio = book.ratio[p, leg]
        if ratio == 0 or book.expiry[p, leg] != t:
            continue
        price = market.settle[t] if book.am[p, leg] else market.spot[t]
        payoff = book.right[p, leg] * (price - book.strike[p, leg])
        if math.isnan(payoff):
            return math.nan, 0.0
        if payoff > 0.0:
            total += ratio * payoff
            contracts += abs(ratio)
    return total, contracts


@_inner
def _payoff(book: Book, p: int, spot: float) -> float:
    total = 0.0
    for leg in range(book.ratio.shape[1]):
        total += book.ratio[p, leg] * max(book.right[p, leg] * (spot - book.strike[p, leg]), 0.0)
    return total


@_inner
def _bounds(market: Market, book: Book, p: int, near: int, premium: float) -> tuple[float, float]:
    """Largest loss and profit, points: exact at one expiry.

    With several, the loss holds far legs at their intrinsic value (a calendar, or a diagonal that is covered, loses its
    debit; a far leg that is sold has no bound), and the profit is taken at a near strike.
    """
    low, high, slope = _payoff(book, p, 0.0), _payoff(book, p, 0.0), 0
    far, far_sold = False, False
    for leg in range(book.ratio.shape[1]):
        if book.ratio[p, leg] == 0:
            continue
        if book.expiry[p, leg] > near:
            far, far_sold = True, far_sold or book.ratio[p, leg] < 0
        at = _payoff(book, p, book.strike[p, leg])
        low, high = min(low, at), max(high, at)
        if book.right[p, leg] > 0:
            slope += book.ratio[p, leg]
    loss = math.inf if slope < 0 or far_sold else premium - low
    if far:
        return loss, _best_at_near(market, book, p, near) - premium
    return loss, (math.inf if slope > 0 else high - premium)


@_inner
def _best_at_near(market: Market, book: Book, p: int, near: int) -> float:
    """Largest value at the near expiry over the strikes that expire then, far legs by the surface of the entry."""
    best, e = -math.inf, book.entry[p]
    for chosen in range(book.ratio.shape[1]):
        if book.ratio[p, chosen] == 0 or book.expiry[p, chosen] != near:
            continue
        spot, total = book.strike[p, chosen], 0.0
        for leg in range(book.ratio.shape[1]):
            ratio, right, strike = book.ratio[p, leg], float(book.right[p, leg]), book.strike[p, leg]
            if ratio == 0:
                continue
            if book.expiry[p, leg] == near:
                total += ratio * max(right * (spot - strike), 0.0)
            else:
                years = (book.day[p, leg] - book.day[p, chosen]) / 365.0
                total += ratio * _worth(market, e, spot, right, strike, book.expiry[p, leg], years, near)[0]
        best = max(best, total)
    return best


@_inner
def _begun(market: Market, book: Book, rules: Rules, log: Log, p: int, near: int) -> tuple[int, float]:
    """Write premium and bounds of the position down; why it cannot begin, or 0, and its contracts."""
    premium, contracts, live = _traded(market, book, p, book.entry[p], -1, rules.spread_fraction, 1.0)
    if math.isnan(premium):
        return UNPRICED, contracts
    if not live:
        return NO_QUOTE, contracts
    log.premium[p] = premium
    if book.due[p] > 0 and premium >= 0.0:
        return NO_CREDIT, contracts
    if book.due[p] < 0 and premium <= 0.0:
        return NO_DEBIT, contracts
    loss, profit = _bounds(market, book, p, near, premium)
    if math.isnan(profit):
        return UNPRICED, contracts
    paid = rules.commission_usd * contracts
    log.max_loss[p], log.max_profit[p] = loss * rules.multiplier + paid, profit * rules.multiplier - paid
    if loss <= 0.0:
        return NO_RISK, contracts
    return (NO_PROFIT if log.max_profit[p] <= 0.0 else 0), contracts


@_inner
def _near(book: Book, p: int) -> tuple[int, int]:
    """Row and day of the first expiry."""
    row, day = np.iinfo(np.int64).max, 0
    for leg in range(book.ratio.shape[1]):
        if book.ratio[p, leg] != 0 and book.expiry[p, leg] < row:
            row, day = book.expiry[p, leg], book.day[p, leg]
    return row, day


@_inner
def _walk(market: Market, book: Book, rules: Rules, log: Log, p: int) -> int:
    """One position to its end; the reason."""
    entry, (near, near_day) = book.entry[p], _near(book, p)
    if entry >= len(market.day):
        return OPEN
    if near <= entry:
        return NO_EXPIRY
    refused, contracts = _begun(market, book, rules, log, p, near)
    if refused != 0:
        return refused
    premium, paid = log.premium[p], rules.commission_usd * contracts
    credit = premium < 0.0
    target = abs(premium) * (rules.target_credit if credit else rules.target_debit)
    stop = abs(premium) * (rules.stop_credit if credit else rules.stop_debit)
    first = entry if log.marks.shape[1] else entry + 1
    for t in range(first, len(market.day)):
        value, closing, _ = _traded(market, book, p, t, t if t == near else -1, rules.spread_fraction, -1.0)
        reason = OPEN
        if t == near:
            cash, worth = _settled(market, book, p, t)
            value, closing, reason = value + cash, closing + worth, EXPIRY
            if math.isnan(value):
                return UNPRICED
        elif math.isnan(value):
            log.unmarked[p] += 1
            continue
        gain = value - premium
        net = gain * rules.multiplier - paid - rules.commission_usd * closing
        if log.marks.shape[1]:
            log.marks[p, t - entry] = net
        if reason == OPEN and t > entry:
            if gain >= target:
                reason = TARGET
            elif gain <= -stop:
                reason = STOP
            elif near_day - market.day[t] <= rules.exit_days:
                reason = TIME
        if reason != OPEN:
            log.pnl[p], log.exit[p] = net, t
            return reason
    return OPEN


@numba.njit(cache=True, nogil=True, error_model="numpy")
def bound(market: Market, book: Book, premium: np.ndarray, loss: np.ndarray, profit: np.ndarray) -> None:
    """Largest loss and profit of each position at a stated premium, points; those refused are left as they are."""
    for p in range(len(premium)):
        if book.refused[p] == 0:
            loss[p], profit[p] = _bounds(market, book, p, _near(book, p)[0], premium[p])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def walk(market: Market, book: Book, rules: Rules, log: Log, start: int, stop: int) -> None:
    """Positions `start` to `stop`, each by itself."""
    for p in range(start, stop):
        if book.refused[p] != 0:
            log.reason[p] = book.refused[p]
        else:
            log.reason[p] = _walk(market, book, rules, log, p)
