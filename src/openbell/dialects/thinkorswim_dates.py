"""The expiries and the settlement of a thinkorswim order: days, months of futures options, and what is left out."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from openbell.core.types import Settlement
from openbell.dialects.resolving import days_on, undated, with_year
from openbell.dialects.strategies import Expiry
from openbell.dialects.thinkorswim_parts import Parts

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
#: Letters of the months in symbols of futures.
CODES = "FGHJKMNQUVXZ"
_DAY = re.compile(r"([0-9]{0,2})\s?([A-Za-z]{3})[A-Za-z]*\s?([0-9]*)")
ROOT = re.compile(rf"/[A-Z][A-Z0-9]*([{CODES}])([0-9]{{1,2}})")


class Fault(Exception):
    """What is wrong with an order, and where in its text it stands."""

    def __init__(self, token: Any, sentence: str) -> None:
        super().__init__(sentence)
        self.position = int(getattr(token, "start_pos", 0) or 0)


def expiries_of(parts: Parts, symbol: str, at: dt.datetime | None) -> tuple[tuple[Expiry, ...], tuple[str, ...]]:
    """The expiries in the order of the text, one at least, and what was resolved."""
    roots = [str(each).split(":")[0].upper() for each in parts.roots]
    if not parts.expiries:
        return _undated(symbol, roots, at)
    if roots and len(roots) not in (1, len(parts.expiries)):
        raise Fault(parts.roots[0], f"{len(roots)} option roots do not fit {len(parts.expiries)} expiries.")
    _check_year(parts)
    found, flags = [], []
    for index, (token, _) in enumerate(parts.expiries):
        root = roots[min(index, len(roots) - 1)] if roots else None
        expiry, told = _expiry(token, root, parts.future is not None, at)
        found.append(expiry)
        flags.extend(told)
    monthly = {each.day is None for each in found}
    if len(monthly) > 1:  # a month and a day of it cannot be put in order
        found = [Expiry(each.day, each.root) for each in found]
    return tuple(found), tuple(dict.fromkeys(flags))


def settlement_of(parts: Parts, expiries: tuple[Expiry, ...]) -> tuple[Settlement | None, tuple[str, ...]]:
    """AM or PM where the text says so; for one of several days only, it is flagged."""
    said = [None if each is None else str(each).strip("[]").upper() for _, each in parts.expiries]
    given = {each for each in said if each is not None}
    if not given:
        return None, ()
    first = next(each for _, each in parts.expiries if each is not None)
    if len(given) > 1:
        raise Fault(first, "The order has legs that settle AM and legs that settle PM; a ticket carries one of them.")
    if None not in said:
        return Settlement(given.pop()), ()
    with_it = {each.day for each, mark in zip(expiries, said, strict=True) if mark}
    without = {each.day for each, mark in zip(expiries, said, strict=True) if not mark}
    if with_it & without:
        raise Fault(first, "Two legs of one day settle differently, AM and PM; a ticket carries one settlement.")
    days = " and ".join(sorted(str(day) for day in with_it))
    return Settlement(given.pop()), (f"{first} stands behind {days} only; the ticket carries one settlement for all.",)


def _check_year(parts: Parts) -> None:
    """Refuse ``20 FEB 26 CALL``: whether 26 is the year or the strike is not said."""
    last, first = parts.expiries[-1][0], parts.strikes[0]
    if last.type == "YEARLESS" and re.fullmatch(r"(20)?[0-9]{2}", first):
        raise Fault(first, f"Whether `{first}` is the year of {last} or a strike is not said; name both.")


def _undated(symbol: str, roots: list[str], at: dt.datetime | None) -> tuple[tuple[Expiry, ...], tuple[str, ...]]:
    root = roots[0] if len(roots) == 1 else None
    day, told = undated(symbol, at)
    return (Expiry(day, root, None if day is None else day.toordinal()),), (told,)


def _expiry(token: Any, root: str | None, future: bool, at: dt.datetime | None) -> tuple[Expiry, tuple[str, ...]]:
    if token.type == "MONTHLY":
        return _monthly(token, root, future)
    if token.type == "DTE":
        days = int(re.sub(r"\D", "", token))
        day, told = days_on(days, at)
        if day is None and (days or at is not None):
            raise Fault(token, told)
        return Expiry(day, root, None if day is None else day.toordinal()), (told,)
    day, flags = _day(token, at)
    if day is not None and day.weekday() >= 5:
        flags = (*flags, f"{day} is a {day:%A}; options that were listed before 2015 expired on Saturdays.")
    return Expiry(day, root, None if day is None else day.toordinal()), flags


def _day(token: Any, at: dt.datetime | None) -> tuple[dt.date | None, tuple[str, ...]]:
    try:
        if token.type == "ISO":
            return dt.date.fromisoformat(str(token)), ()
        day, month, year = _split(token)
        if token.type == "DATED":
            return dt.date(year, month, day), ()
        found, told = with_year(month, day, at)
    except ValueError:
        raise Fault(token, f"`{token}` is no day of the calendar.") from None
    if found is None and at is not None:
        raise Fault(token, told)
    return found, (told,)


def _split(token: Any) -> tuple[int, int, int]:
    """Day, month and year of a token; 0 for what it does not name."""
    match = _DAY.fullmatch(str(token))
    day, month, year = match.groups() if match else ("", "", "")
    if month.upper() not in MONTHS:
        raise ValueError(token)
    number = int(year or 0)
    return int(day or 0), MONTHS.index(month.upper()) + 1, number + 2000 if year and number < 100 else number


def _monthly(token: Any, root: str | None, future: bool) -> tuple[Expiry, tuple[str, ...]]:
    """The month of a futures option, whose day only the exchange's calendar knows; its root carries the month."""
    _, month, year = _split(token)
    if not future:
        raise Fault(token, f"`{token}` may be a month and its year or a month and its day; write the day, 18 {token}.")
    if root is None:
        raise Fault(token, f"`{token}` is a month; the day is not known without the option's root, such as /EW5U26.")
    match = ROOT.fullmatch(root)
    if match is None or CODES.index(match[1]) + 1 != month or year % 10 ** len(match[2]) != int(match[2]):
        raise Fault(token, f"The month `{token}` is not the one of the option's root {root}.")
    told = f"The text names the month {MONTHS[month - 1]} {year} and no day; the expiry of {root} is open."
    return Expiry(None, root, year * 12 + month), (told,)
