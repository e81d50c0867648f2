"""Alerts as chat channels write them, ``BTO 5 AI 25c 12/09 @ 1 swinging``: read to tickets and written back.

BTO and STO open a position, BTC and STC close one (a flag says so). A year that is not written is resolved from the
message's moment where that is unambiguous; a size that is not written is 1; both are flagged. Shares, and structures
without strikes, are refused.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

from openbell.core.errors import BadInput
from openbell.core.ladders import BOUGHT, has_both_rights, ladder
from openbell.core.ticket import OrderType, Reading, Refusal, Status, Ticket
from openbell.core.types import Side
from openbell.dialects.discord_pieces import Pieces, collected
from openbell.dialects.inverse import decimal, same_order
from openbell.dialects.places import grammar, shortened, stop

NAME = "discord"
CLOSES = "The order closes a position."
_ANYWHERE = r"(?<![A-Za-z0-9_$])(?:bto|sto|btc|stc|(?:buy|sell|bought|sold)\s+to\s+(?:open|close))(?![A-Za-z0-9_])"
_FIRST = r"^[^\S\n]*(?:[-•>]\s*)?(?:buy|sell|bot|bought|sold)(?![A-Za-z0-9_])(?=[^\n]*[0-9])"
_VERB = re.compile(rf"{_ANYWHERE}|{_FIRST}", re.IGNORECASE | re.ASCII | re.MULTILINE)
CONTRACT = re.compile(
    r"\$?\b[A-Z]{1,6}\s+(?:[0-9/-]+\s+)?\$?[0-9][0-9,.]*\s?(?:c|p|calls?|puts?)\b.*@", re.IGNORECASE | re.ASCII
)
_OTHER_VERB = re.compile(r"\b(?:buy|sell|bot|sold)\b", re.IGNORECASE | re.ASCII)
_SECTION = re.compile(r"\n(?!\s*@\s*[$.0-9mM])")
_DECORATION = re.compile(r"[*`~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_WORDS = {
    "SYMBOL": "the symbol", "SIZE": "a number of units", "NUMBER": "a strike", "PRICE": "a price with @",
    "SLASHED": "strikes or a day", "RIGHT": "call or put", "WORD": "a comment after a blank",
}  # fmt: skip


def read(text: str, *, at: dt.datetime | None = None) -> Reading:
    """Every alert in `text`; `at` is the moment of the message."""
    tickets, refusals = [], []
    for part, offset in segments(text):
        found = _alert(part, offset, at)
        (tickets if isinstance(found, Ticket) else refusals).append(found)  # type: ignore[arg-type]
    refusals += _without_verb(text)
    return Reading(tuple(tickets), tuple(sorted(refusals, key=lambda each: each.position)), dialect=NAME)


def is_alert(line: str) -> bool:
    """Whether a line has a verb of alerts, or names a contract as alerts do, such as ``450c``."""
    if re.search(_ANYWHERE, line, re.IGNORECASE | re.ASCII):
        return True
    contract = CONTRACT.search(line)
    return contract is not None and not re.search(r"calls?\b|puts?\b", contract[0], re.IGNORECASE | re.ASCII)


def _without_verb(text: str) -> list[Refusal]:
    """Lines that name a contract at a price and no side: it is not for a reader to choose one."""
    found, start = [], 0
    for line in text.splitlines(keepends=True):
        contract = CONTRACT.search(line)
        if contract and not _VERB.search(line) and not _OTHER_VERB.search(line):
            why = "The text names an option at a price, but not whether it is bought or sold (BTO, STO, BTC, STC)."
            found.append(Refusal(shortened(line), start + contract.start(), why))
        start += len(line)
    return found


def segments(text: str) -> Iterator[tuple[str, int]]:
    """Each alert of `text`, from its verb to the next verb or the end of its line, with its offset."""
    plain = _DECORATION.sub(lambda found: " " * len(found[0]), text)
    verbs = list(_VERB.finditer(plain))
    for place, found in enumerate(verbs):
        after = verbs[place + 1] if place + 1 < len(verbs) else None
        end = _SECTION.search(plain, found.end())
        last = min(after.start() if after else len(plain), end.start() if end else len(plain))
        lead = len(found[0]) - len(found[0].lstrip(" \t-•>"))
        yield plain[found.start() + lead : last].rstrip(" \t-•&"), found.start() + lead


def _alert(part: str, offset: int, at: dt.datetime | None) -> Ticket | Refusal:
    from lark.exceptions import LarkError

    try:
        tree = grammar("discord.lark").parse(part)
    except LarkError as error:
        return stop(part, offset, error, _WORDS)
    pieces: Pieces | None = None
    try:
        pieces = collected(tree, part)
        return _ticket(pieces, at)
    except BadInput as error:
        place = pieces.symbol_at if pieces is not None else getattr(error, "position", 0)
        return Refusal(shortened(part), offset + place, str(error))


def _ticket(pieces: Pieces, at: dt.datetime | None) -> Ticket:
    strategy, flags = pieces.strategy()
    expiry, dated = pieces.expiry(at)
    quantity, sized = pieces.quantity()
    right = pieces.right
    if right is not None and has_both_rights(strategy):
        raise BadInput(f"A {strategy.lower()} has puts and calls, but the alert says {right.value.lower()}s only.")
    legs = ladder(strategy, pieces.strikes, right, pieces.side, expiry)
    premium, order_type, priced = pieces.premium(strategy)
    closing = (CLOSES,) if pieces.closes else ()
    return Ticket(
        pieces.symbol, pieces.side, quantity, strategy, legs, premium, order_type=order_type,
        status=pieces.status, comment=pieces.comment or None, flags=(*closing, *flags, *sized, *dated, *priced),
    )  # fmt: skip


def written(ticket: Ticket) -> str:
    """The alert that reads as `ticket`; what an alert cannot say is refused, never left out."""
    if ticket.strategy not in BOUGHT:
        raise BadInput(f"An alert cannot say the legs of a {ticket.strategy.lower()}; write it as JSON.")
    closing = CLOSES in ticket.flags
    verb = {Side.BUY: ("BTO", "BTC"), Side.SELL: ("STO", "STC")}[ticket.side][closing]
    if ticket.status is Status.FILLED:
        verb = {"BTO": "Bought to open", "BTC": "Bought to close", "STO": "Sold to open", "STC": "Sold to close"}[verb]
    strikes = "/".join(decimal(leg.strike) for leg in ticket.legs)
    right = "" if has_both_rights(ticket.strategy) else ticket.legs[0].right.value[0].lower()
    called = "" if ticket.strategy == "SINGLE" else f" {ticket.strategy.lower()}"
    day = f" {ticket.expiries[0]:%m/%d/%Y}" if ticket.dated else ""
    price = ""
    if ticket.premium is not None:
        against = (ticket.premium < 0) != (ticket.side is Side.SELL)
        price = f" @ {decimal(abs(ticket.premium))}{(' credit' if ticket.premium < 0 else ' debit') if against else ''}"
    elif ticket.order_type is OrderType.MARKET:
        price = " @ m"
    comment = f" {ticket.comment}" if ticket.comment else ""
    text = f"{verb} {ticket.quantity} {ticket.underlying} {strikes}{right}{called}{day}{price}{comment}"
    return same_order(text, ticket, read, "an alert")
