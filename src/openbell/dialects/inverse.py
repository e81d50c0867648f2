"""Writing an order so that reading it gives the order again, or saying that a dialect cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Decimal

from openbell.core.errors import BadInput
from openbell.core.ticket import Reading, Ticket


def decimal(value: float) -> str:
    """The shortest decimal that reads as `value`, without an exponent."""
    text = format(Decimal(repr(float(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def same_order(text: str, ticket: Ticket, read: Callable[[str], Reading], dialect: str) -> str:
    """`text`, which `read` reads as `ticket` but for its flags; what a dialect cannot say is refused, not left out."""
    reading = read(text)
    if len(reading.tickets) == 1 and not reading.refusals:
        found = replace(reading.tickets[0], flags=ticket.flags)
        if found == ticket:
            return text
        lost = [each.name for each in fields(Ticket) if getattr(found, each.name) != getattr(ticket, each.name)]
        why = f"it loses {', '.join(f'`{name}`' for name in lost)}."
    else:
        why = reading.refusals[0].why if reading.refusals else "it does not read as one order."
    raise BadInput(
        f"This {ticket.strategy.lower()} on {ticket.underlying} cannot be written as {dialect}: {why} Write it as JSON."
    )
