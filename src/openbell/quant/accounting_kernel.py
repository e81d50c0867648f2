"""The accounting of one portfolio, compiled. Imported only where an account is asked for: numba is slow to import.

All that is compiled stands in this one file: numba keeps what it has compiled, and notices a change in this file only.
"""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

#: Rounds of the fixed point "target weights of what is left after costs"; each gains over three digits.
_ROUNDS = 50
#: Halvings of the search that takes over where the fixed point does not settle; enough for every bit of a float.
_HALVINGS = 200
#: A drifted weight this close to its target is no order.
_SAME_WEIGHT = 1e-12
#: Cash below this share of the account is rounding, and buys nothing.
_DUST = 1e-13
#: A cost that is missed by more than this share of the account cannot be paid.
_UNPAYABLE = 1e-9

#: Places in `Book.purse`: cash, and the value left after the last trade.
CASH, AFTER = 0, 1
#: Places in `Book.counts`: names held; marks carried at an older price; row of a trade that cannot be paid for, or -1;
#: row whose closes are newer than `Book.price` for every holding, or -1.
HELD, CARRIED, UNPAID, FRESH = 0, 1, 2, 3


class Book(NamedTuple):
    """One portfolio; changed in place. `price` is the last seen of what is held; `held` lists its columns, rising."""

    units: np.ndarray
    price: np.ndarray
    notional: np.ndarray  # after the last trade
    held: np.ndarray
    stuck: np.ndarray  # targets of the last trade that had no price
    purse: np.ndarray
    counts: np.ndarray


class Terms(NamedTuple):
    """What does not depend on the portfolio: prices (n, m), cash (n,), costs. Without opens, `fills` are the closes."""

    closes: np.ndarray
    fills: np.ndarray
    at_open: bool
    cash_return: np.ndarray
    staleness_sessions: int
    delisting_return: float
    rate: float
    impact: float


class Plan(NamedTuple):
    """Rising `rows` (r,) and the weights (r, m) they are traded to; weights that begin with NaN hold what is held."""

    rows: np.ndarray
    weights: np.ndarray
    volatility: np.ndarray
    volume_usd: np.ndarray


class Log(NamedTuple):
    """What is written down: `equity` and `cash` at every close, (n,); the rest of every trade, (r,)."""

    equity: np.ndarray
    cash: np.ndarray
    turnover: np.ndarray
    cost: np.ndarray
    unfilled: np.ndarray
    unmeasured: np.ndarray


@numba.njit(cache=True, nogil=True)
def impact_usd(notional_usd: Any, volatility_daily: Any, volume_usd: Any, impact: float) -> Any:
    """Square-root impact, USD: ``impact * volatility * sqrt(|notional| / volume) * |notional|``; scalars or arrays."""
    size = np.abs(notional_usd)
    return impact * volatility_daily * np.sqrt(size / volume_usd) * size


@numba.njit(cache=True, nogil=True)
def _has_impact(volatility: float, volume_usd: float) -> bool:
    return volume_usd > 0.0 and volatility == volatility


@numba.njit(cache=True, nogil=True)
def _paid(
    trading: np.ndarray, notional: np.ndarray, before: np.ndarray, terms: Terms, vol: np.ndarray, volume: np.ndarray
) -> float:
    """What it costs to bring the names of `trading` from `before` to `notional`."""
    traded, extra = 0.0, 0.0
    for j in trading:
        change = abs(notional[j] - before[j])
        traded += change
        if terms.impact > 0.0 and _has_impact(vol[j], volume[j]):
            extra += impact_usd(change, vol[j], volume[j], terms.impact)
    return terms.rate * traded + extra


@numba.njit(cache=True, nogil=True)
def _after_costs(
    trading: np.ndarray,
    weights: np.ndarray,
    before: np.ndarray,
    notional: np.ndarray,
    value: float,
    frozen: float,
    terms: Terms,
    vol: np.ndarray,
    volume: np.ndarray,
) -> float:
    """Fill `notional` with target weights of the value left once their cost is paid; that cost, NaN if unpayable.

    The targets shrink together if cash would not be enough for them beside the `frozen` value that cannot be traded.
    """
    total = 0.0
    for j in trading:
        total += weights[j]
    cost, paid, low, high = 0.0, 0.0, 0.0, value
    for rounds in range(_ROUNDS + _HALVINGS):
        if rounds >= _ROUNDS:
            cost = 0.5 * (low + high)
        left = max(value - cost, 0.0)
        room = left - frozen if left - frozen > _DUST * value else 0.0
        scale = min(left, room / total) if total > 0.0 else 0.0
        for j in trading:
            notional[j] = weights[j] * scale
        paid = _paid(trading, notional, before, terms, vol, volume)
        settled = 1e-15 * value if rounds != _ROUNDS - 1 else 1e-12 * value
        if abs(paid - cost) <= settled and paid < value:
            return paid
        if rounds < _ROUNDS:
            cost = paid
        elif paid > cost:
            low = cost
        else:
            high = cost
    return cost if abs(paid - cost) <= _UNPAYABLE * value and paid < value else np.nan


@numba.njit(cache=True, nogil=True)
def _settle(book: Book, closes: np.ndarray) -> None:
    """Bring the prices of what is held up to the fresh row."""
    row = book.counts[FRESH]
    if row >= 0:
        for i in range(book.counts[HELD]):
            book.price[book.held[i]] = closes[row, book.held[i]]
    book.counts[FRESH] = -1


