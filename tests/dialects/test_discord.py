"""Alerts of chat channels: what is read, what is resolved and flagged, and what is refused for which reason."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given, settings
from orders_drawn import tickets

from openbell.core.errors import BadInput
from openbell.core.ticket import OrderType, Status, Ticket, TicketLeg
from openbell.core.types import Right, Settlement, Side
from openbell.dialects.discord import CLOSES, read, written

AT = dt.datetime(2022, 12, 5, 15, 0, tzinfo=dt.UTC)
C, P = "C", "P"

#: Text -> symbol, side, quantity, strategy, legs (ratio, right, strike), expiry, premium, comment. By hand.
READ = [
    ("BTO 5 AI 25c 12/09 @ 1 <@&940418825235619910> swinging",
     ("AI", "BUY", 5, "SINGLE", [(1, C, 25)], "2022-12-09", 1.0, "swinging")),
    ("bto 5 ai 25C 12/9 @1", ("AI", "BUY", 5, "SINGLE", [(1, C, 25)], "2022-12-09", 1.0, None)),
    ("BTO SPY 450c 12/15/23 @ 1.20", ("SPY", "BUY", 1, "SINGLE", [(1, C, 450)], "2023-12-15", 1.2, None)),
    ("STC 3 $AAPL 190c 01/19/2024 @ $2.35 lotto",
     ("AAPL", "SELL", 3, "SINGLE", [(-1, C, 190)], "2024-01-19", -2.35, "lotto")),
    ("BTO $TSLA 250P 1/20 @ m", ("TSLA", "BUY", 1, "SINGLE", [(1, P, 250)], "2023-01-20", None, None)),
    ("BTO SPY 400c @ 1.20 x5 lotto 0dte", ("SPY", "BUY", 5, "SINGLE", [(1, C, 400)], "2022-12-05", 1.2, "lotto 0dte")),
    ("BTO SPY 400c 0DTE @ 1.20 lotto x5", ("SPY", "BUY", 5, "SINGLE", [(1, C, 400)], "2022-12-05", 1.2, "lotto x5")),
    ("BTO SPY 450 12/15 calls @ 1.2", ("SPY", "BUY", 1, "SINGLE", [(1, C, 450)], "2022-12-15", 1.2, None)),
    ("BTO SPY 12/15 450 call @ 1.2", ("SPY", "BUY", 1, "SINGLE", [(1, C, 450)], "2022-12-15", 1.2, None)),
    ("BTO 2 SPX 4,010.5c 16 Dec 22 @ 11.10", ("SPX", "BUY", 2, "SINGLE", [(1, C, 4010.5)], "2022-12-16", 11.1, None)),
    ("Bought to open 3 SPY 450c Dec 16 at 1.20.", ("SPY", "BUY", 3, "SINGLE", [(1, C, 450)], "2022-12-16", 1.2, None)),
    ("STO SPX 4400/4390 put credit spread 12/15 @ .85",
     ("SPX", "SELL", 1, "VERTICAL", [(1, P, 4390), (-1, P, 4400)], "2022-12-15", -0.85, None)),
    ("STO SPX 4400/4410 bear call spread 12/15 @ .85",
     ("SPX", "SELL", 1, "VERTICAL", [(-1, C, 4400), (1, C, 4410)], "2022-12-15", -0.85, None)),
    ("BTO SPX 4400/4410 CDS Dec 15 @ 3.2",
     ("SPX", "BUY", 1, "VERTICAL", [(1, C, 4400), (-1, C, 4410)], "2022-12-15", 3.2, None)),
    ("BTO SPY 12/15 10/11 call spread @ .2",
     ("SPY", "BUY", 1, "VERTICAL", [(1, C, 10), (-1, C, 11)], "2022-12-15", 0.2, None)),
    ("STO 2 SPX 3900/3910/4100/4110 IC 12/9 @ 1.50 credit",
     ("SPX", "SELL", 2, "IRON CONDOR", [(1, P, 3900), (-1, P, 3910), (-1, C, 4100), (1, C, 4110)], "2022-12-09", -1.5,
      None)),
    ("STO 1 SPY 390p/410c strangle 12/16 @ 4",
     ("SPY", "SELL", 1, "STRANGLE", [(-1, P, 390), (-1, C, 410)], "2022-12-16", -4.0, None)),
    ("BTO 1 SPX 4500/4525/4570 call fly 2022-12-16 @ .1 credit",
     ("SPX", "BUY", 1, "BUTTERFLY", [(1, C, 4500), (-2, C, 4525), (1, C, 4570)], "2022-12-16", -0.1, None)),
    ("BTO SPY 450c 12/16 @1.20, SL 0.8, PT 2.5",
     ("SPY", "BUY", 1, "SINGLE", [(1, C, 450)], "2022-12-16", 1.2, "SL 0.8, PT 2.5")),
    ("BUY 5 AI 25c 12/09 @ 1", ("AI", "BUY", 5, "SINGLE", [(1, C, 25)], "2022-12-09", 1.0, None)),
    ("**BTO** `5 AI 25c 12/09` @ 1", ("AI", "BUY", 5, "SINGLE", [(1, C, 25)], "2022-12-09", 1.0, None)),
    ("BTO 5 AI 25c 12/09\n @ 1", ("AI", "BUY", 5, "SINGLE", [(1, C, 25)], "2022-12-09", 1.0, None)),
    ("BTO SPX 4000c @ 3", ("SPX", "BUY", 1, "SINGLE", [(1, C, 4000)], None, 3.0, None)),
]  # fmt: skip


def said(ticket: Ticket) -> tuple:
    legs = [(leg.ratio, leg.right.value[0], leg.strike) for leg in ticket.legs]
    days = {str(leg.expiry) if leg.expiry else None for leg in ticket.legs}
    assert len(days) == 1
    return (
        ticket.underlying, ticket.side.value, ticket.quantity, ticket.strategy, legs, days.pop(), ticket.premium,
        ticket.comment,
    )  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), READ, ids=[each[0][:40] for each in READ])
def test_alerts_by_hand(text, wanted):
    """Check 29 in this dialect. Kills: a quantity or price read from the comment, a day read as strikes."""
    found = read(text, at=AT)
    assert not found.refusals
    assert [said(each) for each in found.tickets] == [wanted]


REFUSED = [
    ("BTO SPX Call Calendar @ 11.50 Debit", 4, "names no strikes"),
    ("BTO 40 COIN @ 57 .00 <@&1037722002145935360> ( stope below 53 PT 72)", 7, "it is about shares"),
    ("BTO /ES 5900c 12/16 @ 3", 4, "how much a point of /ES is worth"),
    ("BTO SPX 4400/4410 bear call spread 12/16 @ 1", 4, "contradicts the verb"),
    ("STO SPX 4400/4410 bull call spread 12/16 @ 1", 4, "contradicts the verb"),
    ("BTO SPX 4400/4410 bull put debit spread 12/16 @ 1", 18, "says credit and debit"),
    ("BTO SPX 4400c bull 12/16 @ 1", 14, "goes with a spread"),
    ("BTO half AAPL 190c 12/16 @ 2", 4, "HALF"),
    ("BTO SPY 450c 12/16 @ 57 .00", 19, "broken by a blank"),
    ("BTO SPY 450c 12/16 @ 1.10-1.20", 19, "is a range of prices"),
    ("BTO SPY 450c 12/16 @ 0", 4, "must be above 0"),
    ("BTO SPY 450c 12/16 @ -1", 4, "must be above 0"),
    ("BTO SPY 450c 12/16 @ 1 @ 2", 4, "names 2 prices"),
    ("BTO SPY 450c 12/16 @ 1 credit", 4, "contradicts the verb"),
    ("STO SPY 450c 12/16 @ 1 debit", 4, "contradicts the verb"),
    ("STO SPX 4400/4390 PCS 12/16 @ 1 debit", 32, "says credit and debit"),
    ("BTO 1 SPX 4500/4525/4550 call fly 12/16 @ 2.1 credit", 6, "contradicts the verb"),
    ("BTO -5 SPY 450c 12/16 @ 1", 7, "1 or more"),
    ("BTO 5 SPY 450c 12/16 @ 1 x6", 6, "several sizes, 5 and 6"),
    ("BTO SPY 450cX 12/16 @ 1", 11, "`cX` cannot stand here"),
    ("BTO SPY 450c 12/16 @ 1.20ish", 19, "cannot stand here"),
    ("BTO SPY 450c 12/16 @ 1,20", 19, "`@` cannot stand here"),
    ("BTO SPX 4,01c 12/16 @ 1.10", 8, "not clear what `4` is"),
    ("BTO SPY 450c 13/45 @ 1.10", 4, "`13/45` is no day"),
    ("BTO SPY 450c 12/16 12/23 @ 1", 4, "names 2 days"),
    ("BTO SPY 450c 450p 12/16 @1.20", 13, "strikes twice"),
    ("BTO SPY 450p/440c strangle 12/16 @1.20", 0, "which no named structure has"),
    ("BTO SPX 4400/4410/4420 IC 12/16 @ 1", 4, "has 4 strikes; 3"),
    ("BTO SPX 4400/4410 fly vertical 12/16 call @ 1", 22, "two structures"),
    ("BTO SPX 4400/4410/4420/4430 12/16 @ 1", 4, "names 4400/4410/4420/4430 and neither call, put"),
    ("BTO SPX 4400c calendar 12/16 @ 1", 4, "has two expiries"),
    ("STO SPX 4400/4410/4420/4430 call IC 12/16 @ 1", 4, "has puts and calls"),
    ("BTO TSLA 250p 1/19 @ 1", 4, "not the usual Friday"),
    ("BTO SPY 450c 1DTE @ 1", 4, "may count days or sessions"),
    ("BTO", 3, "ends too early"),
    ("BTO 5", 5, "ends too early"),
    ("$TSLA 250P 1/19 @ m", 0, "not whether it is bought or sold"),
    ("BTO 9999999999 SPY 450c 12/16 @ 1", 0, "more than any alert means"),
]


@pytest.mark.parametrize(("text", "position", "because"), REFUSED, ids=[each[0][:40] for each in REFUSED])
def test_what_contradicts_itself_or_is_no_option_is_refused(text, position, because):
    found = read(text, at=AT)
    assert found.tickets == ()
    assert [each.position for each in found.refusals] == [position]
    assert because in found.refusals[0].why


def test_without_the_moment_a_year_stays_open_and_is_flagged():
    """Never a guess. Kills: the machine's own year."""
    (ticket,) = read("BTO 5 AI 25c 12/09 @ 1").tickets
    assert not ticket.dated
    assert "12/9 names no year" in ticket.flags[0]


