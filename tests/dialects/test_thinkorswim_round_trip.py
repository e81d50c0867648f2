"""check 30: what is written is read back as the same ticket, whatever the order.

`flags` are of the reading, not of the order, and are left out of the comparison; every other field is compared,
with comments that begin with no word of an order.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.core.ticket import STRATEGIES, Condition, OrderType, Status, Ticket, TicketLeg
from openbell.core.types import Right, Settlement, Side
from openbell.dialects.thinkorswim import read, written

CALL, PUT = Right.CALL, Right.PUT
FAR, NEAR = "far", "near"
#: What a bought unit is: signed sizes, rights (None for the order's one), which strike of the ascending ones, and day.
LEGS: dict[str, list[tuple[int, Right | None, int, str]]] = {
    "SINGLE": [(1, None, 0, FAR)],
    "VERTICAL": [(1, None, 0, FAR), (-1, None, 1, FAR)],
    "BUTTERFLY": [(1, None, 0, FAR), (-2, None, 1, FAR), (1, None, 2, FAR)],
    "CONDOR": [(1, None, 0, FAR), (-1, None, 1, FAR), (-1, None, 2, FAR), (1, None, 3, FAR)],
    "IRON CONDOR": [(1, CALL, 2, FAR), (-1, CALL, 3, FAR), (1, PUT, 1, FAR), (-1, PUT, 0, FAR)],
    "SONAR": [(1, CALL, 2, FAR), (-1, CALL, 3, FAR), (1, PUT, 1, FAR), (-1, PUT, 0, FAR)],
    "IRON BUTTERFLY": [(1, CALL, 1, FAR), (-1, CALL, 2, FAR), (1, PUT, 1, FAR), (-1, PUT, 0, FAR)],
    "CALENDAR": [(1, None, 0, FAR), (-1, None, 0, NEAR)],
    "DIAGONAL": [(1, None, 1, FAR), (-1, None, 0, NEAR)],
    "DOUBLE DIAGONAL": [(1, CALL, 3, FAR), (1, PUT, 0, FAR), (-1, CALL, 2, NEAR), (-1, PUT, 1, NEAR)],
    "DOUBLE CALENDAR": [(1, PUT, 0, FAR), (1, CALL, 1, FAR), (-1, PUT, 0, NEAR), (-1, CALL, 1, NEAR)],
    "STRADDLE": [(1, CALL, 0, FAR), (1, PUT, 0, FAR)],
    "STRANGLE": [(1, CALL, 1, FAR), (1, PUT, 0, FAR)],
    "BACKRATIO": [(-1, None, 0, FAR), (2, None, 1, FAR)],
    "RATIO": [(1, None, 0, FAR), (-3, None, 1, FAR)],
    "COLLAR": [(1, PUT, 0, FAR), (-1, CALL, 1, FAR)],
    "COMBO": [(1, CALL, 1, FAR), (-1, PUT, 0, FAR)],
    "CUSTOM": [(2, CALL, 0, FAR), (-1, PUT, 1, NEAR), (-5, CALL, 2, FAR)],
}
#: Strategies whose value is never below 0, so that a buy pays.
WORTHY = {"SINGLE", "IRON CONDOR", "IRON BUTTERFLY", "SONAR", "STRADDLE", "STRANGLE"}
WORDS = st.lists(
    st.sampled_from(["Closing", "b/e", "(half)", "§5", "– Peter", "good r/r.", "11.6", "it's"]), max_size=4
)
cents = st.integers(0, 99_999).map(lambda each: each / 100)


@st.composite
def tickets(draw: Any) -> Ticket:
    strategy = draw(st.sampled_from(sorted(LEGS)))
    side = draw(st.sampled_from(Side))
    way = 1 if side is Side.BUY else -1
    status = draw(st.sampled_from(Status))
    future = draw(st.booleans()) and strategy != "CUSTOM" and NEAR not in {day for *_, day in LEGS[strategy]}
    premium, kind, trigger, condition, force = draw(prices(strategy, status, way))
    drawn = draw(legs(strategy, way, premium, future))
    dated = drawn[0].expiry is not None and not future
    return Ticket(
        underlying="/ESZ26" if future else draw(st.sampled_from(["SPX", "F", "BRK/B", "AAPL1", "TSLA", "MAY", "GTC"])),
        side=side,
        quantity=draw(st.integers(1, 1_000_000)),
        strategy=strategy,
        legs=drawn,
        premium=premium,
        multiplier=draw(st.sampled_from([5.0, 50.0, 1000.0] if future else [1.0, 10.0, 100.0, 1000.0])),
        settlement=draw(st.sampled_from([None, *Settlement])) if dated else None,
        order_type=kind,
        status=status,
        trigger=trigger,
        condition=condition,
        time_in_force=force,
        exchange=draw(st.sampled_from([None, "CBOE", "ISE GEMINI", "CBOE BATS"])),
        series=draw(st.sampled_from([None, *(["Wk5", "EOM"] if future else ["Weeklys", "Weeklys/Mini"])])),
        number=draw(st.one_of(st.none(), st.integers(0, 10**15).map(str))),
        comment=" ".join(draw(WORDS)) or None,
    )


@st.composite
def prices(draw: Any, strategy: str, status: Status, way: int) -> Any:
    """Premium, type, trigger, condition and time in force that fit together."""
    premium = draw(cents) * way
    if strategy not in WORTHY and draw(st.booleans()):
        premium = -premium
    if status is Status.FILLED:
        return premium + 0.0, OrderType.LIMIT, None, None, None
    force = draw(st.sampled_from([None, "GTC", "DAY", "GTC_EXT"]))
    condition = draw(st.sampled_from([None, Condition("SPX", "MARK", True, 3342.5), Condition("F", "LAST", False, 9)]))
    kind = draw(st.sampled_from(OrderType))
    if kind is OrderType.MARKET:
        return None, kind, None, condition, draw(st.sampled_from([force, "MOC"]))
    trigger = None if kind is OrderType.LIMIT else draw(st.integers(1, 99_999)) / 100
    return None if kind is OrderType.STOP else premium + 0.0, kind, trigger, condition, force


@st.composite
def legs(draw: Any, strategy: str, way: int, premium: float | None, future: bool) -> tuple[TicketLeg, ...]:
    ladder = sorted(draw(st.lists(st.integers(1, 400_000), min_size=4, max_size=4, unique=True)))
    strikes = [each / 40 for each in ladder]
    right = draw(st.sampled_from(Right))
    near = draw(st.dates(dt.date(2010, 1, 1), dt.date(2098, 1, 1)))
    days: dict[str, dt.date | None] = {NEAR: near, FAR: near + dt.timedelta(draw(st.integers(1, 700)))}
    root = draw(st.sampled_from(["/EW5U26", "/E3AU26"])) if future else None
    if future and draw(st.booleans()):
        days = {NEAR: None, FAR: None}
    if not future and draw(st.booleans()) and NEAR not in {day for *_, day in LEGS[strategy]}:
        days = {NEAR: None, FAR: None}
    drawn = LEGS[strategy]
    if strategy == "VERTICAL":  # the dear leg is the one that a debit buys
        pays = way > 0 if not premium else premium > 0
        drawn = drawn if right is CALL else [(-size, own, at, day) for size, own, at, day in drawn]
        drawn = [(size * (1 if pays else -1) * way, own, at, day) for size, own, at, day in drawn]
        if drawn[0][0] < 0 and (premium is None or premium == 0 or draw(st.booleans())):
            drawn = drawn[::-1]
    return tuple(TicketLeg(way * size, own or right, strikes[at], days[day], root) for size, own, at, day in drawn)


def test_every_strategy_is_drawn() -> None:
    assert set(LEGS) == set(STRATEGIES)


@settings(max_examples=120, deadline=None)
@given(tickets())
def test_read_of_written_is_the_ticket(ticket: Ticket) -> None:
    """check 30: parse(format(order)) == order."""
    text = written(ticket)
    found = read(text)
    assert found.refusals == ()
    (again,) = found.tickets
    assert replace(again, flags=()) == replace(ticket, flags=())
    assert written(again) == text


UNSAYABLE = {
    "another multiplier": {"multiplier": 37.0},
    "a comment on two lines": {"comment": "first\nsecond"},
    "a comment that is an order": {"comment": "SOLD -2 SPX 100 20 FEB 26 65 CALL @1"},
    "a comment that begins with a term": {"comment": "GTC or so"},
    "a price that no float of cents is": {"premium": float("inf")},
    "legs of another strategy": {"strategy": "STRADDLE"},
    "a symbol with a blank": {"underlying": "S PX"},
    "a number with letters": {"number": "A5"},
    "a fill that is a stop": {"order_type": OrderType.STOP, "trigger": 1.0},
}


@pytest.mark.parametrize("change", UNSAYABLE.values(), ids=UNSAYABLE)
def test_what_the_dialect_cannot_say_is_refused(change: dict[str, Any]) -> None:
    """Never a text that reads as another order."""
    (ticket,) = read("BOT +1 VERTICAL SPX 100 20 FEB 26 65/70 CALL @1.25").tickets
    with pytest.raises(BadInput, match="cannot be written"):
        written(replace(ticket, **change))
