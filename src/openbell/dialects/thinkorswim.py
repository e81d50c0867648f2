"""Orders and fills as thinkorswim writes them, read into tickets; `written` is the way back.

``BOT +1 BUTTERFLY SPX 100 (Weeklys) 10 APR 26 6700/6600/6500 PUT @18.75 CBOE`` and everything like it: see
`thinkorswim.lark` for the form and `strategies` for what the words mean. Prices are the whole order's per unit: a BUY
at a positive price pays, a SELL at one receives, and a negative price turns that round, with or without ``cr``/``db``.
An iron butterfly that is written as an IRON CONDOR keeps that word, and is flagged.

A text that is long is read line by line; more than `LONGEST_TEXT` characters at once, or `LONGEST_ORDER` in one order,
are refused unread.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass

from openbell.core.errors import OpenbellError
from openbell.core.ticket import Reading, Refusal, Status, Ticket
from openbell.core.time import utc
from openbell.dialects.places import shortened, stop
from openbell.dialects.thinkorswim_dates import Fault
from openbell.dialects.thinkorswim_meaning import Line, ticket
from openbell.dialects.thinkorswim_parts import TERMINALS, parts
from openbell.dialects.thinkorswim_text import written_text

NAME = "thinkorswim"
LONGEST_TEXT = 100_000
LONGEST_ORDER = 2_000
EXAMPLE = "BUY +1 BUTTERFLY SPX 100 27 MAR 26 6455/6405/6355 PUT @14.25 LMT"
#: What messages put in the place of a blank, a minus or a plain quote, letter for letter so that places stay.
_PLAIN = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2212": "-", "\u2013": "-", "\u2014": "-", "\u2019": "'"})
_HEAD = re.compile(r"(?<![A-Za-z])(?:BUY|SELL|BOT|SOLD)\s+([+-]?)\s?[0-9]", re.IGNORECASE | re.ASCII)
_TERMS = re.compile(r"@|/|\b(?:CALL|PUT|CREDIT|DEBIT)\b", re.IGNORECASE | re.ASCII)
#: A line that has all an order has but a verb with a quantity: it is refused, not passed over.
_VERBLESS = re.compile(
    r"^(?!\W*(?:BTO|STO|BTC|STC)\b)(?=.*[0-9])(?=.*@)(?=.*\b(?:CALL|PUT)\b)", re.IGNORECASE | re.ASCII
)

_CHAT = re.compile(r"\b(?:BTO|STO|BTC|STC)\b", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class _Segment:
    """A stretch of the text that holds one order; `leads` where it is the first of its line."""

    text: str
    offset: int
    leads: bool


def read(text: str, *, at: dt.datetime | None = None) -> Reading:
    """All orders of a text, in their order.

    Lines without an order are passed over, but a text without any order is refused, once.

    Parameters
    ----------
    text : any text; orders on one line are parted by ``&``, ``;`` or the next verb with a signed quantity.
    at : the moment of the message, aware. It settles a missing year or expiry where that is unambiguous; what it
        settled is flagged. A naive one is an error, the only one there is.
    """
    if at is not None:
        utc(at)
    if len(text) > LONGEST_TEXT:
        why = f"The text has {len(text):,} characters; at most {LONGEST_TEXT:,} are read at once. Hand it in in parts."
        return Reading(refusals=(Refusal(shortened(text[:200]), 0, why),), dialect=NAME)
    tickets: list[Ticket] = []
    refusals: list[Refusal] = []
    line = Line()
    for segment in _segments(text.translate(_PLAIN)):
        line = Line() if segment.leads else line
        found = _read_one(segment, text, at, line)
        if isinstance(found, Refusal):
            refusals.append(found)
            continue
        tickets.append(found)
        line = Line(found.number, found.status if found.status is Status.WORKING else None)
    if not tickets and not refusals:
        chat = " BTO, STO, BTC and STC are words of the dialect `discord`." if _CHAT.search(text) else ""
        why = f"There is no thinkorswim order in this text; one looks like `{EXAMPLE}`.{chat}"
        refusals.append(Refusal(shortened(text), 0, why))
    return Reading(tuple(tickets), tuple(refusals), dialect=NAME)


def written(order: Ticket) -> str:
    """The order as thinkorswim writes it, which `read` reads back to the same ticket, flags apart.

    Raises
    ------
    BadInput
        Where this dialect cannot say the order: what would be read back is another.
    """
    return written_text(order, lambda text: read(text))


def _segments(text: str) -> Iterator[_Segment]:
    offset = 0
    for line in text.split("\n"):
        starts = list(_starts(line))
        if not starts and _VERBLESS.search(line[:LONGEST_ORDER]):
            starts = [0]
        for number, start in enumerate(starts):
            end = starts[number + 1] if number + 1 < len(starts) else len(line)
            body = line[start:end].rstrip()
            if number + 1 < len(starts):
                body = body.rstrip("&; \t")
            yield _Segment(body, offset + start, number == 0)
        offset += len(line) + 1


def _starts(line: str) -> Iterator[int]:
    """Where the orders of a line begin: the line itself, then what follows a separator, or a signed verb."""
    heads = list(_HEAD.finditer(line))
    last = None
    for number, head in enumerate(heads):
        until = heads[number + 1].start() if number + 1 < len(heads) else len(line)
        if not head[1] and not _TERMS.search(line, head.end(), until):
            continue
        if last is None:
            yield 0
        else:
            parted = max(line.rfind("&", last, head.start()), line.rfind(";", last, head.start()))
            if parted < 0 and not head[1]:
                continue
            yield parted + 1 if parted >= 0 else head.start()
        last = head.end()


def _read_one(segment: _Segment, text: str, at: dt.datetime | None, line: Line) -> Ticket | Refusal:
    from lark.exceptions import UnexpectedInput

    if len(segment.text) > LONGEST_ORDER:
        why = f"This stretch has {len(segment.text):,} characters; an order of more than {LONGEST_ORDER:,} is not read."
        return Refusal(shortened(segment.text), segment.offset, why)
    try:
        found = parts(segment.text)
    except UnexpectedInput as error:
        return stop(segment.text, segment.offset, error, TERMINALS)
    original = text[segment.offset : segment.offset + len(segment.text)]
    try:
        return ticket(found, original, at, line)
    except Fault as fault:
        return Refusal(shortened(original), segment.offset + fault.position, str(fault))
    except OpenbellError as error:
        return Refusal(shortened(original), segment.offset, str(error))
