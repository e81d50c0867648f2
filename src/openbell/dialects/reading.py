"""Reading a text in the dialect it is written in, or in the one that is named: never an exception, never a guess."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from openbell.core.errors import BadInput, unknown
from openbell.core.ticket import Reading, Refusal, Ticket
from openbell.core.time import utc
from openbell.dialects import alert, companion, discord, json_form, leg_notation, occ_orders, thinkorswim
from openbell.dialects.json_values import document
from openbell.dialects.places import shortened

LONGEST_TEXT = 5_000_000
#: A stretch in one dialect is handed to its reader in parts of about this many characters, cut at ends of lines.
LONGEST_STRETCH = 50_000
_READERS: Mapping[str, alert.Reader] = MappingProxyType(
    {
        "tos": thinkorswim.read,
        "discord": discord.read,
        "occ": occ_orders.read,
        "legs": leg_notation.read,
        "alert": alert.read,
    }
)
_WRITERS: Mapping[str, Callable[[Ticket], str]] = MappingProxyType(
    {
        "tos": thinkorswim.written,
        "discord": discord.written,
        "occ": occ_orders.written,
        "legs": leg_notation.written,
        "json": json_form.written,
    }
)
#: What `read` takes as the name of a dialect.
DIALECTS = ("auto", *_READERS, "json")
#: How the dialect thinkorswim says that it found none, which is no fault of a line of prose.
_NO_ORDER = "There is no thinkorswim order"
_SYNONYMS = {"thinkorswim": "tos", "companion": "json"}


def read(text: str, *, dialect: str = "auto", at: dt.datetime | None = None) -> Reading:
    """The orders and predictions of `text`, and what in it is refused, with the place and the reason.

    Parameters
    ----------
    dialect : one of `DIALECTS`; ``auto`` takes the one each line is written in.
    at : the moment of the message, aware; it settles a missing year or expiry where that is unambiguous.

    Raises
    ------
    BadInput
        On an unknown dialect or a naive moment: faults of the caller. Nothing in `text` raises.
    """
    name = _SYNONYMS.get(dialect.lower(), dialect.lower())
    if name not in DIALECTS:
        raise unknown("dialect", dialect, DIALECTS)
    if at is not None:
        at = utc(at)
    if len(text) > LONGEST_TEXT:
        why = f"The text has {len(text):,} characters; at most {LONGEST_TEXT:,} are read at once. Hand it in in parts."
        return Reading(refusals=(Refusal(shortened(text[:200]), 0, why),), dialect=name)
    found = _json(text, at) if name == "json" else _auto(text, at) if name == "auto" else _READERS[name](text, at=at)
    if found.tickets or found.refusals or found.prophecy != type(found.prophecy)():
        return found
    why = (
        "There is no order in this text. One looks like `BUY +1 BUTTERFLY SPX 100 27 MAR 26 6455/6405/6355 PUT @14.25`."
    )
    return replace(found, refusals=(Refusal(shortened(text), 0, why),), dialect=found.dialect or name)


def written(ticket: Ticket, dialect: str) -> str:
    """`ticket` as text of `dialect`, which reads as the same ticket; what a dialect cannot say is refused."""
    name = _SYNONYMS.get(dialect.lower(), dialect.lower())
    if name not in _WRITERS:
        raise unknown("dialect of single orders", dialect, _WRITERS)
    return _WRITERS[name](ticket)


def _json(text: str, at: dt.datetime | None) -> Reading:
    try:
        found = document(text)
    except BadInput as error:
        place = getattr(error, "position", 0)
        return Reading(refusals=(Refusal(shortened(text), place, str(error)),), dialect="json")
    return companion.of_document(found, at=at) if companion.is_companion(found) else json_form.of_document(found, text)


def _auto(text: str, at: dt.datetime | None) -> Reading:
    begins = text.lstrip()[:1]
    if begins in ("{", "["):
        found = _json(text, at)
        if begins == "{" or found.tickets or "is no JSON" not in found.refusals[0].why:
            return found
    if alert.is_alert(text):
        return alert.read(text, at=at, orders=_mixed)
    return _mixed(text, at=at)


def _mixed(text: str, *, at: dt.datetime | None) -> Reading:
    """Each stretch of lines in its own dialect; lines that hold no order are passed over."""
    tickets: list[Ticket] = []
    refusals: list[Refusal] = []
    used: list[str] = []
    for name, offset, stretch in _stretches(text):
        found = _READERS[name](stretch, at=at)
        tickets += found.tickets
        if name == "tos" and not found.tickets and found.refusals[0].why.startswith(_NO_ORDER):
            continue  # words that a verb and a number are among
        refusals += [replace(each, position=each.position + offset) for each in found.refusals]
        used += [name] if name not in used else []
    return Reading(tuple(tickets), tuple(refusals), dialect="+".join(used))


def _stretches(text: str) -> Iterator[tuple[str, int, str]]:
    """The dialect, offset and text of each run of lines in one dialect."""
    run: tuple[str, int, int] | None = None
    start = 0
    for line in text.splitlines(keepends=True):
        name = _dialect_of(line)
        if name is None and run is not None and run[0] == "discord" and line.lstrip().startswith("@"):
            name = "discord"
        long = run is not None and run[2] - run[1] > LONGEST_STRETCH and not line.lstrip().startswith("@")
        if run is not None and (name != run[0] or long):
            yield run[0], run[1], text[run[1] : run[2]]
            run = None
        if name is not None:
            run = (name, run[1] if run else start, start + len(line))
        start += len(line)
    if run is not None:
        yield run[0], run[1], text[run[1] : run[2]]


def _dialect_of(line: str) -> str | None:
    if occ_orders.SYMBOL.search(line):
        return "occ"
    if leg_notation.LEGS.search(line):
        return "legs"
    if discord.is_alert(line):
        return "discord"
    return "tos" if alert.is_order(line) else None