@numba.njit(cache=True, nogil=True)
def _missed(closes: np.ndarray, row: int, column: int, limit: int) -> int:
    """How many closes in a row are missing up to `row`, counted no further than one beyond `limit`."""
    count = 0
    while count <= limit and row - count >= 0 and closes[row - count, column] != closes[row - count, column]:
        count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _trade(book: Book, plan: Plan, log: Log, terms: Terms, row: int, at: int) -> None:
    """Trade to the weights of place `at` in the plan, at the fills of `row`; names without a price stay as they are."""
    units, notional, fills, weights = book.units, book.notional, terms.fills[row], plan.weights[at]
    vol, volume = plan.volatility[at], plan.volume_usd[at]
    _settle(book, terms.closes)
    before, trading, n = np.zeros(len(units)), np.empty(len(units), np.int64), 0
    value, frozen = book.purse[CASH], 0.0
    for j in range(len(units)):
        priced = fills[j] == fills[j]
        notional[j] = 0.0
        if units[j] > 0.0:
            if priced:
                book.price[j] = fills[j]
            before[j] = units[j] * book.price[j]
            value += before[j]
        if priced and (units[j] > 0.0 or weights[j] > 0.0):
            trading[n] = j
            n += 1
        elif not priced:
            notional[j] = before[j]
            frozen += before[j]
    if value <= 0.0:  # all of it was lost in delistings: there is nothing to trade with
        book.purse[AFTER] = value
        return
    cost = _after_costs(trading[:n], weights, before, notional, value, frozen, terms, vol, volume)
    traded, invested, held, unfilled, unmeasured = 0.0, 0.0, 0, 0, 0
    for j in range(len(units)):
        priced = fills[j] == fills[j]
        change = abs(notional[j] - before[j])
        traded += change
        invested += notional[j]
        book.stuck[j] = not priced and abs(weights[j] - before[j] / value) > _SAME_WEIGHT
        unfilled += book.stuck[j]
        if terms.impact > 0.0 and change > 0.0 and not _has_impact(vol[j], volume[j]):
            unmeasured += 1
        if priced:
            units[j] = notional[j] / fills[j]
            book.price[j] = fills[j]
        if units[j] > 0.0:
            book.held[held] = j
            held += 1
    book.counts[HELD] = held
    book.purse[AFTER] = value - cost
    book.purse[CASH] = max(book.purse[AFTER] - invested, 0.0)  # full investment leaves -1e-17, which is 0
    log.turnover[at], log.cost[at] = traded / (2.0 * value), cost
    log.unfilled[at], log.unmeasured[at] = unfilled, unmeasured
    if cost != cost or value - cost - invested < -_UNPAYABLE * value:
        book.counts[UNPAID] = row


@numba.njit(cache=True, nogil=True)
def _close_with_gaps(book: Book, terms: Terms, row: int, gone: np.ndarray) -> float:
    """Value of what is held where a close is missing: carried at its last price, or turned into cash (`gone`)."""
    _settle(book, terms.closes)
    value, kept = 0.0, 0
    for i in range(book.counts[HELD]):
        j = book.held[i]
        if terms.closes[row, j] == terms.closes[row, j]:
            book.price[j] = terms.closes[row, j]
        elif _missed(terms.closes, row, j, terms.staleness_sessions) > terms.staleness_sessions:
            book.purse[CASH] += book.units[j] * book.price[j] * (1.0 + terms.delisting_return)
            book.units[j] = 0.0
            gone[j] = True
            continue
        else:
            book.counts[CARRIED] += 1
        book.held[kept] = j
        kept += 1
        value += book.units[j] * book.price[j]
    book.counts[HELD] = kept
    return value


@numba.njit(cache=True, nogil=True)
def run(book: Book, plan: Plan, log: Log, terms: Terms, start: int, stop: int) -> np.ndarray:
    """Account for the sessions `start` to `stop` of one portfolio, filling `log`; what vanished, as (row, column).

    Stops at a trade whose cost is more than there is to pay it with, and leaves its row in ``counts[UNPAID]``.
    """
    closes, vanished, lost, at = terms.closes, np.empty((4, 2), np.int64), 0, 0
    while at < len(plan.rows) and plan.rows[at] < start:
        at += 1
    for row in range(start, stop):
        book.purse[CASH] *= 1.0 + terms.cash_return[row]
        due = at < len(plan.rows) and plan.rows[at] == row
        trades = due and plan.weights[at, 0] == plan.weights[at, 0]
        if trades and terms.at_open:
            _trade(book, plan, log, terms, row, at)
        value = 0.0
        for i in range(book.counts[HELD]):
            value += book.units[book.held[i]] * closes[row, book.held[i]]
        if value == value:
            book.counts[FRESH] = row
        else:
            gone = np.zeros(len(book.units), np.bool_)
            value = _close_with_gaps(book, terms, row, gone)
            for j in np.flatnonzero(gone):
                if lost == len(vanished):
                    vanished = np.concatenate((vanished, np.empty_like(vanished)))
                vanished[lost, 0], vanished[lost, 1] = row, j
                lost += 1
        if trades and not terms.at_open:
            _trade(book, plan, log, terms, row, at)
            value = book.purse[AFTER] - book.purse[CASH]
        if book.counts[UNPAID] >= 0:
            break
        at += due
        log.equity[row], log.cash[row] = book.purse[CASH] + value, book.purse[CASH]
    _settle(book, closes)
    return vanished[:lost]
