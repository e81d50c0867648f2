"""The alert message with predictions: what it foresees of one symbol, and the orders in it.

The heading (``SPX 0DTE Analysis``) names the symbol and the days to expiry; with the moment of the message, 0DTE dates
orders of that symbol that name no expiry. Short and long term are kept as written and classified as price levels or as
scores (S1.18); lines of bias are passed over. An iron condor under the heading ``Sonar`` is a sonar. Orders are read
line by line in the dialects of orders.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from openbell.core.ticket import Prophecy, Reading, Refusal, Scale, Ticket
from openbell.dialects import discord, thinkorswim
from openbell.dialects.inverse import decimal
from openbell.dialects.places import grammar, shortened
from openbell.dialects.resolving import days_on

NAME = "alert"
#: A line with a verb and a number behind it, a verb of alerts, or a price and a right without any verb.
_ORDERS = re.compile(
    rf"{discord.CONTRACT.pattern}|"
    r"(?<![A-Za-z0-9_])(?:(?:buy|sell|bot|sold)\s+[+-]?\s?[0-9]|(?:bto|sto|btc|stc)(?![A-Za-z0-9_]))"
    r"|@.*?\b(?:call|put)\b|\b(?:call|put)\b.*?@",
    re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(r"[-+]?\$?(?:[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)", re.ASCII)
_NOTHING = {"n/a", "na", "none", "-", "--", "null", "tbd", "nan"}
_DECORATION = re.compile(r"[*`~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\r")
_FIELDS = {
    "price": "price", "currentprice": "price", "spotprice": "price", "predictedclose": "predicted_close",
    "predicted": "predicted_close", "shortterm": "short_term", "longterm": "long_term", "target1": "target1",
    "target2": "target2",
}  # fmt: skip
_WRITTEN = (
    ("Price", "price"), ("Predicted Close", "predicted_close"), ("Short term", "short_term"),
    ("Long term", "long_term"), ("Target 1", "target1"), ("Target 2", "target2"),
)  # fmt: skip
#: A reader of the orders in a stretch of text.
Reader = Callable[..., Reading]


@dataclass
class _Message:
    """What the lines of a message say, each with its offset."""

    heading: tuple[str, int] | None = None
    values: dict[str, float] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    sections: list[tuple[int, str]] = field(default_factory=list)


def is_alert(text: str) -> bool:
    """Whether a line of `text` states a prediction or is a heading."""
    message = _message(text)
    return message.heading is not None or bool(message.values)


def read(text: str, *, at: dt.datetime | None = None, orders: Reader | None = None) -> Reading:
    """The predictions of a message and its orders, which `orders` reads (by default the dialect thinkorswim)."""
    message = _message(text)
    prophecy = _prophecy(message, text)
    tickets: list[Ticket] = []
    refusals = list(message.refusals)
    for offset, line in order_lines(text):
        found = (orders or thinkorswim.read)(line, at=at if prophecy.days_to_expiry in (None, 0) else None)
        section = next((name for start, name in reversed(message.sections) if start <= offset), None)
        tickets += [_placed(each, prophecy, section, at) for each in found.tickets]
        refusals += [replace(each, position=each.position + offset) for each in found.refusals]
    refusals.sort(key=lambda each: each.position)
    return Reading(tuple(tickets), tuple(refusals), prophecy, NAME)


def is_order(line: str) -> bool:
    """Whether a line looks like an order."""
    return _ORDERS.search(line) is not None


def order_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each line of `text` that looks like an order, with its offset."""
    start = 0
    for line in text.split("\n"):
        if is_order(line):
            yield start, line
        start += len(line) + 1


def _message(text: str) -> _Message:
    """Headings, sections and predictions, line by line; a line that holds an order states nothing else."""
    message, start = _Message(), 0
    for line in text.split("\n"):
        plain = _DECORATION.sub(" ", line)
        if plain.strip() and not is_order(line):
            lead = len(plain) - len(plain.lstrip())
            _state(message, _tree(plain.strip()), start + lead, line)
        start += len(line) + 1
    return message


def _tree(line: str) -> Any:
    from lark.exceptions import UnexpectedInput

    try:
        return grammar("alert.lark").parse(line).children
    except UnexpectedInput:
        return []  # free text


def _state(message: _Message, found: list[Any], offset: int, line: str) -> None:
    for part in found:
        if part.data == "heading":
            _heading(message, part, offset, line)
        elif part.data == "section":
            name = " ".join(re.sub(r":", "", part.children[0]).upper().split())
            message.sections.append((offset, name))
        elif part.data == "statements":
            for each in part.children:
                if getattr(each, "data", "") == "prediction":
                    _prediction(message, each, offset, line)


