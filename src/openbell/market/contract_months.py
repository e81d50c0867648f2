"""Delivery months of futures: how they are written, and the last day that each contract trades."""

from __future__ import annotations

import bisect
import calendar
import datetime as dt
import re

from openbell.core.errors import BadInput
from openbell.core.time import Sessions
from openbell.market.products import Product, sessions

#: Letters of the months, January first.
LETTERS = "FGHJKMNQUVXZ"
_NUMBERS = re.compile(r"^(\d{4})-?(\d{2})$")
_LETTER = re.compile(rf"^[A-Z0-9]*?([{LETTERS}])(\d{{4}}|\d{{2}})$")
_SYMBOL = re.compile(r"^([A-Z0-9]+)_(\d{4})(\d{2})$")


def contract_month(text: str) -> tuple[int, int]:
    """Year and month of a contract: ``201312``, ``2013-12``, ``Z13``, ``ESZ13`` or ``ESZ2013``.

    Two digits of a year from 70 on are of the last century. One digit is refused: it comes back every ten years.
    """
    said = text.strip().upper()
    found = _NUMBERS.match(said)
    if found:
        year, month = int(found[1]), int(found[2])
    else:
        found = _LETTER.match(said)
        if not found:
            raise BadInput(
                f"`{text}` is no contract. Write its delivery month as 201312, or as a letter and a year: ESZ13."
            )
        year, month = int(found[2]), LETTERS.index(found[1]) + 1
        if year < 100:
            year += 1900 if year >= 70 else 2000
    if not (1 <= month <= 12 and 1970 <= year <= 2099):
        raise BadInput(f"`{text}` names the month {month} of {year}, which no contract is of. Write it like 201312.")
    return year, month


def contract_symbol(code: str, contract: str) -> str:
    """The symbol that one contract is stored under, for example ``ES_201312``."""
    year, month = contract_month(contract)
    return f"{code}_{year:04d}{month:02d}"


def of_contract(symbol: str) -> tuple[str, tuple[int, int]] | None:
    """Product and delivery month of a symbol that `contract_symbol` made; None of any other."""
    found = _SYMBOL.match(symbol)
    return (found[1], (int(found[2]), int(found[3]))) if found else None


def last_trading_day(product: Product, year: int, month: int) -> dt.date:
    """The last session of the contract of `product` for delivery in `month` of `year`, by the exchange's present rule.

    Stock indices: the third Friday. Currencies: two sessions before the third Wednesday (Canadian dollar: one). Grains:
    the session before the 15th. Treasury notes of 10 years and bonds: seven sessions before the month's last one; of 2
    and 5 years: the last one. Metals: the third last session of the month. Crude oil: three sessions before the 25th of
    the month before, counted from the session before where that is none. Natural gas: the third last session of the
    month before. An index whose third Friday is no session ends on the session before.
    """
    rule = _RULES.get(product.code)
    if rule is None:
        raise BadInput(f"{product.code} ({product.name}) has no contracts that expire.")
    name, count = rule
    days = sessions(product)
    before = (year, month - 1) if month > 1 else (year - 1, 12)
    if name == "third_friday":
        return _back(days, _nth(year, month, calendar.FRIDAY, 3), 0)
    if name == "third_wednesday":
        return _back(days, _nth(year, month, calendar.WEDNESDAY, 3) - dt.timedelta(days=1), count - 1)
    if name == "middle":
        return _back(days, dt.date(year, month, 14), 0)
    if name == "month":
        return _back(days, _month_end(year, month), count)
    if name == "month_before":
        return _back(days, _month_end(*before), count)
    return _back(days, dt.date(*before, 25), count)


_RULES: dict[str, tuple[str, int]] = {
    **dict.fromkeys(("ES", "NQ", "YM"), ("third_friday", 0)),
    **dict.fromkeys(("AD", "BP", "EU", "JY", "SF", "RP"), ("third_wednesday", 2)),
    "CD": ("third_wednesday", 1),
    **dict.fromkeys(("C", "S", "W"), ("middle", 0)),
    **dict.fromkeys(("TY", "US"), ("month", 7)),
    **dict.fromkeys(("TU", "FV"), ("month", 0)),
    **dict.fromkeys(("GC", "SI", "HG", "PL", "PA"), ("month", 2)),
    "NG": ("month_before", 2),
    "CL": ("25th_before", 3),
}


def _nth(year: int, month: int, weekday: int, count: int) -> dt.date:
    first = dt.date(year, month, 1)
    return first + dt.timedelta(days=(weekday - first.weekday()) % 7 + 7 * (count - 1))


def _month_end(year: int, month: int) -> dt.date:
    return dt.date(year, month, calendar.monthrange(year, month)[1])


def _back(days: Sessions, day: dt.date, count: int) -> dt.date:
    """The session `count` before the last one up to `day`."""
    at = bisect.bisect_right(days.dates, day) - 1 - count
    if at < 0 or day > days.dates[-1]:
        raise BadInput(f"{day} lies outside the calendar of {days.exchange}, {days.dates[0]} to {days.dates[-1]}.")
    return days.dates[at]


__all__ = ["LETTERS", "contract_month", "contract_symbol", "last_trading_day", "of_contract"]
