"""The account of signals, moment by moment, compiled. Imported only where it is asked: numba is slow to import.

All that is compiled stands in this one file: numba keeps what it has compiled, and notices a change in this file only.
"""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

#: What became of an order.
TAKEN, HELD, OUTVOTED, CLOSED, FULL, NO_ROOM, AFTER_RUIN = 0, 1, 2, 3, 4, 5, 6
#: How a position ended where it was not by its own stop, target or time.
OWN, CONTRARY, VANISHED, STILL_OPEN = 0, 1, 2, 3
#: Places in `Ledger.counts`: marks at an older price; entries that found less room than their size; moment at which
#: the account was worth nothing, or -1.
CARRIED, SHRUNK, RUINED = 0, 1, 2
#: Confidences that differ by the margin differ by it however their difference was rounded.
_SAME = 1e-12


class Bars(NamedTuple):
    """Bars in order of their moment: those of moment t are `start[t]` to `start[t + 1]`; the rest of moments, (t,)."""

    start: np.ndarray
    symbol: np.ndarray
    open: np.ndarray
    close: np.ndarray
    session: np.ndarray
    nights: np.ndarray  # calendar days since the last moment of the session before, at the first of a session


class Orders(NamedTuple):
    """Orders for the open of a moment, surest first; each with the end that it comes to if nothing is in its way."""

    start: np.ndarray
    symbol: np.ndarray
    side: np.ndarray
    confidence: np.ndarray
    fraction: np.ndarray
    price: np.ndarray
    exit_moment: np.ndarray  # -1 where the bars stop before
    exit_price: np.ndarray
    exit_at_open: np.ndarray


class Terms(NamedTuple):
    """What the account is held to."""

    capital: float
    rate: float
    borrow: float  # per calendar day
    max_positions: int
    max_gross: float
    margin: float
    staleness_sessions: int
    delisting_return: float


class Book(NamedTuple):
    """What is held; changed in place. `held` lists its symbols, `holds` the order of each symbol or -1."""

    price: np.ndarray  # last seen
    seen: np.ndarray  # session of it
    fresh: np.ndarray  # has a bar at this moment
    holds: np.ndarray
    held: np.ndarray
    waits: np.ndarray  # orders that are to enter at this open
    cash: np.ndarray  # (1,)
    size: np.ndarray  # (1,) how many are held


class Ledger(NamedTuple):
    """What is written down: equity, cash and gross exposure at every moment, (t,), and of every order, (k,)."""

    equity: np.ndarray
    cash: np.ndarray
    gross: np.ndarray
    outcome: np.ndarray
    units: np.ndarray
    end: np.ndarray
    exit_moment: np.ndarray
    exit_price: np.ndarray
    cost: np.ndarray
    borrowed: np.ndarray
    counts: np.ndarray


@numba.njit(cache=True, nogil=True)
def _leave(
    book: Book, ledger: Ledger, terms: Terms, order: int, symbol: int, price: float, moment: int, why: int
) -> None:
    """Turn a position into cash; one that vanished pays no cost, but loses what a delisting loses."""
    got = price
    if why == VANISHED:
        way = 1.0 if ledger.units[order] > 0 else -1.0
        got = price * (1.0 + way * terms.delisting_return)
    paid = 0.0 if why == VANISHED else abs(ledger.units[order] * got) * terms.rate
    book.cash[0] += ledger.units[order] * got - paid
    ledger.cost[order] += paid
    ledger.end[order], ledger.exit_moment[order], ledger.exit_price[order] = why, moment, got
    book.holds[symbol] = -1


@numba.njit(cache=True, nogil=True)
def _compact(book: Book) -> None:
    """Take what is no longer held off the list."""
    kept = 0
    for i in range(book.size[0]):
        if book.holds[book.held[i]] >= 0:
            book.held[kept] = book.held[i]
            kept += 1
    book.size[0] = kept


@numba.njit(cache=True, nogil=True)
def _before(book: Book, ledger: Ledger, terms: Terms, bars: Bars, t: int) -> None:
    """What the nights before cost, and what was missing for too long; at the prices of the mark before."""
    for i in range(book.size[0]):
        s = book.held[i]
        order = book.holds[s]
        if ledger.units[order] < 0 and bars.nights[t] > 0:
            fee = -ledger.units[order] * book.price[s] * terms.borrow * bars.nights[t]
            book.cash[0] -= fee
            ledger.borrowed[order] += fee
        if not book.fresh[s] and bars.session[t] - book.seen[s] > terms.staleness_sessions:
            _leave(book, ledger, terms, order, s, book.price[s], t, VANISHED)
    _compact(book)


@numba.njit(cache=True, nogil=True)
def _ended(book: Book, ledger: Ledger, terms: Terms, orders: Orders, t: int, at_open: bool) -> None:
    """Leave what comes to its own end at this moment: at the open, or after it."""
    for i in range(book.size[0]):
        order = book.holds[book.held[i]]
        if orders.exit_moment[order] == t and (orders.exit_at_open[order] or not at_open):
            _leave(book, ledger, terms, order, book.held[i], orders.exit_price[order], t, OWN)
    _compact(book)