def _heading(message: _Message, part: Any, offset: int, line: str) -> None:
    tokens = {token.type: token for token in part.children}
    said = (tokens["SYMBOL"].upper().lstrip("$"), int(re.sub(r"[^0-9]", "", tokens["DTE"])[:6]))
    if message.heading not in (None, said):
        why = f"The message has a second heading, {said[0]} {said[1]}DTE; hand in each message alone."
        message.refusals.append(Refusal(shortened(line), offset, why))
        return
    message.heading = said


def _prediction(message: _Message, part: Any, offset: int, line: str) -> None:
    label, amount = part.children
    name = _FIELDS[re.sub(r"[^a-z0-9]", "", label.lower())]
    word = amount.strip().rstrip(",;.")
    place = offset + amount.start_pos + len(amount) - len(amount.lstrip())
    if word.lower() in _NOTHING:
        return
    if not _NUMBER.fullmatch(word) or len(word) > 20:
        why = f"`{word[:30]}` is no number; write it like 5862 or 5,855.50."
        message.refusals.append(Refusal(shortened(line), place, why))
        return
    value = float(word.replace(",", "").replace("$", ""))
    if name not in ("short_term", "long_term") and not value > 0:
        message.refusals.append(Refusal(shortened(line), place, f"A price must be above 0; was {word}."))
        return
    if message.values.get(name, value) != value:
        why = f"The message says {decimal(message.values[name])} and {decimal(value)} of the same; which is it?"
        message.refusals.append(Refusal(shortened(line), place, why))
        return
    message.values[name] = value


def _prophecy(message: _Message, text: str) -> Prophecy:
    symbol, days = message.heading or (None, None)
    values = dict(message.values)
    scales = {}
    for name in ("short_term", "long_term"):
        if name in values:
            scale = _scale(values[name], values)
            if scale is None:
                called = name.replace("_", " ").capitalize()
                why = f"{called} {decimal(values[name])} is not clearly a price level or a score."
                message.refusals.append(Refusal(shortened(text), 0, why))
                del values[name]
            else:
                scales[name] = scale
    if len(set(scales.values())) > 1:
        why = "Short term and long term differ in kind: one is a price level and the other a score."
        message.refusals.append(Refusal(shortened(text), 0, why))
        for name in scales:
            del values[name]
        scales = {}
    return Prophecy(symbol, days, scale=next(iter(scales.values()), None), **values)


def _scale(value: float, values: dict[str, float]) -> Scale | None:
    """A level lies between half and twice the price; a score between -1 and 1; None where it is neither or both."""
    known = [values[name] for name in ("price", "predicted_close", "target1", "target2") if name in values]
    score = -1 <= value <= 1
    level = 0.5 * known[0] <= value <= 2 * known[0] if known else value > 1
    return None if score == level else Scale.SCORE if score else Scale.LEVEL


def _placed(ticket: Ticket, prophecy: Prophecy, section: str | None, at: dt.datetime | None) -> Ticket:
    """The ticket with what its place in the message says of it."""
    if section == "SONAR" and ticket.strategy == "IRON CONDOR":
        flag = "The order stands under the heading Sonar, so its iron condor was read as a sonar."
        ticket = replace(ticket, strategy="SONAR", flags=(*ticket.flags, flag))
    if prophecy.symbol is not None and ticket.underlying != prophecy.symbol:
        flag = f"The message is about {prophecy.symbol}; what it foresees is not about {ticket.underlying}."
        return replace(ticket, flags=(*ticket.flags, flag))
    if not ticket.dated and prophecy.days_to_expiry is not None:
        day, told = days_on(prophecy.days_to_expiry, at)
        return ticket.expiring(day, told) if day is not None else replace(ticket, flags=(*ticket.flags, told))
    return ticket


def written(reading: Reading, order: Callable[[Ticket], str] = thinkorswim.written) -> str:
    """The message that reads as `reading`: heading, predictions, and each order below its section."""
    prophecy = reading.prophecy
    lines = []
    if prophecy.symbol is not None:
        lines.append(f"{prophecy.symbol} {prophecy.days_to_expiry or 0}DTE Analysis")
    for label, name in _WRITTEN:
        value = getattr(prophecy, name)
        if value is not None:
            lines.append(f"{label}: {decimal(value)}")
    for ticket in reading.tickets:
        section = ticket.strategy.title()
        plain = replace(ticket, strategy="IRON CONDOR") if ticket.strategy == "SONAR" else ticket
        lines += ["", f"{section}:" if ticket.strategy in _SECTIONS else "Butterfly:", order(plain)]
    return "\n".join(lines) + "\n"


_SECTIONS = ("BUTTERFLY", "IRON CONDOR", "SONAR", "VERTICAL")
