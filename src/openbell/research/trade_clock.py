"""The exchange's clock of a trade: its session, the ends of that session, and the trading time to its expiry."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.time import Sessions

EXCHANGE_ZONE = "America/New_York"
OPEN, CLOSE = dt.time(9, 30), dt.time(16)
#: Minutes of trading in a year: 252 whole sessions.
YEAR_MINUTES = 252 * 390.0

_MINUTE = np.timedelta64(1, "m") / np.timedelta64(1, "us")
_NO_MOMENT = np.datetime64("NaT", "us")


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """Of n trades. session : datetime64[D]. open_at, close_at, expires_at : datetime64[us] UTC. years : NaN if none."""

    session: np.ndarray
    open_at: np.ndarray
    close_at: np.ndarray
    expires_at: np.ndarray
    years: np.ndarray

    def moments(self) -> dict[str, np.ndarray]:
        """The moments in microseconds since 1970 as floats, which hold them exactly; NaN where there is none."""
        found = {name: getattr(self, name) for name in ("open_at", "close_at", "expires_at")}
        return {
            name: np.where(np.isnat(each), np.nan, each.astype(np.int64).astype(np.float64))
            for name, each in found.items()
        }


#: Exchange day of ``known_at``.
SESSION = pl.col("known_at").dt.convert_time_zone(EXCHANGE_ZONE).dt.date().alias("session")


@dataclass(frozen=True, slots=True, eq=False)
class _Calendar:
    """Sessions (s,): days, opens and closes; the minutes of each, and those of all before it."""

    days: np.ndarray
    opens: np.ndarray
    closes: np.ndarray
    length: np.ndarray
    gone: np.ndarray

    @classmethod
    def of(cls, days: np.ndarray, opens: np.ndarray, closes: np.ndarray) -> _Calendar:
        length = (closes - opens).astype(np.float64) / _MINUTE
        return cls(days, opens, closes, length, np.cumsum(length) - length)


def clock(known_at: pl.Series, expiry: pl.Series, session: pl.Series, sessions: Sessions | None = None) -> Clock:
    """The clock of trades known at `known_at` (UTC) on the exchange day `session`, that expire on `expiry` (Date).

    The session is the exchange day of `known_at`; open and close are NaT where that is no session. The expiry is the
    close of the last session up to `expiry`, NaT beyond the calendar. `years` are the minutes of trading from
    `known_at` to there over 252 x 390: all variance is taken to lie in the sessions, and half days have half of it. NaN
    where nothing is left, or where session or expiry are unknown.

    Without `sessions` every weekday has a session from 09:30 to 16:00 New York.
    """
    moment = known_at.to_numpy().astype("datetime64[us]")
    today, last = (each.to_numpy().astype("datetime64[D]") for each in (session, expiry))
    return clock_of(moment, today, last, sessions)


def clock_of(moment: np.ndarray, today: np.ndarray, last: np.ndarray, sessions: Sessions | None = None) -> Clock:
    """`clock` of moments (datetime64[us]), exchange days and expiries (datetime64[D]), each (n,)."""
    calendar = _weekdays(today, last) if sessions is None else _kept(sessions)
    days, opens, closes = calendar.days, calendar.opens, calendar.closes
    if not len(days):
        none = np.full(len(moment), _NO_MOMENT)
        return Clock(today, none, none, none, np.full(len(moment), np.nan))
    length, gone = calendar.length, calendar.gone
    at = np.minimum(np.searchsorted(days, today), len(days) - 1)
    trading = days[at] == today
    end = np.searchsorted(days, last, side="right") - 1
    ends = (end >= 0) & (last <= days[-1])
    passed = np.minimum(np.maximum((moment - opens[at]).astype(np.float64) / _MINUTE, 0.0), length[at])
    left = gone[end] + length[end] - gone[at] - passed
    return Clock(
        session=today,
        open_at=np.where(trading, opens[at], _NO_MOMENT),
        close_at=np.where(trading, closes[at], _NO_MOMENT),
        expires_at=np.where(ends, closes[end], _NO_MOMENT),
        years=np.where(trading & ends & (left > 0), left / YEAR_MINUTES, np.nan),
    )


#: Calendars as arrays, the last used ones; a request would spend longer on making them than on its own clock.
_calendars: list[tuple[Sessions, _Calendar]] = []
_MOST_CALENDARS = 4


def _kept(sessions: Sessions) -> _Calendar:
    for known, found in _calendars:
        if known is sessions:
            return found
    made = _calendar(sessions)
    _calendars.append((sessions, made))
    del _calendars[:-_MOST_CALENDARS]
    return made


def _calendar(sessions: Sessions) -> _Calendar:
    frame = sessions.frame
    return _Calendar.of(
        frame["session"].to_numpy().astype("datetime64[D]"),
        frame["open_at"].to_numpy().astype("datetime64[us]"),
        frame["close_at"].to_numpy().astype("datetime64[us]"),
    )


def _weekdays(session: np.ndarray, last: np.ndarray) -> _Calendar:
    """Every weekday that the trades touch, and a week before, where an expiry on a Saturday falls back to."""
    known = np.concatenate([session[~np.isnat(session)], last[~np.isnat(last)]])
    if not len(known):
        empty = np.array([], dtype="datetime64[us]")
        return _Calendar.of(np.array([], dtype="datetime64[D]"), empty, empty)
    days = np.arange(known.min() - np.timedelta64(7, "D"), known.max() + np.timedelta64(4, "D"))
    days = days[np.is_busday(days)]
    frame = pl.DataFrame({"day": days})
    ends = frame.select(
        pl.col("day").dt.combine(time).dt.replace_time_zone(EXCHANGE_ZONE).dt.convert_time_zone("UTC").alias(name)
        for name, time in (("open", OPEN), ("close", CLOSE))
    )
    opens, closes = (ends[name].to_numpy().astype("datetime64[us]") for name in ("open", "close"))
    return _Calendar.of(days, opens, closes)