@pytest.mark.parametrize("at", ["2022-12-09T21:30:00+00:00", "2022-12-10T15:00:00+00:00"])
def test_0dte_after_the_close_or_at_a_weekend_is_refused(at):
    """16:30 New York, and a Saturday: nothing of that day trades. Kills: the day of UTC."""
    found = read("BTO SPY 450c 0dte @ 1", at=dt.datetime.fromisoformat(at))
    assert found.tickets == ()
    assert "nothing that expires that day" in found.refusals[0].why


def test_the_day_is_that_of_new_york():
    """Check 40. 01:00 UTC on the 6th is the 5th in New York: 12/5 is then today, not next year's."""
    at = dt.datetime(2022, 12, 6, 1, 0, tzinfo=dt.UTC)
    (ticket,) = read("BTO SPY 450c 12/05 @ 1", at=at).tickets
    assert ticket.expiries == (dt.date(2022, 12, 5),)


def test_several_alerts_each_with_its_own_place():
    text = "Good morning!\nBTO 1 SPY 450c 12/16 @ 1 & STC 2 QQQ 300p 12/16 @ 2\n- BTO 40 COIN @ 57\n"
    found = read(text, at=AT)
    assert [(each.underlying, each.quantity, each.side) for each in found.tickets] == [
        ("SPY", 1, Side.BUY), ("QQQ", 2, Side.SELL),
    ]  # fmt: skip
    assert CLOSES in found.tickets[1].flags
    assert text[found.refusals[0].position :].startswith("COIN")


