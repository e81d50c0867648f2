"""The database's notation of legs, ``C5805/C5855/C5905`` and ``P5775/P5780_C5905/C5910`` (Annex F), and orders in it.

The notation names rights and strikes only. An order needs a side and a symbol with it (`read`); the number of legs and
their rights settle the strategy.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from openbell.core.errors import BadInput
from openbell.core.ladders import BOUGHT, ladder
from openbell.core.ticket import Reading, Refusal, Status, Ticket
from openbell.core.types import Right, Side
from openbell.dialects.inverse import decimal, same_order
from openbell.dialects.places import grammar, shortened, stop
from openbell.dialects.resolving import undated

NAME = "legs"
LEGS = re.compile(r"(?<![A-Za-z0-9.])[CP][0-9]+(?:\.[0-9]+)?[/_][CP][0-9]", re.IGNORECASE | re.ASCII)
_WORDS = {"LEG": "a leg like C5905", "PRICE": "a price with @", "SYMBOL": "the symbol", "DAY": "a day like 2025-05-22"}
_SAME_RIGHT = {1: "SINGLE", 2: "VERTICAL", 3: "BUTTERFLY", 4: "CONDOR"}


def strikes_of(text: str) -> tuple[tuple[Right, float], ...]:
    """The right and strike of each leg of bare legs, in their order; another text is refused."""
    from lark.exceptions import LarkError

    try:
        tree = grammar("leg_notation.lark").parse(text)
    except LarkError as error:
        raise BadInput(stop(text, 0, error, _WORDS).why) from None
    if len(tree.children) > 1:
        raise BadInput(f"`{shortened(text)}` has more than legs such as P5775/P5780_C5905/C5910.")
    return _legs(tree.children[0])


def strategy_of(legs: tuple[tuple[Right, float], ...]) -> str:
    """The strategy that rights and strikes settle."""
    puts = [strike for right, strike in legs if right is Right.PUT]
    calls = [strike for right, strike in legs if right is Right.CALL]
    if not puts or not calls:
        found = _SAME_RIGHT.get(len(legs))
    elif max(puts) > min(calls) or len(puts) != len(calls):
        found = None
    elif len(legs) == 2:
        found = "STRADDLE" if puts == calls else "STRANGLE"
    else:
        found = "IRON CONDOR" if len(legs) == 4 else None
    if found is None:
        shown = ", ".join(f"{right.value.lower()} {strike:g}" for right, strike in legs)
        raise BadInput(f"These legs are no structure that the notation names: {shown}.")
    return found


def read(text: str, *, at: dt.datetime | None = None) -> Reading:
    """Every line of `text` that has legs in it; `at` is the moment of the message."""
    tickets: list[Ticket] = []
    refusals: list[Refusal] = []
    start = 0
    for line in text.splitlines(keepends=True):
        if LEGS.search(line):
            found = _line(line.rstrip("\r\n"), start, at)
            (tickets if isinstance(found, Ticket) else refusals).append(found)  # type: ignore[arg-type]
        start += len(line)
    return Reading(tuple(tickets), tuple(refusals), dialect=NAME)


def _line(line: str, start: int, at: dt.datetime | None) -> Ticket | Refusal:
    from lark.exceptions import LarkError

    try:
        tree = grammar("leg_notation.lark").parse(line)
    except LarkError as error:
        return stop(line, start, error, _WORDS)
    tokens: dict[str, Any] = {token.type: token for token in tree.children if hasattr(token, "type")}
    try:
        return _ticket(tokens, _legs(next(each for each in tree.children if hasattr(each, "children"))), at)
    except BadInput as error:
        return Refusal(shortened(line), start + len(line) - len(line.lstrip()), str(error))


def _legs(tree: Any) -> tuple[tuple[Right, float], ...]:
    found = []
    for token in (each for group in tree.children for each in group.children):
        strike = float(token[1:16])
        if strike == 0 or len(token) > 12:
            raise BadInput(f"`{token[:16]}` is no leg; its strike must be a number above 0.")
        found.append((Right.CALL if token[0] in "Cc" else Right.PUT, strike))
    return tuple(found)


def _ticket(tokens: dict[str, Any], legs: tuple[tuple[Right, float], ...], at: dt.datetime | None) -> Ticket:
    wanted = {"VERB": "whether they are bought or sold", "SYMBOL": "on what"}
    missing = [what for name, what in wanted.items() if name not in tokens]
    if missing:
        raise BadInput(
            f"The text names legs, but not {' nor '.join(missing)}. Write it as `BUY 1 SPX C5805/C5855/C5905`."
        )
    word, strategy = tokens["VERB"].upper(), strategy_of(legs)
    side = Side.BUY if word[0] == "B" else Side.SELL
    size = tokens.get("SIZE", "1")
    quantity = abs(int(size[:10]))
    if (size[0] == "-") != (side is Side.SELL) and size[0] in "+-":
        raise BadInput(f"The sign of `{size}` contradicts its verb {word}.")
    price = float(re.sub(r"[^0-9.+-]", "", tokens["PRICE"])[:20]) if "PRICE" in tokens else None
    if price is not None and not price > 0:
        raise BadInput(f"The price must be above 0, as the verb says whether it is paid; was {price:g}.")
    expiry = _day(tokens.get("DAY"))
    strikes, kinds = [strike for _, strike in legs], {right for right, _ in legs}
    symbol = tokens["SYMBOL"].upper().lstrip("$")
    flags = [] if "SIZE" in tokens else ["No number of units is written; read as 1."]
    if expiry is None:
        expiry, told = undated(symbol, at)
        flags.append(told)
    flags += [] if price is not None else ["No price is written."]
    return Ticket(
        symbol, side, quantity, strategy,
        ladder(strategy, strikes, kinds.pop() if len(kinds) == 1 else None, side, expiry),
        None if price is None else price if side is Side.BUY else -price,
        status=Status.FILLED if word in ("BOT", "SOLD") else Status.ORDER, flags=tuple(flags),
    )  # fmt: skip


def _day(token: str | None) -> dt.date | None:
    try:
        return None if token is None else dt.date.fromisoformat(token)
    except ValueError:
        raise BadInput(f"`{token}` is no day; write it like 2025-05-22.") from None


def notation(ticket: Ticket) -> str:
    """The bare legs of a ticket: puts before calls, each rising."""
    order = sorted(ticket.legs, key=lambda leg: (leg.right is Right.CALL, leg.strike))
    groups = [[leg for leg in order if leg.right is right] for right in (Right.PUT, Right.CALL)]
    return "_".join(
        "/".join(f"{leg.right.value[0]}{decimal(leg.strike)}" for leg in group) for group in groups if group
    )


def written(ticket: Ticket) -> str:
    """The line that reads as `ticket`; what the notation cannot say is refused."""
    if ticket.strategy not in BOUGHT or len(ticket.legs) < 2:
        raise BadInput(f"The notation of legs cannot say a {ticket.strategy.lower()}; write it as JSON.")
    filled = ticket.status is Status.FILLED
    verb = {Side.BUY: ("BUY", "BOT"), Side.SELL: ("SELL", "SOLD")}[ticket.side][filled]
    day = f" {ticket.expiries[0]}" if ticket.dated else ""
    price = "" if ticket.premium is None else f" @ {decimal(abs(ticket.premium))}"
    text = f"{verb} {ticket.quantity} {ticket.underlying} {notation(ticket)}{day}{price}"
    return same_order(text, ticket, read, "the notation of legs")
