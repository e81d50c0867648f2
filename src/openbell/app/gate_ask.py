"""`openbell odds`: text, a moment and a market to the gate's answers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openbell.core.assessment import Answer, Asked, Assessment
from openbell.core.errors import BadInput
from openbell.core.ticket import MarketState, Reading, Refusal, Ticket
from openbell.core.time import Sessions

if TYPE_CHECKING:
    from openbell.app.home import Home


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers to the orders of a text, and what of it could not be read."""

    said: tuple[Assessment, ...]
    refusals: tuple[Refusal, ...]

    @property
    def exit_code(self) -> int:
        """0 all may be traded, 1 one is refused, 2 nothing was read, 3 a part was not."""
        if not self.said:
            return 2
        if self.refusals:
            return 3
        return 1 if any(each.answer is Answer.REFUSE for each in self.said) else 0


def ask(
    home: Home,
    text: str,
    *,
    dialect: str = "auto",
    as_of: str | None = None,
    price: float | None = None,
    volatility: float | None = None,
) -> Answered:
    """The gate's answers to every order of `text` as of a moment.

    Raises
    ------
    BadInput
        On a moment that cannot be read, or a volatility without a price.
    """
    from openbell.app.gate import Gate
    from openbell.dialects.reading import read

    at = moment(as_of, home.sessions)
    found: Reading = read(text, dialect=dialect, at=at)
    if volatility is not None and price is None:
        raise BadInput(f"A volatility of {volatility:g} was given without a price; add --price.")
    gate = Gate.open(home, at)
    asked = [Asked(each, at, _market(home, each, at, price, volatility), found.prophecy) for each in found.tickets]
    return Answered(tuple(gate.assess(asked)), found.refusals)


def moment(text: str | None, sessions: Sessions) -> dt.datetime:
    """`text` as a moment: a day is the open of its session, a time without a zone is the exchange's."""
    from zoneinfo import ZoneInfo

    from openbell.app.clock import now

    if text is None:
        return now()
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"`{text}` is no moment. Write it like 2025-05-22 or 2025-05-22T10:35.") from None
    if len(text) == len("2025-05-22"):
        return sessions.open(found.date())
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo("America/New_York"))).astimezone(dt.UTC)


def _market(
    home: Home, ticket: Ticket, at: dt.datetime, price: float | None, volatility: float | None
) -> MarketState | None:
    """The stated market, else the last stored one, else none."""
    if price is not None:
        if not price > 0:
            raise BadInput(f"A price must be above 0; was {price:g}.")
        return MarketState(ticket.underlying, price, at, "stated", volatility)
    from openbell.market.state_providers import stored_state
    from openbell.market.state_sources import UnknownSymbol

    index = home.settings.options.volatility_index
    try:
        return stored_state(home.tables, home.sessions, ticket.underlying, index, known_by=at)
    except UnknownSymbol:
        return None
