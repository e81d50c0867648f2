"""Orders as plain JSON, and back: every field of a ticket, by its name.

One order is an object; several are a list of them, or ``{"orders": [...], "prophecy": {...}}``. An order is either

* whole, with its legs: ``symbol, side, quantity, strategy, legs [{ratio, right, strike, expiry, root}]`` and, where
  there is something to say, ``premium`` (signed: below 0 is received), ``multiplier, settlement, order_type, status,
  trigger, condition {symbol, measure, above, level}, time_in_force, exchange, series, number, comment, flags``; or
* short, as the service takes it (S1.21): ``symbol, strategy, strikes [...], premium`` (above 0), ``action`` (BUY, SELL,
  BOT, SOLD) and, where there is something to say, ``quantity, option_type, expiry, multiplier``.

A prophecy has ``symbol, days_to_expiry, price, predicted_close, short_term, long_term, target1, target2, scale``. An
unknown field, a field twice, or a value of another kind is refused.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from openbell.core.errors import BadInput
from openbell.core.ladders import ladder, right_of
from openbell.core.ticket import (
    STRATEGIES,
    Condition,
    OrderType,
    Prophecy,
    Reading,
    Refusal,
    Scale,
    Status,
    Ticket,
    TicketLeg,
)
from openbell.core.types import Right, Settlement, Side
from openbell.dialects.json_values import Fields, document
from openbell.dialects.places import shortened

NAME = "json"
#: What an action says: the side, and whether it is done.
ACTIONS = {
    "BUY": (Side.BUY, Status.ORDER), "SELL": (Side.SELL, Status.ORDER),
    "BOT": (Side.BUY, Status.FILLED), "SOLD": (Side.SELL, Status.FILLED),
}  # fmt: skip


def read(text: str, *, at: dt.datetime | None = None) -> Reading:
    """The orders of one JSON document; `at` plays no part, as nothing is left open here but what is left out."""
    try:
        found = document(text)
    except BadInput as error:
        return Reading(refusals=(Refusal(shortened(text), getattr(error, "position", 0), str(error)),), dialect=NAME)
    return of_document(found, text)


def of_document(found: Any, text: str) -> Reading:
    """The orders of a document that is parsed already; `text` is what it was parsed from."""
    prophecy, refusals, tickets = Prophecy(), [], []
    orders, many = (found, True) if isinstance(found, list) else ([found], False)
    try:
        if isinstance(found, dict) and "orders" in found:
            whole = Fields(found, "the document")
            orders, many = whole.list_of("orders"), True
            prophecy = _prophecy(whole.object("prophecy"))
            whole.done()
        elif isinstance(found, list) and not found:
            raise BadInput("The list of orders is empty.")
    except BadInput as error:
        return Reading(refusals=(Refusal(shortened(text), 0, str(error)),), dialect=NAME)
    for at, order in enumerate(orders):
        name = f"orders[{at}]" if many else "the order"
        try:
            tickets.append(_ticket(Fields.of(order, name)))
        except BadInput as error:
            refusals.append(Refusal(shortened(json.dumps(order)), 0, f"In {name}: {error}"))
    return Reading(tuple(tickets), tuple(refusals), prophecy, NAME)


def _ticket(order: Fields) -> Ticket:
    ticket = _short(order) if order.has("strikes") else _whole(order)
    order.done()
    return ticket


def _whole(order: Fields) -> Ticket:
    legs = tuple(_leg(Fields.of(each, f"legs[{at}]")) for at, each in enumerate(order.list_of("legs")))
    condition = order.object("condition")
    return Ticket(
        underlying=order.symbol("symbol"),
        side=order.word("side", Side),
        quantity=order.whole("quantity"),
        strategy=order.name("strategy", STRATEGIES),
        legs=legs,
        premium=order.number("premium", optional=True),
        multiplier=_multiplier(order),
        settlement=order.word("settlement", Settlement, optional=True),
        order_type=order.word("order_type", OrderType, optional=True) or OrderType.LIMIT,
        status=order.word("status", Status, optional=True) or Status.ORDER,
        trigger=order.number("trigger", optional=True),
        condition=None if condition is None else _condition(condition),
        **{name: order.text(name) for name in ("time_in_force", "exchange", "series", "number", "comment")},
        flags=tuple(order.texts("flags")),
    )


def _multiplier(order: Fields) -> float:
    """USD per point: 100 of equity and index options; that of a future has to be named."""
    if not order.has("multiplier") and order.symbol("symbol").startswith("/"):
        raise BadInput(f"The order on the future {order.symbol('symbol')} needs its `multiplier`, USD per point.")
    found = order.number("multiplier", optional=True)
    return 100.0 if found is None else float(found)


def _leg(leg: Fields) -> TicketLeg:
    found = TicketLeg(
        leg.whole("ratio"),
        leg.word("right", Right),
        leg.number("strike"),
        leg.day("expiry"),
        leg.text("root"),
    )
    leg.done()
    return found


def _condition(condition: Fields) -> Condition:
    found = Condition(
        condition.symbol("symbol"), condition.text("measure", optional=False), condition.flag("above"),
        condition.number("level"),
    )  # fmt: skip
    condition.done()
    return found


def _short(order: Fields) -> Ticket:
    """An order whose strikes settle its legs, with a positive price whose sign the action says."""
    strategy = order.name("strategy", STRATEGIES)
    side, status = ACTIONS[order.name("action", tuple(ACTIONS))]
    strikes = order.numbers("strikes")
    premium = order.number("premium")
    if not premium > 0:
        raise BadInput(f"`premium` must be above 0, as `action` says whether it is paid; was {premium:g}.")
    right, flags = right_of(strategy, strikes, order.text("option_type"))
    expiry = order.day("expiry")
    return Ticket(
        underlying=order.symbol("symbol"),
        side=side,
        quantity=order.whole("quantity") if order.has("quantity") else 1,
        strategy=strategy,
        legs=ladder(strategy, strikes, right, side, expiry),
        premium=premium if side is Side.BUY else -premium,
        multiplier=_multiplier(order),
        status=status,
        flags=flags if expiry else (*flags, "No expiry is written, so it is open."),
    )


def _prophecy(found: Fields | None) -> Prophecy:
    if found is None:
        return Prophecy()
    numbers = ("price", "predicted_close", "short_term", "long_term", "target1", "target2")
    prophecy = Prophecy(
        symbol=found.symbol("symbol") if found.has("symbol") else None,
        days_to_expiry=found.whole("days_to_expiry") if found.has("days_to_expiry") else None,
        scale=found.word("scale", Scale, optional=True),
        **{name: found.number(name, optional=True) for name in numbers},
    )
    found.done()
    return prophecy


def plain(value: Ticket | TicketLeg | Prophecy | Condition) -> dict[str, Any]:
    """`value` as JSON has it: what is None or empty is left out; `underlying` is called ``symbol``."""
    found: dict[str, Any] = {}
    for each in fields(value):
        item = getattr(value, each.name)
        if item is None or item == ():
            continue
        name = "symbol" if each.name == "underlying" else each.name
        found[name] = _plain(item)
    return found


def _plain(item: Any) -> Any:
    if isinstance(item, tuple):
        return [_plain(each) for each in item]
    if isinstance(item, (TicketLeg, Condition)):
        return plain(item)
    if isinstance(item, dt.date):
        return item.isoformat()
    return item.value if hasattr(item, "value") else item


def written(found: Ticket | Reading) -> str:
    """The JSON text that reads as the ticket, or as the tickets and the prophecy of a reading."""
    if isinstance(found, Ticket):
        return json.dumps(plain(found), ensure_ascii=False, allow_nan=False)
    whole: Mapping[str, Any] = {"orders": [plain(each) for each in found.tickets], "prophecy": plain(found.prophecy)}
    return json.dumps(whole, ensure_ascii=False, allow_nan=False)