@numba.njit(cache=True, nogil=True)
def _contrary(book: Book, ledger: Ledger, terms: Terms, orders: Orders, t: int) -> None:
    """Weigh the orders of this open against what is held: which wait to enter, which close."""
    for a in range(orders.start[t], orders.start[t + 1]):
        s = orders.symbol[a]
        holder = book.holds[s]
        book.waits[a] = True
        if holder < 0:
            continue
        surer = orders.confidence[a] - orders.confidence[holder]
        if orders.side[a] == orders.side[holder]:
            ledger.outcome[a], book.waits[a] = HELD, False
        elif -surer >= terms.margin - _SAME and surer < 0.0:
            ledger.outcome[a], book.waits[a] = OUTVOTED, False
        else:
            _leave(book, ledger, terms, holder, s, orders.price[a], t, CONTRARY)
            if surer < terms.margin - _SAME or surer <= 0.0:
                ledger.outcome[a], book.waits[a] = CLOSED, False
    _compact(book)


@numba.njit(cache=True, nogil=True)
def _worth(book: Book, ledger: Ledger) -> tuple[float, float]:
    """Value of the account and gross exposure at the last prices."""
    value, gross = book.cash[0], 0.0
    for i in range(book.size[0]):
        worth = ledger.units[book.holds[book.held[i]]] * book.price[book.held[i]]
        value += worth
        gross += abs(worth)
    return value, gross


@numba.njit(cache=True, nogil=True)
def _enter(book: Book, ledger: Ledger, terms: Terms, orders: Orders, t: int) -> None:
    """Let the orders that wait enter, surest first, each at its part of what is left after its own cost."""
    value, gross = _worth(book, ledger)
    for a in range(orders.start[t], orders.start[t + 1]):
        if not book.waits[a]:
            continue
        if book.size[0] >= terms.max_positions:
            ledger.outcome[a] = FULL
            continue
        wanted = orders.fraction[a] * value / (1.0 + orders.fraction[a] * terms.rate)
        room = (terms.max_gross * value - gross) / (1.0 + terms.max_gross * terms.rate)
        if value <= 0.0 or room <= 1e-9 * value:
            ledger.outcome[a] = NO_ROOM
            continue
        ledger.counts[SHRUNK] += wanted > room * (1.0 + 1e-12)
        size = min(wanted, room)
        ledger.outcome[a], ledger.units[a] = TAKEN, orders.side[a] * size / orders.price[a]
        ledger.cost[a], ledger.end[a] = size * terms.rate, STILL_OPEN
        book.cash[0] -= orders.side[a] * size + size * terms.rate
        value -= size * terms.rate
        gross += size
        book.holds[orders.symbol[a]] = a
        book.held[book.size[0]] = orders.symbol[a]
        book.size[0] += 1


@numba.njit(cache=True, nogil=True)
def _mark(book: Book, ledger: Ledger, bars: Bars, t: int) -> float:
    """Mark everything at the close, or at its last price; the value of the account."""
    for i in range(bars.start[t], bars.start[t + 1]):
        book.price[bars.symbol[i]] = bars.close[i]
    value, gross = _worth(book, ledger)
    for i in range(book.size[0]):
        ledger.counts[CARRIED] += not book.fresh[book.held[i]]
    ledger.equity[t], ledger.cash[t], ledger.gross[t] = value, book.cash[0], gross
    for i in range(bars.start[t], bars.start[t + 1]):
        book.fresh[bars.symbol[i]] = False
    return value


@numba.njit(cache=True, nogil=True)
def run(bars: Bars, orders: Orders, terms: Terms, book: Book, ledger: Ledger) -> None:
    """Walk the account through all moments and fill the ledger; `book` holds nothing but its cash before.

    The order of a moment: borrowing costs of the nights before it; what was missing for too long is given up; what
    leaves at this open leaves; contrary orders close; orders enter, surest first; what ends inside the bar or at its
    close ends; everything held is marked.
    """
    for t in range(len(bars.start) - 1):
        for i in range(bars.start[t], bars.start[t + 1]):
            book.fresh[bars.symbol[i]] = True
        _before(book, ledger, terms, bars, t)
        for i in range(bars.start[t], bars.start[t + 1]):
            book.price[bars.symbol[i]], book.seen[bars.symbol[i]] = bars.open[i], bars.session[t]
        _ended(book, ledger, terms, orders, t, True)
        _contrary(book, ledger, terms, orders, t)
        _enter(book, ledger, terms, orders, t)
        _ended(book, ledger, terms, orders, t, False)
        if _mark(book, ledger, bars, t) <= 0.0:
            ledger.counts[RUINED] = t
            ledger.equity[t:], ledger.cash[t:], ledger.gross[t:] = ledger.equity[t], ledger.cash[t], ledger.gross[t]
            ledger.outcome[orders.start[t + 1] :] = AFTER_RUIN
            break
    for i in range(book.size[0]):  # marked, not sold
        ledger.exit_price[book.holds[book.held[i]]] = book.price[book.held[i]]
