"""Offers made by hand, for the tests of the gate's desk and of its safety."""

import datetime as dt
from dataclasses import replace
from typing import Any

from openbell.core.assessment import Asked, Offer, Payoff, PriceOdds, Word
from openbell.core.ticket import MarketState, Ticket, TicketLeg
from openbell.core.types import Right, Side

AT = dt.datetime(2025, 5, 22, 14, 35, tzinfo=dt.UTC)
END = dt.datetime(2025, 5, 22, 20, 0, tzinfo=dt.UTC)
DAY = dt.date(2025, 5, 22)
LEVELS = {"symbol_strategy": 0.7, "default": 0.3}
WORD = Word(0.60, "symbol_strategy", LEVELS, 240.0, 0.55, "hierarchy@2025-05-21", True)
#: A call vertical sold at 0.50: at most 50 USD to make and 450 to lose, 2.60 of commissions.
CONTRACTS = {"SPXW  250522C06000000": -1, "SPXW  250522C06005000": 1}


def ticket(quantity: int = 1) -> Ticket:
    legs = (TicketLeg(-1, Right.CALL, 6000.0, DAY), TicketLeg(1, Right.CALL, 6005.0, DAY))
    return Ticket("SPX", Side.SELL, quantity, "VERTICAL", legs, -0.50)


def offer(quantity: int = 1, age_seconds: float = 5.0, **changes: Any) -> Offer:
    """One that everything speaks for, unless told otherwise."""
    state = MarketState("SPX", 5980.0, AT - dt.timedelta(seconds=age_seconds), "stored", 0.16)
    made = Offer(
        asked=Asked(ticket(quantity), AT, state),
        strategy="Vertical",
        session=DAY,
        payoff=Payoff(450.0, 50.0, (6000.5,), 2.6),
        odds=PriceOdds(0.91, 0.90, 46.0, -300.0, "legs"),
        word=replace(WORD, probability=0.95),
        contracts=CONTRACTS,
        features={"a": 1.0, "b": 2.0},
        last_moment=END,
        market_age_seconds=age_seconds,
    )
    return replace(made, **changes)
