"""Reading whatever comes: the dialect of each line, never an exception, nothing passed over in silence."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.core.ticket import Ticket
from openbell.dialects.reading import DIALECTS, read, written

AT = dt.datetime(2022, 12, 5, 15, 0, tzinfo=dt.UTC)
TOS = "BUY +1 Butterfly SPX 100 22 May 25 5905/5855/5805 CALL @24.82 LMT"
LINES = [
    "Good morning, 3 things", "-2 AAPL251010P00127500", "BTO SPY 450c 12/16", "@ 1.2", TOS,
    "SELL 1 SPX P5775/P5780_C5905/C5910 2025-05-22 @.63", "BTO SPX Call Calendar @ 11.50 Debit", "have a nice day",
]  # fmt: skip


def test_each_line_in_its_own_dialect_and_every_place_in_the_whole_text():
    """Kills: an offset of the stretch taken for one of the text, a line passed over, an order changed with another."""
    text = "\n".join(LINES)
    found = read(text, at=AT)
    assert [(each.underlying, each.strategy, each.premium) for each in found.tickets] == [
        ("AAPL", "SINGLE", None), ("SPY", "SINGLE", 1.2), ("SPX", "BUTTERFLY", 24.82), ("SPX", "IRON CONDOR", -0.63),
    ]  # fmt: skip
    assert found.dialect == "occ+discord+tos+legs"
    (refusal,) = found.refusals
    assert text[refusal.position :].startswith("SPX Call Calendar")


@pytest.mark.parametrize("text", ["", "   \n", "hello world", "I will buy 3 apples", "[AM]", "\x00\x0c", "@", "{"])
def test_a_text_without_an_order_is_refused_once(text):
    found = read(text)
    assert found.tickets == ()
    assert len(found.refusals) == 1


def test_faults_of_the_caller_are_told():
    with pytest.raises(BadInput, match="Did you mean `discord`"):
        read("x", dialect="discrod")
    with pytest.raises(BadInput, match="has no time zone"):
        read("x", at=dt.datetime(2022, 12, 5))
    assert read("x" * 5_000_001).refusals[0].why.startswith("The text has 5,000,001 characters")


def test_a_long_file_is_read_whole(monkeypatch):
    """Kills: orders lost where a stretch is cut into parts, or places counted from the part."""
    monkeypatch.setattr("openbell.dialects.reading.LONGEST_STRETCH", 100)
    text = (TOS + "\nBTO 5 AI 25c 12/09\n @ 1\n" + "BUY -1 SPX 22 May 25 5905 CALL @1\n") * 20
    found = read(text, at=AT)
    assert len(found.tickets) == 40
    assert {text.count("\n", 0, each.position) % 4 for each in found.refusals} == {3}
    many = read((TOS + "\n") * 30)
    assert len(many.tickets) == 30


def test_the_corpus_is_read_or_refused_line_by_line(real_data):
    """Every line of the shared orders gives an order or a reason: 57 lines of one, two of two, three that are none."""
    text = (real_data / "orders" / "real_order_strings.txt").read_text()
    found = read(text, at=AT)
    lines = text.count("\n", 0, len(text.rstrip())) + 1
    refused = {text.count("\n", 0, each.position) for each in found.refusals}
    assert len(found.refusals) == len(refused) == 3
    assert len(found.tickets) == lines - 3 + 2
    reasons = " ".join(each.why for each in found.refusals)
    for because in ("two calls and two puts", "names no strikes", "it is about shares"):
        assert because in reasons


@pytest.mark.parametrize("dialect", ["tos", "discord", "json", "thinkorswim"])
def test_what_is_written_is_read_back_by_the_reader_of_all(dialect):
    (ticket,) = read("BTO 5 AI 25c 12/09/2022 @ 1").tickets
    assert read(written(ticket, dialect)).tickets[0].legs == ticket.legs
    with pytest.raises(BadInput, match="no dialect of single orders"):
        written(ticket, "alert")


PIECES = st.sampled_from(
    [
        "BTO", "STC", "BUY", "SELL", "BOT", "SOLD", "+1", "-2", "5", "0", "SPX", "$TSLA", "AI", "/ESZ26", "100",
        "(Weeklys)", "25c", "250P", "4500/4510", "5905/5855/5805", "1/2/3/4", "12/09", "12/15/23", "22 May 25", "0DTE",
        "CALL", "PUT", "CALL/PUT", "@1.20", "@", "@ m", "@-.40cr", "1.10-1.20", "x5", "lotto", "IRON CONDOR",
        "Butterfly", "call spread", "credit", "debit", "LMT", "GTC", "&", "\n", "Price:", "Short term:", "5,855.50",
        "0.65", "SPX 0DTE Analysis", "Sonar:", "C5805/C5855", "P1/P2_C3/C4", "SPXW230914C04500000", "{", "}", "[", "]",
        '"', ":", ",", "\x0c", "ſ", "\u212a", "\uff11\uff12", "nan", "1e9", "<@&1>", "`", "*", "exp", "for", "at", ".",
        "/",
    ]
)  # fmt: skip
SOUP = st.lists(PIECES | st.text(max_size=6), max_size=14).map(" ".join) | st.lists(PIECES, max_size=9).map("".join)


def sane(ticket: Ticket) -> bool:
    """What holds of every ticket, whatever the text."""
    return ticket.quantity >= 1 and all(leg.strike > 0 for leg in ticket.legs)


def hammered(text: str, dialect: str) -> None:
    found = read(text, dialect=dialect, at=AT)
    assert found.tickets or found.refusals or found.prophecy
    assert all(sane(each) for each in found.tickets)
    assert all(0 <= each.position <= len(text) and each.why.endswith((".", "?", "…")) for each in found.refusals)


@settings(deadline=None, max_examples=150)
@given(SOUP, st.sampled_from(DIALECTS))
def test_never_an_exception(text, dialect):
    hammered(text, dialect)


@pytest.mark.slow
@settings(deadline=None, max_examples=40_000)
@given(SOUP, st.sampled_from(DIALECTS))
def test_never_an_exception_at_length(text, dialect):
    hammered(text, dialect)
