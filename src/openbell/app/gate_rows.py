"""A proposed trade as a row of the table of trades: what the gate's models are trained on is what they are asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from openbell.core.assessment import Asked
from openbell.core.ticket import Ticket
from openbell.core.time import MOMENT, Sessions
from openbell.core.trade_rows import SHEET_STRATEGIES, TRADES
from openbell.core.types import Right, Settlement
from openbell.quant.payoffs import owing
from openbell.research.trade_facts import MARKET_VOLATILITY
from openbell.research.trade_features import MARKET

_SCHEMA = pl.Schema({**TRADES, **dict.fromkeys(MARKET, pl.Float64)})
_NOTHING: Mapping[str, None] = dict.fromkeys(_SCHEMA)
#: Legs that a row holds.
MOST_LEGS = 4
_NEW_YORK = ZoneInfo("America/New_York")
_SHEET = {word: name for name, word in SHEET_STRATEGIES.items()} | {"IRON BUTTERFLY": "Iron Condor"}


def strategy_of(ticket: Ticket) -> str:
    """The strategy as the models know it: an iron butterfly is an iron condor whose short strikes meet."""
    return _SHEET.get(ticket.strategy, ticket.strategy.title())


def fits_a_row(ticket: Ticket) -> bool:
    """Whether the models can be asked: a price, one known expiry for all legs, and no more than four of them."""
    return ticket.premium is not None and ticket.dated and len(ticket.expiries) == 1 and len(ticket.legs) <= MOST_LEGS


def trade_rows(
    asked: Sequence[Asked], sessions: Sequence[dt.date], beside: Sequence[Mapping[str, float | None]]
) -> list[dict[str, Any]]:
    """One row of `TRADES`, and of the market, for each question that `fits_a_row`, in their order.

    `sessions` are those in which the questions are asked, `beside` the market as of their opens. Numbers are points per
    unit; everything that tells an outcome is None. The volatility that a question saw stands in place of the session's.
    """
    return [_row(*each) for each in zip(asked, sessions, beside, strict=True)]


def symbol_days(symbols: Sequence[str], session: dt.date, opens: dt.datetime) -> pl.DataFrame:
    """What a market is set beside: each symbol at the open of `session`."""
    return pl.DataFrame(
        {"symbol": symbols, "date": session, "known_at": opens},
        schema={"symbol": pl.String, "date": pl.Date, "known_at": MOMENT},
    )


def _quoted(ticket: Ticket) -> float | None:
    """The premium as a row has it: what the structure costs or, where it can only owe, what it brings."""
    if ticket.premium is None:
        return None
    owes = _owes(tuple((leg.ratio, leg.right, leg.strike) for leg in ticket.legs))
    return -ticket.premium if owes else ticket.premium


@lru_cache(maxsize=4_096)
def _owes(terms: tuple[tuple[int, Right, float], ...]) -> bool:
    """Whether these legs can only owe at expiry; remembered, since the same legs are asked about at many prices."""
    ratio, right, strike = zip(*terms, strict=True)
    signs = [1.0 if each is Right.CALL else -1.0 for each in right]
    return bool(owing(np.array([signs]), np.array([strike]), np.array([ratio]))[0])


def _row(asked: Asked, session: dt.date, beside: Mapping[str, float | None]) -> dict[str, Any]:
    ticket, said, market = asked.ticket, asked.prophecy, asked.market
    here = asked.at.astimezone(_NEW_YORK)
    known: dict[str, Any] = {
        **_NOTHING,
        **beside,
        "date": session,
        "time": f"{here.hour:02d}:{here.minute:02d}",
        "timestamp": asked.at,
        "symbol": ticket.underlying,
        "strategy": strategy_of(ticket),
        "price": market.price if market else None,
        "premium": _quoted(ticket),
        "predicted": said.predicted_close,
        "target1": said.target1,
        "target2": said.target2,
        "short_term": said.short_term,
        "long_term": said.long_term,
        "expiry": ticket.expiries[0],
        "unit": "points",
        "multiplier": ticket.multiplier,
        "known_at": asked.at,
        "trade_description": ticket.comment,
    }
    for number, leg in enumerate(ticket.legs, start=1):
        known |= {f"strike{number}": leg.strike, f"direction{number}": leg.ratio, f"type{number}": leg.right.value}
    if market is not None and market.volatility is not None:
        known[MARKET_VOLATILITY] = market.volatility
    return known


def last_moment(ticket: Ticket, calendar: Sessions) -> dt.datetime | None:
    """When the first leg ends: at the close of its session, or its open where it settles AM; None without an expiry."""
    if not ticket.dated:
        return None
    first = ticket.expiries[0]
    if first not in calendar:
        return None
    return calendar.open(first) if ticket.settlement is Settlement.AM else calendar.close(first)
