"""JSON, the companion's JSON, OCC symbols and the notation of legs: read, refused and round-tripped."""

import datetime as dt
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orders_drawn import DAYS, STRIKES, tickets

from openbell.core.errors import BadInput
from openbell.core.ticket import (
    Condition,
    OrderType,
    Prophecy,
    Reading,
    Scale,
    Status,
    Ticket,
    TicketLeg,
)
from openbell.core.types import Right, Settlement, Side
from openbell.dialects import json_form, leg_notation, occ_orders
from openbell.dialects.reading import read

AT = dt.datetime(2025, 5, 22, 15, 0, tzinfo=dt.UTC)
TEXTS = st.none() | st.text(max_size=20)
LEGS = st.builds(
    TicketLeg, st.integers(-9, 9).filter(bool), st.sampled_from(Right), STRIKES, st.none() | DAYS,
    st.none() | st.sampled_from(["SPXW", "/EW5U26"]),
)  # fmt: skip
NUMBERS = st.floats(-1e6, 1e6).map(lambda each: each + 0.0)
ANY = st.builds(
    Ticket,
    st.sampled_from(["SPX", "/ESZ26"]), st.sampled_from(Side), st.integers(1, 999),
    st.sampled_from(["CUSTOM", "CALENDAR"]),
    st.lists(LEGS, min_size=1, max_size=6).map(tuple), st.none() | NUMBERS, st.sampled_from([100.0, 50.0, 1.0]),
    st.none() | st.sampled_from(Settlement), st.sampled_from(OrderType), st.sampled_from(Status), st.none() | NUMBERS,
    st.none() | st.builds(Condition, st.just("SPX"), st.text(max_size=9), st.booleans(), NUMBERS),
    TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, st.lists(st.text(max_size=9), max_size=3).map(tuple),
)  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(ANY)
def test_json_says_every_ticket(ticket):
    """Property, check 30: every field, whatever it holds."""
    assert json_form.read(json_form.written(ticket)) == Reading((ticket,), dialect="json")
    assert read(json_form.written(ticket)).tickets == (ticket,)


@settings(deadline=None, max_examples=10)
@given(st.lists(ANY, min_size=1, max_size=4).map(tuple))
def test_json_says_a_whole_reading(orders):
    prophecy = Prophecy("SPX", 0, 5855.5, 5862.0, 0.5, -0.25, 6400.0, None, Scale.SCORE)
    found = json_form.read(json_form.written(Reading(orders, prophecy=prophecy)))
    assert (found.tickets, found.prophecy, found.refusals) == (orders, prophecy, ())


SHORT = {
    "symbol": "spx",
    "strategy": "Iron_Condor",
    "strikes": [5905, 5910, 5780, 5775],
    "premium": 0.63,
    "action": "sold",
}


def test_the_short_form_of_the_service():
    (ticket,) = read(json.dumps(SHORT)).tickets
    assert (ticket.underlying, ticket.side, ticket.premium, ticket.status) == ("SPX", Side.SELL, -0.63, Status.FILLED)
    assert [(leg.ratio, leg.right.value[0], leg.strike) for leg in ticket.legs] == [
        (1, "P", 5775.0), (-1, "P", 5780.0), (-1, "C", 5905.0), (1, "C", 5910.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("{", "The text is no JSON: Expecting property name"),
        ("[]", "The list of orders is empty"),
        ('{"orders": []}', "`orders` must be a list with at least one entry"),
        ('{"orders": [1]}', "`orders[0]` must be an object"),
        ('{"symbol": "SPX", "symbol": "SPY"}', "The field `symbol` is written twice"),
        ('{"premium": NaN}', "NaN is no number of JSON"),
        ("[" * 40, "nests deeper than 20"),
        (json.dumps(SHORT | {"premum": 1}), "There is no field `premum`. Did you mean `premium`"),
        (json.dumps(SHORT | {"premium": "0.63"}), '`premium` must be a number of at most 1,000,000,000; was "0.63"'),
        (json.dumps(SHORT | {"premium": True}), "was true"),
        (json.dumps(SHORT | {"premium": -1}), "`premium` must be above 0"),
        (json.dumps(SHORT).replace("0.63", "1e999"), "was Infinity"),
        (json.dumps(SHORT).replace("0.63", "9" * 5000), "must be a number of at most"),
        (json.dumps(SHORT | {"strikes": [1, 2, 3]}), "An iron condor has 4 strikes; 3"),
        (json.dumps(SHORT | {"strikes": "1/2/3/4"}), "`strikes` must be a list of numbers"),
        (json.dumps(SHORT | {"action": "HOLD"}), "`action` cannot be `HOLD`"),
        (json.dumps(SHORT | {"option_type": "CALL"}), "has puts and calls"),
        (json.dumps(SHORT | {"strategy": "Vertical", "strikes": [1, 2]}), "needs an option type"),
        (json.dumps(SHORT | {"strategy": "Calendar"}), "There is no strategy that its strikes settle"),
        (json.dumps(SHORT | {"strategy": "Iron Candor"}), "Did you mean `IRON CONDOR`"),
        (json.dumps(SHORT | {"symbol": "/ESZ26"}), "needs its `multiplier`"),
        (json.dumps(SHORT | {"multiplier": 0}), "must be above 0; was 0"),
        (json.dumps(SHORT | {"quantity": 0}), "needs a quantity of 1 or more"),
        (json.dumps(SHORT | {"quantity": 1.5}), "`quantity` must be a whole number"),
        (json.dumps(SHORT | {"expiry": "22.5.2025"}), "must be a day like 2025-05-22"),
        (json.dumps(SHORT | {"symbol": "S P X"}), "must be a symbol"),
        (json.dumps({k: v for k, v in SHORT.items() if k != "symbol"}), "The field `symbol` is missing"),
    ],
)  # fmt: skip
def test_json_that_is_no_order_is_refused_with_its_field(text, because):
    found = read(text, dialect="json")
    assert found.tickets == ()
    assert len(found.refusals) == 1
    assert because in found.refusals[0].why


