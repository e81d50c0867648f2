"""The alert message with predictions: what it foresees, and the orders in it (S1.18)."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orders_drawn import tickets

from openbell.core.ticket import Prophecy, Reading, Scale
from openbell.dialects.alert import read, written
from openbell.dialects.json_form import written as as_json
from openbell.dialects.reading import read as read_any

AT = dt.datetime(2025, 5, 22, 15, 0, tzinfo=dt.UTC)
MESSAGE = """📊 **SPX 0DTE Analysis** - 10:35
**Price:** 5,855.50 | Predicted Close: 5862
Short term: 5860
Long term: 5,865
Short term bias: Up
Target 1: 6,400.0
Target 2: n/a

Butterfly: Neutral bias with a center strike
BUY +1 Butterfly SPX 100 22 May 25 5905/5855/5805 CALL @24.82 LMT
Iron Condor
SELL -1 Iron Condor SPX 5905/5910/5780/5775 CALL/PUT @0.63 LMT
Sonar: rich premium
SELL -1 Iron Condor SPX 5905/5910/5780/5775 CALL/PUT @0.93 LMT
Vertical:
SELL -1 Vertical SPY 590/591 CALL @0.3 LMT
"""


def test_the_request_s_own_message():
    """The recorded message of the request, with the text around it."""
    text = """(actual Discord message format)
    SPX 0DTE Analysis
    Price: 5855.50
    Predicted Close: 5862
    Short term: 5860
    Long term: 5865

    Butterfly: Neutral bias with a center strike
    BUY +1 Butterfly SPX 100 22 May 25 5905/5855/5805 CALL @24.82 LMT
Other fields seen in the same bot's messages: "Target 1: 6400.0"."""
    found = read(text, at=AT)
    assert found.prophecy == Prophecy("SPX", 0, 5855.5, 5862.0, 5860.0, 5865.0, scale=Scale.LEVEL)
    assert found.refusals == ()
    (ticket,) = found.tickets
    assert (ticket.strategy, ticket.premium, ticket.expiries) == ("BUTTERFLY", 24.82, (dt.date(2025, 5, 22),))
    assert ticket.flags == ()


def test_a_whole_message():
    """Thousands commas, decoration, bias lines, several statements on a line, sections and symbols."""
    found = read(MESSAGE, at=AT)
    assert found.refusals == ()
    assert found.prophecy == Prophecy("SPX", 0, 5855.5, 5862.0, 5860.0, 5865.0, 6400.0, None, Scale.LEVEL)
    assert [each.strategy for each in found.tickets] == ["BUTTERFLY", "IRON CONDOR", "SONAR", "VERTICAL"]
    assert all(each.expiries == (AT.date(),) for each in found.tickets)
    sonar, vertical = found.tickets[2:]
    assert any("heading Sonar" in flag for flag in sonar.flags)
    assert any("what it foresees is not about SPY" in flag for flag in vertical.flags)


@pytest.mark.parametrize(
    ("short", "long", "scale", "kept", "refused"),
    [
        ("0.65", "-0.2", Scale.SCORE, (0.65, -0.2), 0),
        ("5860", "5,865.25", Scale.LEVEL, (5860.0, 5865.25), 0),
        ("1", "-1", Scale.SCORE, (1.0, -1.0), 0),
        ("5860", "0.65", None, (None, None), 1),
        ("58.60", "5865", Scale.LEVEL, (None, 5865.0), 1),
        ("-5860", "5865", Scale.LEVEL, (None, 5865.0), 1),
        ("5,86", "5865", Scale.LEVEL, (None, 5865.0), 1),
        ("Up", "5865", Scale.LEVEL, (None, 5865.0), 1),
        ("N/A", "5865", Scale.LEVEL, (None, 5865.0), 0),
    ],
)
def test_short_and_long_term_keep_their_raw_value_and_get_a_scale(short, long, scale, kept, refused):
    """S1.18. Kills: `5,855.50` read as 5.0, a score taken for a price, two scales in one message."""
    found = read(f"SPX 0DTE Analysis\nPrice: 5855.50\nShort term: {short}\nLong term: {long}\n")
    assert (found.prophecy.short_term, found.prophecy.long_term) == kept
    assert found.prophecy.scale is scale
    assert len(found.refusals) == refused


