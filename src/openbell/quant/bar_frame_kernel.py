"""Longer bars out of base bars, and what is wrong beside earlier bars, compiled. Imported only where bars are read.

All that is compiled stands in this one file: numba keeps what it has compiled, and notices a change in this file only.
"""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import numba
import numpy as np

#: Places in a bar, in the order of `core.bars.BAR_COLUMNS`; the first 13 come from the source.
OPEN, HIGH, LOW, CLOSE, VOLUME = 0, 1, 2, 3, 4
RAW_HIGH, RAW_LOW, RAW_CLOSE, RAW_VOLUME, BID, ASK = 6, 7, 8, 9, 11, 12
SESSION_OPEN, SESSION_HIGH, SESSION_LOW, SESSION_VOLUME, SESSION_VALUE, SESSION_MINUTES = 13, 14, 15, 16, 17, 18
RECEIVED, WIDTH = 13, 19
US_PER_MINUTE = 60_000_000


@numba.njit(cache=True, error_model="numpy")
def _run(session: np.ndarray, running: np.ndarray, opens: int, bar: np.ndarray) -> None:
    """Take one base bar into the running figures of its session; `bar` gets them."""
    value = bar[VOLUME] * (bar[HIGH] + bar[LOW] + bar[CLOSE]) / 3.0
    if session[0] != opens:
        session[0] = opens
        running[0], running[1], running[2], running[3], running[4] = bar[OPEN], bar[HIGH], bar[LOW], bar[VOLUME], value
    else:
        running[1] = max(running[1], bar[HIGH])
        running[2] = min(running[2], bar[LOW])
        running[3] += bar[VOLUME]
        running[4] += value
    bar[SESSION_OPEN:SESSION_MINUTES] = running


@numba.njit(cache=True, error_model="numpy")
def _merge(longer: np.ndarray, bar: np.ndarray) -> None:
    """Take one base bar into a longer bar that has begun."""
    longer[HIGH] = max(longer[HIGH], bar[HIGH])
    longer[LOW] = min(longer[LOW], bar[LOW])
    longer[CLOSE] = bar[CLOSE]
    longer[VOLUME] += bar[VOLUME]
    longer[RAW_HIGH] = max(longer[RAW_HIGH], bar[RAW_HIGH])
    longer[RAW_LOW] = min(longer[RAW_LOW], bar[RAW_LOW])
    longer[RAW_CLOSE] = bar[RAW_CLOSE]
    longer[RAW_VOLUME] += bar[RAW_VOLUME]
    longer[BID], longer[ASK] = bar[BID], bar[ASK]
    longer[SESSION_OPEN:] = bar[SESSION_OPEN:]