COMPANION = {
    "timestamp": "2025-05-22T10:35:00", "symbol": "SPX", "spot_price": 5855.5, "trend": "up", "predicted_close": 5862,
    "strength": 0.8, "range": 20, "targets": [5860, 5870], "levels": {"calls": [], "puts": [], "center": 5855},
    "example_trades": {
        "butterfly": {"strikes": [5905, 5855, 5805], "type": "CALL", "price": 24.82, "action": "BUY"},
        "iron_condor": {"strikes": "5905/5910/5780/5775", "type": "CALL/PUT", "price": 0.63, "action": "SELL"},
        "vertical": {"strikes": [6000, 6005], "type": "CALL", "price": 0.5, "action": "SELL"},
    },
}  # fmt: skip


def test_the_companion_s_example_trades():
    """Annex F, end. Kills: its targets dropped, a trade without its symbol, another day than the message's."""
    found = read(json.dumps(COMPANION), at=AT)
    assert found.refusals == ()
    assert found.prophecy == Prophecy("SPX", None, 5855.5, 5862.0, target1=5860.0, target2=5870.0)
    assert [(each.strategy, each.premium) for each in found.tickets] == [
        ("BUTTERFLY", 24.82), ("IRON CONDOR", -0.63), ("VERTICAL", -0.5),
    ]  # fmt: skip
    assert {each.expiries for each in found.tickets} == {(AT.date(),)}
    assert all(any("names no expiry" in flag for flag in each.flags) for each in found.tickets)


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"symbol": None}, "names no symbol"),
        ({"example_trades": []}, "`example_trades` must be an object"),
        ({"example_trades": {"calendar": {}}}, "is no trade whose strikes settle its legs"),
        ({"example_trades": {"vertical": {"strikes": [1, 2], "type": "CALL", "price": 0, "action": "BUY"}}}, "above 0"),
        (
            {"example_trades": {"vertical": {"strikes": "a/b", "type": "CALL", "price": 1, "action": "BUY"}}},
            "numbers as",
        ),
        ({"example_trades": {"vertical": 3}}, "must be an object"),
        ({"targets": [1, 2, 3]}, "at most two prices"),
    ],
)
def test_a_companion_file_that_is_none(change, because):
    found = read(json.dumps(COMPANION | change), at=AT)
    assert any(because in each.why for each in found.refusals)


@settings(deadline=None, max_examples=40)
@given(tickets(("SINGLE",), undated=False))
def test_occ_symbols_round_trip(ticket):
    """Property, check 30. Index classes settle, so their symbol says more than a plain ticket: those are refused."""
    if ticket.underlying in ("SPX", "XSP", "BRK.B"):
        with pytest.raises(BadInput):
            occ_orders.written(ticket)
        return
    found = read(occ_orders.written(ticket))
    assert found.dialect == "occ"
    assert [replace(each, flags=()) for each in found.tickets] == [ticket]


