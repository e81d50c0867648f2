"""Trading sessions of an exchange, from exchange_calendars."""

from __future__ import annotations

import datetime as dt
import threading
import warnings
from functools import lru_cache
from typing import Any

from openbell.core.errors import BadInput, nearest
from openbell.core.time import Sessions

#: First and last day of the calendar unless asked otherwise. Neither comes from a clock.
FIRST = dt.date(1990, 1, 1)
LAST = dt.date(2030, 12, 31)
#: Two threads that ask at once get one calendar; and what is done about warnings holds for the whole process.
_ALONE = threading.RLock()


def sessions(exchange: str = "XNYS", start: dt.date | int = FIRST, end: dt.date | int = LAST) -> Sessions:
    """The sessions of `exchange` from `start` to `end`; a year stands for its first or its last day.

    The same arguments give the same object within a process.
    """
    first = dt.date(start, 1, 1) if isinstance(start, int) else start
    last = dt.date(end, 12, 31) if isinstance(end, int) else end
    with _ALONE:
        return _sessions(exchange.upper(), first, last)


@lru_cache(maxsize=16)
def _sessions(exchange: str, first: dt.date, last: dt.date) -> Sessions:
    if last < first:
        raise BadInput(f"A calendar cannot end on {last} before it starts on {first}. Exchange the two dates.")
    schedule = _calendar(exchange, first, last).schedule
    return Sessions(
        exchange,
        tuple(schedule.index.date),
        tuple(schedule["open"].dt.to_pydatetime()),
        tuple(schedule["close"].dt.to_pydatetime()),
    )


@lru_cache(maxsize=16)
def time_zone(exchange: str = "XNYS") -> str:
    """The time zone that `exchange` keeps its days in, for example ``America/New_York``."""
    return str(_calendar(exchange.upper(), dt.date(2024, 1, 1), dt.date(2024, 2, 1)).tz)


def _calendar(exchange: str, first: dt.date, last: dt.date) -> Any:
    # Imported here: it brings pandas with it, which a command that needs no calendar should not pay for.
    from exchange_calendars import calendar_utils, errors

    try:
        with _ALONE, warnings.catch_warnings():
            # exchange_calendars 4.13 reads `.values` of aware columns, which pandas 3.1 announces to change.
            warnings.filterwarnings("ignore", message="Series.values returning", category=DeprecationWarning)
            return calendar_utils.get_calendar(exchange, start=first.isoformat(), end=last.isoformat())
    except errors.InvalidCalendarName as unknown:
        names = calendar_utils.get_calendar_names()
        raise BadInput(f"There is no calendar of the exchange `{exchange}`. {nearest(exchange, names)}") from unknown
    except ValueError as refused:
        raise BadInput(f"There is no calendar of {exchange} from {first} to {last}: {refused}") from refused