@numba.njit(cache=True, error_model="numpy")
def built(
    which: np.ndarray,
    at: np.ndarray,
    opens: np.ndarray,
    closes: np.ndarray,
    bars: np.ndarray,
    minutes: np.ndarray,
    session: np.ndarray,
    running: np.ndarray,
    ends: np.ndarray,
    growing: np.ndarray,
    rows: np.ndarray,
    row_ends: np.ndarray,
    values: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Take base bars in order of time into the state, and write every longer bar that they complete.

    A longer bar is complete with the base bar that ends where it ends, or, where that one is missing, with the next
    one of the symbol. `bars` (n, 19) get their ``session_*`` places; `rows`, `row_ends`, `values` get, per frame and
    completed bar, the base row that completed it, its end and its columns; `counts` how many
    there are. `minutes` of 0 is the session.
    """
    for i in range(len(which)):
        symbol = which[i]
        bar = bars[i]
        _run(session[symbol : symbol + 1], running[symbol], opens[i], bar)
        bar[SESSION_MINUTES] = (at[i] - opens[i]) / US_PER_MINUTE
        for frame in range(len(minutes)):
            end = closes[i]
            if minutes[frame] > 0:
                length = minutes[frame] * US_PER_MINUTE
                end = min(end, opens[i] + (at[i] - opens[i] + length - 1) // length * length)
            longer = growing[symbol, frame]
            if ends[symbol, frame] != end:
                if ends[symbol, frame] != 0:
                    _complete(frame, i, ends[symbol, frame], longer, rows, row_ends, values, counts)
                ends[symbol, frame] = end
                longer[:] = bar
            else:
                _merge(longer, bar)
            longer[SESSION_MINUTES] = (end - opens[i]) / US_PER_MINUTE
            if at[i] == end:
                _complete(frame, i, end, longer, rows, row_ends, values, counts)
                ends[symbol, frame] = 0


@numba.njit(cache=True, error_model="numpy")
def _complete(
    frame: int,
    row: int,
    end: int,
    longer: np.ndarray,
    rows: np.ndarray,
    row_ends: np.ndarray,
    values: np.ndarray,
    counts: np.ndarray,
) -> None:
    place = counts[frame]
    rows[frame, place] = row
    row_ends[frame, place] = end
    values[frame, place] = longer
    counts[frame] = place + 1


@numba.njit(cache=True, error_model="numpy")
def _move(
    symbol: int, bar: np.ndarray, factor: float, proof: int, level: np.ndarray, away: np.ndarray, since: np.ndarray
) -> int:
    """0 where the bar is at the level of its symbol, 1 where it jumped away, 2 where its new level has held.

    `bar` are its prices; the level moves with every bar that is not a jump.
    """
    close = bar[CLOSE]
    top, bottom = max(bar[HIGH], bar[OPEN], close), min(bar[LOW], bar[OPEN], close)
    # Comparisons with a null are false: without a high and a low the close alone is looked at.
    top, bottom = (close if np.isnan(top) else top), (close if np.isnan(bottom) else bottom)
    own = level[symbol]
    far = top >= factor * bottom if np.isnan(own) else (top >= factor * own or bottom * factor <= own)
    if far:
        near = since[symbol] > 0 and top < factor * away[symbol] and bottom * factor > away[symbol]
        since[symbol] = since[symbol] + 1 if near else 1
        away[symbol] = close
        if since[symbol] < proof:
            return 1
    level[symbol] = close
    since[symbol] = 0
    return 2 if far else 0


@numba.njit(cache=True, error_model="numpy")
def moves(
    which: np.ndarray,
    bars: np.ndarray,
    factor: float,
    proof: int,
    level: np.ndarray,
    away: np.ndarray,
    since: np.ndarray,
    found: np.ndarray,
) -> None:
    """What `_move` says of each bar, in order of time for each symbol."""
    for i in range(len(which)):
        found[i] = _move(which[i], bars[i], factor, proof, level, away, since)


@numba.njit(cache=True, error_model="numpy")
def admitted(
    which: np.ndarray,
    at: np.ndarray,
    bars: np.ndarray,
    codes: np.ndarray,
    said: np.ndarray,
    factor: float,
    proof: int,
    level: np.ndarray,
    away: np.ndarray,
    since: np.ndarray,
    last_at: np.ndarray,
    last_bars: np.ndarray,
    before: np.ndarray,
) -> None:
    """Write the code of each bar that comes late, twice, out of order or jumps; those with a code already have one.

    `said` are the codes of late, out of order, twice, contradictory, jump. `before` is `last_at` as the call began.
    """
    for i in range(len(which)):
        symbol = which[i]
        if codes[i] != 0:
            continue
        if at[i] < last_at[symbol]:
            codes[i] = said[0] if at[i] <= before[symbol] else said[1]
        elif at[i] == last_at[symbol]:
            same = True
            for place in range(bars.shape[1]):
                a, b = bars[i, place], last_bars[symbol, place]
                same = same and (a == b or (np.isnan(a) and np.isnan(b)))
            codes[i] = said[2] if same else said[3]
        elif _move(symbol, bars[i], factor, proof, level, away, since) == 1:
            codes[i] = said[4]
        else:
            last_at[symbol] = at[i]
            last_bars[symbol] = bars[i]