def test_without_a_price_a_level_is_told_by_its_size():
    assert read("Short term: 21,400").prophecy.scale is Scale.LEVEL
    assert read("Short term: -0.4").prophecy.scale is Scale.SCORE


@pytest.mark.parametrize(
    ("text", "because", "at"),
    [
        ("SPX 0DTE\nPrice: 5855\nPrice: 5856", "5855 and 5856 of the same", "5856"),
        ("SPX 0DTE\nNDX 0DTE Analysis\n", "second heading, NDX 0DTE", "NDX"),
        ("Price: 0", "must be above 0", "0"),
        ("Predicted Close: five", "`five` is no number", "five"),
    ],
)
def test_what_contradicts_itself_is_refused_with_its_place(text, because, at):
    found = read(text)
    assert [because in each.why for each in found.refusals] == [True]
    assert text[found.refusals[0].position :].startswith(at)


def test_an_order_that_fails_keeps_its_place_in_the_message():
    text = MESSAGE.replace("SELL -1 Vertical", "SELL +1 Vertical")
    found = read(text, at=AT)
    assert len(found.tickets) == 3
    (refusal,) = found.refusals
    assert text.rindex("\n", 0, refusal.position) + 1 <= text.index("SELL +1") <= refusal.position + 8


@pytest.mark.parametrize(
    ("heading", "at", "day"),
    [
        ("SPX 0DTE", AT, dt.date(2025, 5, 22)),
        ("SPX 0DTE", dt.datetime(2025, 5, 22, 3, 0, tzinfo=dt.UTC), None),
        ("SPX 1DTE", AT, None),
        ("SPX 0DTE", None, None),
    ],
)
def test_the_heading_dates_orders_only_where_that_is_clear(heading, at, day):
    """03:00 UTC is 23:00 of the 21st in New York, after its close. Kills: 1DTE read as today, the day of UTC."""
    found = read(f"{heading} Analysis\nSELL -1 Vertical SPX 6855/6860 CALL @0.3 LMT", at=at)
    (ticket,) = found.tickets
    assert ticket.expiries == (() if day is None else (day,))
    assert ticket.flags


NUMBERS = st.none() | st.integers(1, 4_000_000).map(lambda quarters: quarters / 4)
LEVELS = st.integers(4_000 * 4, 6_000 * 4).map(lambda quarters: quarters / 4)


@st.composite
def prophecies(draw) -> Prophecy:
    scale = draw(st.none() | st.sampled_from(Scale))
    terms = {Scale.LEVEL: LEVELS, Scale.SCORE: st.integers(-100, 100).map(lambda each: each / 100), None: st.none()}
    short, long = draw(terms[scale]), draw(terms[scale])
    price = draw(LEVELS) if scale is Scale.LEVEL else draw(NUMBERS)
    return Prophecy(
        "SPX", draw(st.integers(0, 9)), price, *[draw(NUMBERS) for _ in range(1)], short, long, None, None, scale
    )


@settings(deadline=None, max_examples=30)
@given(prophecies(), st.lists(tickets(("VERTICAL", "BUTTERFLY", "SONAR"), undated=False, filled=False), max_size=3))
def test_what_is_written_is_read_back(prophecy, orders):
    """Property, check 30: message -> prophecy and tickets -> message, here with the orders as short texts."""
    priced = [
        replace(each, underlying="SPX", premium=each.premium or 1.0 * (1 if each.side == "BUY" else -1))
        for each in orders
    ]
    priced = [replace(each, order_type="LMT") for each in priced]
    from openbell.dialects import leg_notation

    text = written(Reading(tuple(priced), prophecy=prophecy), order=leg_notation.written)
    found = read(text, orders=leg_notation.read)
    assert found.refusals == ()
    assert found.prophecy == prophecy
    assert [as_json(replace(each, flags=())) for each in found.tickets] == [as_json(each) for each in priced]


def test_the_dialect_is_found_by_itself():
    found = read_any(MESSAGE, at=AT)
    assert found.dialect == "alert"
    assert found == read(MESSAGE, at=AT)
