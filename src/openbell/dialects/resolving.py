"""What a text leaves out and the moment it was said at settles, and only that; each answer comes with its sentence."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from openbell.core.time import utc

NEW_YORK = ZoneInfo("America/New_York")
#: Nothing that expires today is traded after this time of New York.
LAST_TRADE = dt.time(16, 15)
#: A day without a year that lies further ahead than this may be of either year.
FURTHEST_DAYS = 270
#: Symbols with an expiry on every session; those of other symbols that are not on a Friday are rare.
DAILY = frozenset({"SPX", "SPXW", "XSP", "NDX", "NDXP", "RUT", "RUTW", "SPY", "QQQ", "IWM"})
#: Since when all of them have one.
DAILY_SINCE = dt.date(2024, 2, 1)


def today(at: dt.datetime) -> dt.date:
    """The day in New York at the moment `at`, whatever the machine's zone."""
    return utc(at).astimezone(NEW_YORK).date()


def same_day(at: dt.datetime | None, because: str) -> tuple[dt.date | None, str]:
    """The day of the message as an expiry, and the sentence on it; None where the day cannot be one."""
    if at is None:
        return None, f"{because}, but the day of the message is not known, so the expiry is open."
    local = utc(at).astimezone(NEW_YORK)
    if local.weekday() >= 5 or local.time() > LAST_TRADE:
        return None, (
            f"{because}, but the message is of {local:%A %Y-%m-%d %H:%M} New York, when nothing that expires that day "
            "trades, so the expiry is open."
        )
    return local.date(), f"{because}; the message is of {local.date()}, so that is the expiry."


def with_year(month: int, day: int, at: dt.datetime | None, symbol: str = "") -> tuple[dt.date | None, str]:
    """The next `month`/`day` from the message on, and the sentence on it; None where it is not clear.

    It is not clear where it lies far ahead, or is no day on which options of `symbol` usually expire: then an expiry of
    a later year may be meant. A day that no year has is refused by a ValueError.
    """
    dt.date(2024, month, day)  # a leap year, so that only impossible days fail
    written = f"The expiry {month}/{day} names no year"
    if at is None:
        return None, f"{written} and the day of the message is not known, so the expiry is open."
    first = today(at)
    for year in (first.year, first.year + 1):
        try:
            found = dt.date(year, month, day)
        except ValueError:
            continue
        if found < first:
            continue
        if (found - first).days > FURTHEST_DAYS:
            return None, f"{written}; the next one, {found}, is too far from the message to be sure, so it is open."
        if found.weekday() >= 5:
            return None, f"{written}; the next one, {found}, is a {found:%A}, on which nothing expires, so it is open."
        if found.weekday() != 4 and symbol and symbol not in DAILY:
            return None, f"{written}; the next one, {found}, is a {found:%A}, not the usual Friday, so it is open."
        return found, f"{written}; read as the next one after the message, {found}."
    return None, f"{written}, and neither this year nor the next has that day, so the expiry is open."


def days_on(days: int, at: dt.datetime | None) -> tuple[dt.date | None, str]:
    """The expiry that is `days` days to expiry from the message on; only today is the same in every way of counting."""
    if days == 0:
        return same_day(at, "The order is for the day of the message (0DTE)")
    return None, f"{days}DTE may count days or sessions, so the expiry is open."


def undated(symbol: str, at: dt.datetime | None) -> tuple[dt.date | None, str]:
    """The expiry of an order on `symbol` that names none: the day of the message where it always has one."""
    because = "The order names no expiry"
    if symbol not in DAILY or (at is not None and today(at) < DAILY_SINCE):
        return None, f"{because}, and {symbol} has none on every day, so it is open."
    return same_day(at, because)