def test_what_is_assumed_is_flagged():
    (ticket,) = read("BTO SPX 4400/4410c @ m", at=dt.datetime(2025, 5, 22, 15, tzinfo=dt.UTC)).tickets
    assert ticket.order_type is OrderType.MARKET
    assert ticket.expiries == (dt.date(2025, 5, 22),)
    told = " ".join(ticket.flags)
    assert "read as a vertical" in told
    assert "read as 1" in told
    assert "names no expiry" in told


@settings(deadline=None, max_examples=60)
@given(tickets(comments=True))
def test_what_is_written_is_read_back(ticket):
    """Property, check 30."""
    found = read(written(ticket))
    assert found.refusals == ()
    assert [replace(each, flags=()) for each in found.tickets] == [ticket]


def test_a_closing_alert_is_written_as_one():
    (ticket,) = read("STC 3 AAPL 190c 01/19/2024 @ 2.35").tickets
    assert written(ticket).startswith("STC 3 AAPL")
    assert read(written(ticket)).tickets == (ticket,)


LEG = TicketLeg(1, Right.CALL, 100, dt.date(2024, 1, 19))


@pytest.mark.parametrize(
    "ticket",
    [
        Ticket("SPX", Side.BUY, 1, "SINGLE", (LEG,), 1.0, settlement=Settlement.AM),
        Ticket("SPX", Side.BUY, 1, "SINGLE", (LEG,), 1.0, multiplier=50.0),
        Ticket("SPX", Side.BUY, 1, "SINGLE", (LEG,), 1.0, status=Status.WORKING),
        Ticket("SPX", Side.BUY, 1, "SINGLE", (LEG,), 1.0, comment="STC later 5"),
        Ticket("SPX", Side.SELL, 1, "SINGLE", (LEG,), -1.0),
        Ticket("SPX", Side.BUY, 1, "CUSTOM", (LEG,), 1.0),
        Ticket("SPX", Side.BUY, 1, "SINGLE", (replace(LEG, root="SPXW"),), 1.0),
    ],
)
def test_what_an_alert_cannot_say_is_refused_not_left_out(ticket):
    with pytest.raises(BadInput, match=r"(W|w)rite it as JSON"):
        written(ticket)