def test_occ_symbols_by_hand():
    found = read(
        "SPXW  230914C04500000\nwatch AAPL251010P00127500!\n+1 SPXW230914C04500000 @ 2.1, -3 SPXW230914C04510000 @ 1\n"
    )
    assert [(each.underlying, each.side.value, each.quantity, each.premium) for each in found.tickets] == [
        ("SPX", "BUY", 1, None), ("AAPL", "BUY", 1, None), ("SPX", "BUY", 1, 2.1), ("SPX", "SELL", 3, -1.0),
    ]  # fmt: skip
    first = found.tickets[0]
    assert (first.settlement, first.legs[0].root) == (Settlement.PM, "SPXW")
    assert first.flags == (
        "No side is written; read as bought.", "No number of units is written; read as 1.", "No price is written.",
    )  # fmt: skip
    assert occ_orders.written(found.tickets[3]) == "SELL 3 SPXW230914C04510000 @ 1"


@pytest.mark.parametrize(
    ("text", "position", "because"),
    [
        ("BUY -1 AAPL251010P00127500", 7, "contradicts its verb"),
        ("BUY 0 AAPL251010P00127500", 6, "1 or more; was 0"),
        ("AAPL251310P00127500", 0, "is not a day"),
        ("2 AAPL1251010P00127500", 2, "a corporate action adjusted"),
        ("AAPL251010P00127500 @ 0", 0, "must be above 0"),
        ("buy 5 apples AAPL251010P00127500", 6, "`apples` cannot stand here"),
        ("AAPL251010P00127500 @ 1.2.3", 20, "cannot stand here"),
    ],
)
def test_occ_lines_that_contradict_themselves(text, position, because):
    found = read(text)
    assert found.tickets == ()
    assert found.refusals[0].position == position
    assert because in found.refusals[0].why


@settings(deadline=None, max_examples=40)
@given(tickets(("VERTICAL", "BUTTERFLY", "CONDOR", "IRON CONDOR", "STRADDLE", "STRANGLE")))
def test_the_notation_of_legs_round_trips(ticket):
    """Property, check 30. An order at market cannot be said, so it is refused."""
    if ticket.order_type is OrderType.MARKET:
        with pytest.raises(BadInput, match="loses `order_type`"):
            leg_notation.written(ticket)
        return
    found = read(leg_notation.written(ticket))
    assert [replace(each, flags=()) for each in found.tickets] == [ticket]
    assert found.dialect == "legs"
    named = [(leg.right, leg.strike) for leg in sorted(ticket.legs, key=lambda leg: (leg.right == "CALL", leg.strike))]
    assert list(leg_notation.strikes_of(leg_notation.notation(ticket))) == named


def test_the_notation_of_annex_f():
    assert leg_notation.strategy_of(leg_notation.strikes_of("C5805/C5855/C5905")) == "BUTTERFLY"
    assert leg_notation.strategy_of(leg_notation.strikes_of("P5775/P5780_C5905/C5910")) == "IRON CONDOR"
    assert leg_notation.strikes_of("p5775.5") == ((Right.PUT, 5775.5),)
    (ticket,) = read("SELL -2 SPX P5775/P5780_C5905/C5910 @.63", at=AT).tickets
    assert (ticket.quantity, ticket.premium, ticket.expiries) == (2, -0.63, (AT.date(),))


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("C5805/C5855/C5905", "not whether they are bought or sold nor on what"),
        ("SPX P5775/P5780", "not whether they are bought or sold."),
        ("SELL +2 SPX P5775/P5780", "contradicts its verb"),
        ("BUY SPX P5775/C5700 @ 1", "no structure that the notation names"),
        ("BUY SPX P5775/P5780_C5905 @ 1", "no structure that the notation names"),
        ("BUY SPX P0/P5780 @ 1", "must be a number above 0"),
        ("BUY SPX P5775/P5780 @ 0", "must be above 0"),
        ("BUY SPX P5775/P5780 2025-13-01", "is no day"),
        ("BUY SPX P5775/P5780 tomorrow", "`tomorrow` cannot stand here"),
    ],
)
def test_legs_without_an_order_are_refused(text, because):
    found = read(text, dialect="legs")
    assert found.tickets == ()
    assert because in found.refusals[0].why


@pytest.mark.parametrize("text", ["", "C", "C5805/", "C5805 x", "X5805", "BUY 1 SPX C5805/C5855"])
def test_what_is_not_bare_legs(text):
    with pytest.raises(BadInput):
        leg_notation.strikes_of(text)
