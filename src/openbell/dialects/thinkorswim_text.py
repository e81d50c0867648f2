"""A ticket as thinkorswim writes it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from openbell.core.ticket import OrderType, Reading, Status, Ticket, TicketLeg
from openbell.core.types import Side
from openbell.dialects.inverse import decimal, same_order
from openbell.dialects.thinkorswim_dates import CODES, MONTHS, ROOT

_VERBS = {
    (Side.BUY, True): "BOT", (Side.SELL, True): "SOLD", (Side.BUY, False): "BUY", (Side.SELL, False): "SELL",
}  # fmt: skip
_CALLED = {"DOUBLE DIAGONAL": "DBL DIAG", "DOUBLE CALENDAR": "DBL CAL"}
#: The sizes of the legs that the word alone says.
_USUAL = {"BUTTERFLY": (1, 2, 1)}
_RATIOED = ("BACKRATIO", "RATIO", "CUSTOM")


def written_text(order: Ticket, read: Callable[[str], Reading]) -> str:
    """The text of `order`, checked by reading it back; what comes back as another order is refused."""
    text = " ".join(part for part in _text(order) if part)
    return same_order(text, order, read, "a thinkorswim order")


def price_text(value: float) -> str:
    """A price with two decimals at least and no 0 before the point: 1.30, .45, 1.255."""
    whole, _, decimals = decimal(value).partition(".")
    return f"{'' if whole == '0' else whole}.{decimals.ljust(2, '0')}"


def _text(order: Ticket) -> list[str]:
    way = 1 if order.side is Side.BUY else -1
    future = order.underlying.startswith("/")
    return [
        f"#{order.number}" if order.number else "",
        "WORKING" if order.status is Status.WORKING else "",
        _VERBS[order.side, order.status is Status.FILLED],
        f"{'+' if way > 0 else '-'}{order.quantity}",
        *_strategy(order, way),
        order.underlying,
        f"1/{decimal(order.multiplier)}" if future else decimal(order.multiplier),
        *_days(order, future),
        _roots(order),
        "/".join(decimal(leg.strike) for leg in _named(order)),
        _rights(order),
        *_price(order, way),
        order.time_in_force or "",
        order.exchange or "",
        _condition(order),
        order.comment or "",
    ]


def _strategy(order: Ticket, way: int) -> tuple[str, str]:
    """The ratio, where it has to be said, and the word."""
    if order.strategy == "SINGLE":
        return "", ""
    called = _CALLED.get(order.strategy, order.strategy)
    sizes = tuple(leg.ratio * way for leg in order.legs)
    plain = tuple(map(abs, sizes))
    if order.strategy == "CUSTOM":
        return "/".join(map(str, sizes)), called
    if order.strategy in _RATIOED:
        return "/".join(map(str, plain)), called
    if plain == _USUAL.get(order.strategy, (1,) * len(plain)):
        return "", called
    return "/".join(map(str, plain)), f"~{called}"


def _named(order: Ticket) -> tuple[TicketLeg, ...]:
    """The legs whose strikes are named: a strike that two legs share by the word is named once."""
    if order.strategy in ("CALENDAR", "STRADDLE"):
        return order.legs[:1]
    return order.legs


def _days(order: Ticket, future: bool) -> list[str]:
    """Series and expiries: for each leg of a custom order, else each once, in the order of the legs."""
    each = [_day(leg.expiry, leg.root) for leg in order.legs]
    shown = each if order.strategy == "CUSTOM" and len(set(each)) > 1 else list(dict.fromkeys(each))
    mark = f" [{order.settlement.value}]" if order.settlement else ""
    series = order.series.split("/") if order.series else []
    if not future and (len(series) <= 1 or len(series) != len(shown)):
        return [*(f"({word})" for word in series), "/".join(f"{day}{mark}" for day in shown if day)]
    named = [f" ({word})" for word in series] + [""] * max(0, len(shown) - len(series))
    return ["/".join(f"{day}{word}{mark}" for day, word in zip(shown, named, strict=False) if day)]


def _day(day: dt.date | None, root: str | None) -> str:
    if day is not None:
        return f"{day.day} {MONTHS[day.month - 1]} {day:%y}"
    match = ROOT.fullmatch(root or "")
    return f"{MONTHS[CODES.index(match[1])]} {match[2].zfill(2)}" if match else ""


def _roots(order: Ticket) -> str:
    each = [leg.root for leg in order.legs if leg.root]
    return "/".join(each if order.strategy == "CUSTOM" and len(set(each)) > 1 else dict.fromkeys(each))


def _rights(order: Ticket) -> str:
    each = [leg.right.value for leg in order.legs]
    if order.strategy in ("IRON CONDOR", "IRON BUTTERFLY", "SONAR"):
        each = each[::2]
    elif order.strategy != "CUSTOM" and len(set(each)) == 1:
        each = each[:1]
    return "/".join(each)


def _price(order: Ticket, way: int) -> list[str]:
    parts = []
    if order.premium is not None:
        price = order.premium * way
        sign, word = ("", "") if price >= 0 else ("-", "db" if order.premium > 0 else "cr")
        parts.append(f"@{sign}{price_text(abs(price))}{word}")
    if order.order_type is OrderType.LIMIT:
        return [*parts, "" if order.status is Status.FILLED else "LMT"]
    if order.order_type is OrderType.MARKET:
        return [*parts, "" if order.time_in_force == "MOC" else "MKT"]
    return [*parts, order.order_type.value, "" if order.trigger is None else price_text(order.trigger)]


def _condition(order: Ticket) -> str:
    if order.condition is None:
        return ""
    found = order.condition
    direction = "ABOVE" if found.above else "BELOW"
    return f"WHEN {found.symbol} {found.measure} AT OR {direction} {decimal(found.level)}"
