"""OCC symbols as orders: alone, or with a side, a number and a price; each symbol is an order of its own.

``+2 SPXW230914C04500000 @ 1.20`` buys two. A symbol without a side is read as bought and one without a number as one,
both flagged. The class settles the underlying, and for index classes AM or PM.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from openbell.core.errors import BadInput
from openbell.core.ticket import OrderType, Reading, Refusal, Status, Ticket, TicketLeg
from openbell.core.types import Settlement, Side
from openbell.dialects.inverse import decimal, same_order
from openbell.dialects.occ import ROOT, TERMS, OccSymbol, occ_symbol
from openbell.dialects.places import grammar, shortened, stop

NAME = "occ"
CLOSES = "The order closes a position."
#: Index classes: the underlying and the settlement of what expires (contract specifications of Cboe and Nasdaq).
INDEX = {
    "SPX": ("SPX", Settlement.AM), "SPXW": ("SPX", Settlement.PM), "XSP": ("XSP", Settlement.PM),
    "NDX": ("NDX", Settlement.AM), "NDXP": ("NDX", Settlement.PM), "RUT": ("RUT", Settlement.AM),
    "RUTW": ("RUT", Settlement.PM), "MRUT": ("MRUT", Settlement.PM), "DJX": ("DJX", Settlement.AM),
    "VIX": ("VIX", Settlement.AM), "VIXW": ("VIX", Settlement.AM),
}  # fmt: skip
SYMBOL = re.compile(rf"(?<![A-Za-z0-9]){ROOT}[ ]{{0,5}}{TERMS}(?![0-9A-Za-z])")
_WORDS = {"CONTRACT": "an OCC symbol", "SIZE": "a number of units", "PRICE": "a price with @", "VERB": "BUY or SELL"}


def read(text: str, *, at: dt.datetime | None = None) -> Reading:
    """Every OCC symbol in `text`, line by line; `at` plays no part, as the symbols name their day."""
    tickets: list[Ticket] = []
    refusals: list[Refusal] = []
    start = 0
    for line in text.splitlines(keepends=True):
        if SYMBOL.search(line):
            _line(line.rstrip("\r\n"), start, tickets, refusals)
        start += len(line)
    return Reading(tuple(tickets), tuple(refusals), dialect=NAME)


def _line(line: str, start: int, tickets: list[Ticket], refusals: list[Refusal]) -> None:
    from lark.exceptions import LarkError

    try:
        tree = grammar("occ_orders.lark").parse(line)
    except LarkError as error:
        refusals.append(stop(line, start, error, _WORDS))
        return
    for order in (each for each in tree.children if hasattr(each, "children")):
        tokens = {token.type: token for token in order.children}
        try:
            tickets.append(_ticket(tokens))
        except BadInput as error:
            refusals.append(Refusal(shortened(line), start + tokens["CONTRACT"].start_pos, str(error)))


def _ticket(tokens: dict[str, Any]) -> Ticket:
    contract = occ_symbol(str(tokens["CONTRACT"]))
    side, quantity, status, flags = _side(tokens.get("VERB"), tokens.get("SIZE"))
    underlying, settlement = INDEX.get(contract.root, (contract.root.rstrip("0123456789"), None))
    if contract.adjusted:
        raise BadInput(
            f"The root {contract.root} is of contracts that a corporate action adjusted, so what one unit delivers is "
            "not known from its symbol."
        )
    sign = 1 if side is Side.BUY else -1
    premium, order_type, priced = _premium(tokens, side)
    leg = TicketLeg(
        sign, contract.right, contract.strike, contract.expiry, contract.root if contract.root != underlying else None
    )
    return Ticket(
        underlying, side, quantity, "SINGLE", (leg,), premium, settlement=settlement, order_type=order_type,
        status=status, flags=(*flags, *priced),
    )  # fmt: skip


def _side(verb: str | None, size: str | None) -> tuple[Side, int, Status, tuple[str, ...]]:
    """Side and number from the verb and the sign, which must agree."""
    word = (verb or "").upper()
    number = int(re.sub(r"[^0-9+-]", "", size)[:12]) if size else 1
    said = None if not word else Side.BUY if word[0] == "B" else Side.SELL
    signed = None if not size or size.strip()[0] not in "+-" else Side.BUY if size.strip()[0] == "+" else Side.SELL
    if said and signed and said is not signed:
        raise BadInput(f"The sign of `{size.strip() if size else ''}` contradicts its verb {word}.")
    if number == 0:
        raise BadInput("An order needs a quantity of 1 or more; was 0.")
    flags = (CLOSES,) if word in ("BTC", "STC") else ()
    if said is None and signed is None:
        flags += ("No side is written; read as bought.",)
    if size is None:
        flags += ("No number of units is written; read as 1.",)
    status = Status.FILLED if word in ("BOT", "SOLD") else Status.ORDER
    return said or signed or Side.BUY, abs(number), status, flags


def _premium(tokens: dict[str, Any], side: Side) -> tuple[float | None, OrderType, tuple[str, ...]]:
    if "MARKET" in tokens:
        return None, OrderType.MARKET, ()
    if "PRICE" not in tokens:
        return None, OrderType.LIMIT, ("No price is written.",)
    price = float(re.sub(r"[^0-9.+-]", "", tokens["PRICE"])[:20])
    if not price > 0:
        raise BadInput(f"The price of an option must be above 0, as the verb says whether it is paid; was {price:g}.")
    return (price if side is Side.BUY else -price), OrderType.LIMIT, ()


def written(ticket: Ticket) -> str:
    """The line that reads as `ticket`; more than one dated option, or more than its order says, is refused."""
    if len(ticket.legs) != 1 or not ticket.dated:
        raise BadInput(f"An OCC symbol is one option with its expiry; this is a {ticket.strategy.lower()} of several.")
    (leg,) = ticket.legs
    contract = OccSymbol(leg.root or ticket.underlying, leg.expiry, leg.right, leg.strike)  # type: ignore[arg-type]
    closing = CLOSES in ticket.flags
    verb = {Side.BUY: "BTC" if closing else "BUY", Side.SELL: "STC" if closing else "SELL"}[ticket.side]
    if ticket.status is Status.FILLED:
        verb = "BOT" if ticket.side is Side.BUY else "SOLD"
    price = "" if ticket.premium is None else f" @ {decimal(abs(ticket.premium))}"
    if ticket.order_type is OrderType.MARKET and ticket.premium is None:
        price = " @ m"
    return same_order(f"{verb} {ticket.quantity} {contract.compact}{price}", ticket, read, "an OCC symbol")
