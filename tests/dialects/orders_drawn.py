"""Orders that hypothesis draws for the round trips of several dialects."""

import datetime as dt

from hypothesis import strategies as st

from openbell.core.ladders import BOUGHT, has_both_rights, ladder, rungs
from openbell.core.ticket import OrderType, Status, Ticket
from openbell.core.types import Right, Side

SYMBOLS = st.sampled_from(["SPX", "AI", "TSLA", "BRK.B", "F", "XSP"])
DAYS = st.dates(dt.date(2010, 1, 1), dt.date(2030, 12, 31))
PRICES = st.integers(1, 99_999).map(lambda cents: cents / 100)
STRIKES = st.integers(1, 40_000).map(lambda halves: halves / 2)
WORDS = st.sampled_from(["swinging", "lotto", "PT 72", "stop below 53", "out by noon"])


@st.composite
def tickets(draw, strategies=tuple(set(BOUGHT) - {"SONAR"}), comments=False, undated=True, filled=True) -> Ticket:
    """A ticket whose strikes settle its legs, as a dialect of ladders can write it."""
    strategy, side = draw(st.sampled_from(sorted(strategies))), draw(st.sampled_from(Side))
    count = {"STRADDLE": 1, "IRON BUTTERFLY": 3}.get(strategy, len(BOUGHT[strategy]))
    strikes = draw(st.lists(STRIKES, min_size=count, max_size=count, unique=True))
    right = None if has_both_rights(strategy) else draw(st.sampled_from(Right))
    expiry = draw(st.none() | DAYS) if undated else draw(DAYS)
    price = draw(st.none() | PRICES)
    premium = None if price is None else price if side is Side.BUY else -price
    return Ticket(
        draw(SYMBOLS), side, draw(st.integers(1, 500)), strategy,
        ladder(strategy, rungs(strategy, strikes), right, side, expiry), premium,
        order_type=draw(st.sampled_from([OrderType.LIMIT, OrderType.MARKET])) if premium is None else OrderType.LIMIT,
        status=draw(st.sampled_from([Status.ORDER, Status.FILLED])) if filled else Status.ORDER,
        comment=draw(st.none() | WORDS) if comments else None,
    )  # fmt: skip
