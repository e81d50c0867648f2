"""A text read for a person or a program: what each order can make and lose, and where what was refused stands."""

from __future__ import annotations

import bisect
import datetime as dt
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.ticket import Reading, Refusal, Ticket
from openbell.dialects.reading import read
from openbell.quant.ticket_profile import RiskReward, checked, risk_reward

OPEN = dt.time(9, 30)


@dataclass(frozen=True, slots=True)
class Order:
    """An order with what it can make and lose, or the reason why that is not known."""

    ticket: Ticket
    payoff: RiskReward | None
    not_computed: str | None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was read of a text: its orders, and every refusal, also of orders that could only win or only lose."""

    text: str
    reading: Reading
    orders: tuple[Order, ...]
    refusals: tuple[Refusal, ...]

    @property
    def exit_code(self) -> int:
        """0 where all of it was read, 3 where a part was refused, 2 where nothing was read."""
        if not self.refusals:
            return 0
        return 3 if self.orders else 2

    def place(self, refusal: Refusal) -> tuple[int, int]:
        """Line and column of a refusal, from 1."""
        before = self.text[: refusal.position]
        return before.count("\n") + 1, refusal.position - (before.rfind("\n") + 1) + 1


def parsed(text: str, *, dialect: str = "auto", at: dt.datetime | None = None) -> Parsed:
    """The orders of `text`; one whose price cannot be is refused like one that is badly written."""
    reading = read(text, dialect=dialect, at=at)
    orders, refusals = [], list(reading.refusals)
    for number, ticket in enumerate(reading.tickets):
        several = len({leg.expiry for leg in ticket.legs}) > 1
        try:
            if several:
                checked(ticket)
                orders.append(Order(ticket, None, _far(ticket)))
            else:
                orders.append(Order(ticket, risk_reward(ticket), None))
        except BadInput as error:
            if ticket.premium is None:
                orders.append(Order(ticket, None, str(error)))
            else:
                refusals.append(Refusal(_named(ticket), _place(text, number, dialect, at), str(error)))
    refusals.sort(key=lambda each: each.position)
    return Parsed(text, reading, tuple(orders), tuple(refusals))


def _far(ticket: Ticket) -> str:
    days = " and ".join(str(day) for day in ticket.expiries)
    return (
        f"The legs expire on {days}, so what this {ticket.strategy.lower()} can make and lose depends on what the far "
        "options are worth at the near expiry."
    )


def _place(text: str, number: int, dialect: str, at: dt.datetime | None) -> int:
    """Where the line of the order `number` begins: the shortest beginning of the text that holds so many orders."""
    lines = text.splitlines(keepends=True)

    def enough(count: int) -> bool:
        return len(read("".join(lines[:count]), dialect=dialect, at=at).tickets) > number

    line = bisect.bisect_left(range(1, len(lines)), True, key=enough)
    body = lines[line]
    return sum(len(each) for each in lines[:line]) + len(body) - len(body.lstrip())


def moment(text: str | None) -> dt.datetime | None:
    """`text` as a moment: a day is 9:30 in New York, a time without a zone is New York's; None stays None."""
    if text is None:
        return None
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"`{text}` is no moment. Write it like 2025-05-22 or 2025-05-22T10:35.") from None
    if len(text) == len("2025-05-22"):
        found = dt.datetime.combine(found.date(), OPEN)
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo("America/New_York"))).astimezone(dt.UTC)


def as_json(found: Parsed) -> dict[str, Any]:
    """The answer of ``POST /parse``, and the line and column of each refusal."""
    from openbell.app.api.parsing import reading_answer

    kept = replace(found.reading, tickets=tuple(each.ticket for each in found.orders), refusals=())
    told = reading_answer(kept)
    refusals = []
    for each in found.refusals:
        line, column = found.place(each)
        refusals.append({"text": each.text, "position": each.position, "line": line, "column": column, "why": each.why})
    return told | {"refusals": refusals}


def table_of(found: Parsed) -> pl.DataFrame:
    """One row per order."""
    return pl.DataFrame([_row(each) for each in found.orders], infer_schema_length=None)


def _row(order: Order) -> dict[str, Any]:
    ticket, payoff = order.ticket, order.payoff
    premium = ticket.premium
    return {
        "order": _named(ticket),
        "expiry": "/".join(str(day) for day in ticket.expiries) + ("" if ticket.dated else " open").strip(),
        "legs": ", ".join(f"{leg.ratio:+d} {leg.right.value[0]}{leg.strike:g}" for leg in ticket.legs),
        "points": "none"
        if premium is None
        else f"{abs(premium):g} {'db' if premium > 0 else 'cr' if premium else ''}".strip(),
        "risk USD": "not known" if payoff is None else _usd(payoff.risk_usd),
        "reward USD": "not known" if payoff is None else _usd(payoff.reward_usd),
        "ratio": None if payoff is None else payoff.ratio,
        "breakevens": "" if payoff is None else ", ".join(f"{each:,.2f}" for each in payoff.breakevens),
    }


def _usd(value: float | None) -> str:
    return "no bound" if value is None else f"{value:,.2f}"


def _named(ticket: Ticket) -> str:
    return f"{ticket.side.value} {ticket.quantity} {ticket.strategy.lower()} {ticket.underlying}"


def notes_of(found: Parsed) -> list[str]:
    """What was resolved and not read, and what could not be computed, a line each."""
    notes = []
    for number, each in enumerate(found.orders, start=1):
        notes += [f"{number}. {flag}" for flag in each.ticket.flags]
        if each.not_computed:
            notes.append(f"{number}. {each.not_computed}")
    return notes


def foreseen(found: Parsed) -> str:
    """What the text says of the underlying beside its orders, in a line; empty where it says nothing."""
    said = found.reading.prophecy
    parts = [
        f"{name} {value:,.2f}"
        for name, value in (
            ("price", said.price), ("predicted close", said.predicted_close), ("short term", said.short_term),
            ("long term", said.long_term), ("target 1", said.target1), ("target 2", said.target2),
        )
        if value is not None
    ]  # fmt: skip
    of = f" of {said.symbol}" if said.symbol else ""
    scale = f" (short and long term as a {said.scale.value.lower()})" if said.scale else ""
    return f"Foreseen{of}: {', '.join(parts)}{scale}." if parts else ""
