"""Moments are aware and UTC; a date is a trading session."""

from __future__ import annotations

import bisect
import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from openbell.core.errors import BadInput

MOMENT = pl.Datetime("us", "UTC")


def utc(moment: dt.datetime) -> dt.datetime:
    """`moment` in UTC. A naive one is an error: nobody can know which clock it was read from."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise BadInput(
            f"The moment {moment.isoformat()} has no time zone. "
            f"Write it with one, for example {moment.isoformat()}+00:00."
        )
    return moment.astimezone(dt.UTC)


@dataclass(frozen=True)
class Sessions:
    """The trading sessions of one exchange, in order, with their opens and closes.

    Parameters
    ----------
    exchange : ISO 10383 code, for example ``XNYS``.
    dates : sorted session dates, shape (n,).
    opens, closes : aware UTC moments, shape (n,); early closes and daylight saving are in them.
    """

    exchange: str
    dates: tuple[dt.date, ...]
    opens: tuple[dt.datetime, ...]
    closes: tuple[dt.datetime, ...]

    def __contains__(self, date: dt.date) -> bool:
        at = bisect.bisect_left(self.dates, date)
        return at < len(self.dates) and self.dates[at] == date

    def index(self, date: dt.date) -> int:
        """Position of the session `date`; a day without a session is refused with its neighbours."""
        at = bisect.bisect_left(self.dates, date)
        if at < len(self.dates) and self.dates[at] == date:
            return at
        around = [self.dates[i].isoformat() for i in (at - 1, at) if 0 <= i < len(self.dates)]
        raise BadInput(
            f"{date.isoformat()} ({date:%A}) is not a session of {self.exchange}. "
            f"The nearest sessions are {' and '.join(around)}."
        )

    def open(self, date: dt.date) -> dt.datetime:
        """Opening moment of the session `date`, UTC."""
        return self.opens[self.index(date)]

    def close(self, date: dt.date) -> dt.datetime:
        """Closing moment of the session `date`, UTC; early closes included."""
        return self.closes[self.index(date)]

    def shift(self, date: dt.date, sessions: int) -> dt.date:
        """The session `sessions` after (or, negative, before) the session `date`."""
        at = self.index(date) + sessions
        if not 0 <= at < len(self.dates):
            raise BadInput(
                f"{abs(sessions)} sessions {'after' if sessions > 0 else 'before'} {date.isoformat()} lies outside "
                f"the calendar of {self.exchange}, which holds {self.dates[0]} to {self.dates[-1]}."
            )
        return self.dates[at]

    def between(self, first: dt.date, last: dt.date) -> tuple[dt.date, ...]:
        """Sessions from `first` to `last`, both included."""
        return self.dates[bisect.bisect_left(self.dates, first) : bisect.bisect_right(self.dates, last)]

    def last_closed(self, moment: dt.datetime) -> dt.date:
        """The latest session whose close is at or before `moment`."""
        at = bisect.bisect_right(self.closes, utc(moment)) - 1
        if at < 0:
            raise BadInput(f"No session of {self.exchange} had closed by {moment.isoformat()}.")
        return self.dates[at]

    @cached_property
    def frame(self) -> pl.DataFrame:
        """Columns ``session`` (Date), ``open_at``, ``close_at`` (UTC), ``number`` (UInt32, counts sessions)."""
        return pl.DataFrame(
            {"session": self.dates, "open_at": self.opens, "close_at": self.closes},
            schema={"session": pl.Date, "open_at": MOMENT, "close_at": MOMENT},
        ).with_row_index("number")
