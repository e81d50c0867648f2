"""A hand-made product that trades through the night, for the tests of the almanac."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from openbell.core.bars import MINUTES
from openbell.core.time import MOMENT
from openbell.research.almanac_days import almanac

ZONE = "America/New_York"
NEW_YORK = ZoneInfo(ZONE)
#: The sessions of a November with Thanksgiving (a holiday), an early close after it, and the end of summer time on
#: Sunday the 5th: 23 sessions, of which 22 have one before them.
NOVEMBER = tuple(
    day
    for day in (dt.date(2023, 10, 30) + dt.timedelta(days=n) for n in range(32))
    if day.weekday() < 5 and day != dt.date(2023, 11, 23)
)
EARLY = {dt.date(2023, 11, 24): dt.time(13, 0)}


def moment(day, clock):
    """`clock` (``HH:MM``) of `day` in New York, UTC."""
    hours, minutes = map(int, clock.split(":"))
    return dt.datetime.combine(day, dt.time(hours, minutes), NEW_YORK).astimezone(dt.UTC)


def hours(days=NOVEMBER):
    """18:00 of the evening before to 17:00, regular 9:30 to 16:00; early closes end both."""
    rows = []
    for day in days:
        end = EARLY.get(day)
        rows.append(
            {
                "session": day,
                "open_at": moment(day - dt.timedelta(days=1), "18:00"),
                "close_at": moment(day, f"{end:%H:%M}" if end else "17:00"),
                "regular_open_at": moment(day, "09:30"),
                "regular_close_at": moment(day, f"{end:%H:%M}" if end else "16:00"),
            }
        )
    return pl.DataFrame(rows, schema={"session": pl.Date, **dict.fromkeys(list(rows[0])[1:], MOMENT)})


def bars(days=NOVEMBER, *, seed=1, minutes=30, symbol="NQ", times=None, delay=0):
    """Random bars of so many minutes over the whole of each session, columns of `MINUTES`."""
    random = np.random.default_rng(seed)
    rows = []
    price = 100.0
    for row in (hours(days) if times is None else times).iter_rows(named=True):
        at = row["open_at"]
        while at < row["close_at"]:
            at += dt.timedelta(minutes=minutes)
            opened, price = price, price * float(np.exp(random.normal(0, 0.002)))
            high, low = max(opened, price) * 1.001, min(opened, price) * 0.999
            volume = float(random.integers(100, 1_000))
            known = at + dt.timedelta(minutes=delay)
            freq = {1: "1m", 5: "5m", 15: "15m", 60: "1h"}.get(minutes, "15m")
            rows.append((symbol, freq, row["session"], at, opened, high, low, price, volume, None, None, known, "made"))
    return pl.DataFrame(rows, schema=dict(MINUTES), orient="row")


def made(days=NOVEMBER, **more):
    """The almanac of `bars`."""
    return almanac(bars(days, **more), hours(days))
