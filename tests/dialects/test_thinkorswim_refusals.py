"""What contradicts itself is refused, with its place and its reason."""

from __future__ import annotations

import datetime as dt

import pytest

from openbell.core.errors import BadInput
from openbell.core.ticket import Reading
from openbell.dialects.thinkorswim import LONGEST_ORDER, LONGEST_TEXT, read

V = "VERTICAL SPX 100 20 FEB 26"
B = "BOT +1 BUTTERFLY SPX 100 20 FEB 26"
IC = "IRON CONDOR SPX 100 22 MAY 25"
#: Text, where the fault begins, words of the reason.
REFUSED = [
    (f"BOT -1 {V} 65/70 CALL @1", "-1", "a bought quantity has a +"),
    (f"SELL +1 {V} 65/70 CALL @1", "+1", "a sold quantity has a -"),
    (f"BOT +0 {V} 65/70 CALL @1", "+0", "quantity of 0"),
    (f"BUY +2000000 {V} 65/70 CALL @1", "+2000000", "above the 1,000,000"),
    (f"BUY +1.5 {V} 65/70 CALL @1", "+1.5", "whole number"),
    (f"WORKING BOT +1 {V} 65/70 CALL @1", "BOT", "WORKING that it is not"),
    (f"WORKING FILLED BUY +1 {V} 65/70 CALL @1", "FILLED", "both WORKING and FILLED"),
    (f"CANCELED SELL -1 {V} 65/70 CALL @1", "CANCELED", "marked `CANCELED`"),
    ("BOT +1 BUTERFLY SPX 100 20 FEB 26 65/70/75 CALL @1", "BUTERFLY", "Did you mean `BUTTERFLY`"),
    ("BOT +1 IRON ALBATROSS SPX 100 20 FEB 26 65/70/75/80 CALL @1", "IRON", "There is no strategy `IRON ALBATROSS`"),
    ("BOT +1 BUTTERFLY SPREAD SPX 100 20 FEB 26 65/70/75 CALL @1", "SPREAD", "only a symbol belongs"),
    ("BOT +1 COVERED LIT 100 16 APR 21 64 CALL/LIT @60", "COVERED", "holds shares"),
    ("BOT +1 COLLAR LIT 100 16 APR 21 64/70 PUT/CALL/LIT @60", "LIT @", "leg of shares"),
    ("BOT +2 QBTS @2.32", "@2.32", "a strike"),
    ("BOT +1 BUTTERFLY SPX 100 20 FEB 26 65/70/75 CALL CONDOR @1", "CONDOR", "called both BUTTERFLY and CONDOR"),
    ("BOT +1 SPX 5900 20 FEB 26 65 CALL @1", "5900", "multiplier belongs"),
    ("BOT +1 VERTICAL /ESZ26 20 FEB 26 65/70 CALL @1", "/ESZ26", "needs its multiplier"),
    ("BOT +1 VERTICAL /ESZ26 1/50 SEP 26 65/70 CALL @1", "SEP 26", "without the option's root"),
    ("BOT +1 VERTICAL /ESZ26 1/50 SEP 26 /EW5Z26 65/70 CALL @1", "SEP 26", "not the one of the option's root"),
    ("BOT +1 VERTICAL SPX 100 NOV 15 65/70 CALL @1", "NOV 15", "month and its year or a month and its day"),
    ("BOT +1 VERTICAL SPX 100 31 FEB 26 65/70 CALL @1", "31 FEB 26", "no day of the calendar"),
    ("BOT +1 VERTICAL SPX 100 31 NOV 650/700 CALL @1", "31 NOV", "no day of the calendar"),
    ("BOT +1 SPX 100 20 FEB 26 CALL @1", "26 CALL", "the year of 20 FEB or a strike"),
    ("BOT +1 VERTICAL SPX 100 20 NOV 65/70 CALL @1", "65", "the year of 20 NOV or a strike"),
    ("BOT +1 SPX 100 3DTE 65 CALL @1", "3DTE", "may count days or sessions"),
    (f"BOT +1 {V} -65/70 CALL @1", "-65", "a strike"),
    (f"BOT +1 {V} 0/70 CALL @1", "0/70", "A strike is above 0"),
    (f"BOT +1 {V} 5,85/590 CALL @1", "5,85", "a strike"),
    (f"BOT +1 {V} 65/65 CALL @1", "65/65", "both are 65"),
    (f"BOT +1 {V} 65/70/75 CALL @1", "65/70/75", "has 2 strikes; the text names 3"),
    (f"BOT +1 {V} 65/70 CALL/PUT @1", "CALL/PUT", "all calls or all puts"),
    ("BOT +1 CALL VERTICAL SPX 100 20 FEB 26 65/70 PUT @1", "PUT @", "names its right twice"),
    (f"BOT +1 {V} 65/70 @1", "65/70", "of calls or of puts"),
    (f"SELL -1 {V} 70/65 CALL MKT", "70/65", "Name the price"),
    ("BOT +1 VERTICAL SPX 100 20 FEB 26/13 FEB 26 65/70 CALL @1", "20 FEB 26", "expire together"),
    (f"{B} 65/75/70 CALL @1", "65/75/70", "rise or fall throughout"),
    (f"{B} 65/75 CALL @1", "65/75", "has 3 strikes"),
    (f"{B} 65/70/80 @1", "65/70/80", "of calls or of puts"),
    ("BOT +1 1/3/1 BUTTERFLY SPX 100 20 FEB 26 65/70/75 CALL @1", "1/3/1", "the word has no `~`"),
    ("BOT +1 ~BUTTERFLY SPX 100 20 FEB 26 65/70/75 CALL @1", "~BUTTERFLY", "names no ratio"),
    ("BOT +1 1/2/-1 BUTTERFLY SPX 100 20 FEB 26 65/70/75 CALL @1", "1/2/-1", "signs of the ratio"),
    ("BOT +1 1/2 BUTTERFLY SPX 100 20 FEB 26 65/70/75 CALL @1", "1/2", "has 3 legs"),
    ("BOT +1 1/0/1 CUSTOM SPX 100 20 FEB 26 65/70/75 CALL @1", "1/0/1", "from 1 to 999"),
    ("BOT +1 BACKRATIO SPX 100 20 FEB 26 65/70 CALL @1", "BACKRATIO", "the smaller first"),
    ("BOT +1 2/1 BACKRATIO SPX 100 20 FEB 26 65/70 CALL @1", "2/1", "the smaller first"),
    ("BOT +1 CONDOR SPX 100 20 FEB 26 65/70/75/80 CALL/PUT @1", "CALL/PUT", "all calls or all puts"),
    ("SOLD -10 IRON CONDOR SPX 100 27 MAR 26 6400/6420 CALL @1.50", "CALL @", "two calls and two puts"),
    (f"SELL -1 {IC} 5905/5910/5780/5775 CALL @.63", "CALL @", "two calls and two puts"),
    (f"SELL -1 {IC} 5775/5780/5905/5910 CALL/PUT @.63", "5775", "must not begin below the puts"),
    (f"SELL -1 {IC} 5905/5905/5780/5775 CALL/PUT @.63", "5905", "width of 0"),
    (f"SELL -1 {IC} 5905/5910/5780 CALL/PUT @.63", "5905", "has 4 strikes"),
    (f"SELL -1 {IC} 5905/5910/5780/5775 CALL/PUT @-.63db", "-.63", "never worth less than nothing"),
    (f"BUY +1 {IC} 5905/5910/5780/5775 CALL/PUT @-.63", "-.63", "bought for a credit"),
    ("SELL -1 IRON BUTTERFLY SPX 100 22 MAY 25 5905/5910/5780/5775 CALL/PUT @.63", "5905", "at one strike"),
    ("BUY +1 SPX 100 20 FEB 26 65 CALL @-.5", "-.5", "bought for a credit"),
    ("BUY +1 SPX 100 20 FEB 26 65 CALL/PUT @.5", "CALL/PUT", "a call or a put"),
    ("BUY +1 SPX 100 20 FEB 26 65/70 CALL @.5", "65/70", "no strategy"),
    ("BUY +1 STRANGLE SPX 100 20 FEB 26 60/70 CALL/PUT @.5", "60/70", "lies above its put"),
    ("BUY +1 STRADDLE SPX 100 20 FEB 26 60 CALL @.5", "CALL", "a call and a put"),
    ("BUY +1 COMBO SPX 100 20 FEB 26 60/65 PUT/CALL @.5", "PUT/CALL", "named first"),
    ("BOT +1 CALENDAR SPX 100 20 FEB 26 65 CALL @1", "20 FEB 26", "names two expiries"),
    ("BOT +1 CALENDAR SPX 100 20 FEB 26/20 FEB 26 65 CALL @1", "20 FEB 26", "is not said"),
    ("BOT +1 CALENDAR SPX 100 27 MAR 26/20 FEB 26 65/70 CALL @1", "65/70", "has 1 strike;"),
    ("BOT +1 CALENDAR SPX 100 20 FEB 26/27 MAR 26 65 CALL @-1cr", "20 FEB 26", "would be a guess"),
    ("BOT +1 DIAGONAL SPX 100 20 FEB 26/27 MAR 26 65/70 CALL @1", "20 FEB 26", "would be a guess"),
    ("BOT +1 DIAGONAL SPX 100 27 MAR 26/20 FEB 26 65/65 CALL @1", "65/65", "which is a calendar"),
    ("BOT +1 DIAGONAL SPX 100 16 APR 21/16 APR 21 [AM] 65/70 CALL @1", "[AM]", "settle differently"),
    ("BOT +1 DIAGONAL SPX 100 16 APR 21 [PM]/19 MAR 21 [AM] 65/70 CALL @1", "[PM]", "legs that settle PM"),
    ("BOT +1 DBL DIAG SPX 100 27 MAR 26/20 FEB 26 65/70/65/70 CALL/PUT @1", "CALL/PUT", "one for each leg"),
    ("BOT +1 1/-1 CUSTOM SPX 100 27 MAR 26 65/65 CALL/CALL @1", "65/65", "one and the same option"),
    ("BOT +1 1/-1 CUSTOM SPX 100 27 MAR 26 65/70/75 CALL @1", "1/-1", "a ratio for each of its 3 strikes"),
    ("BOT +1 1/-1/1 CUSTOM SPX 100 27 MAR 26 65/70/75 CALL/PUT @1", "CALL/PUT", "one right for each"),
    (f"{B} 65/70/80 CALL @.4cr", "cr", "written @-.4cr"),
    (f"{B} 65/70/80 CALL @-.4db", "db", "the price says `db`"),
    ("SELL -1 BUTTERFLY SPX 100 20 FEB 26 65/70/75 CALL @.4db", "db", "the price says `db`"),
    ("BUY 1 SPX 20 FEB 26 65/70/75 Butterfly for 2.0 credit", "credit", "the price says `credit`"),
    (f"{B} 65/70/80 CALL @.4 @.5", ".5", "two prices"),
    (f"{B} 65/70/80 CALL @1.2.3", "1.2.3", "a number of points"),
    (f"{B} 65/70/80 CALL @1,25", "1,25", "a number of points"),
    (f"{B} 65/70/80 CALL @1.20-1.30", "1.20-", "a number of points"),
    (f"{B} 65/70/80 CALL @9999999", "9999999", "above the 1,000,000"),
    (f"{B} 65/70/80 CALL MKT", "BOT", "A fill has a price"),
    ("BUY +1 SPX 100 20 FEB 26 65 CALL @1 MKT", "MKT", "no price and no stop"),
    ("BUY +1 SPX 100 20 FEB 26 65 CALL LMT", "BUY", "names no price"),
    ("BUY +1 SPX 100 20 FEB 26 65 CALL STP", "STP", "names its trigger"),
    ("BUY +1 SPX 100 20 FEB 26 65 CALL STP 0", "0", "A trigger is above 0"),
    ("BUY +1 SPX 100 20 FEB 26 65 CALL @1 STP 2", "STP", "written STPLMT"),
    ("BUY +1 SPX 100 20 FEB 26 65 CALL STPLMT 2", "STPLMT", "has a limit price"),
    ("BUY +1 SPX 100 20 FEB 26 65 CALL @1 GTC DAY", "DAY", "both DAY and GTC"),
    ("BUY +1 SPX 100 20 FEB 26 65 CALL MKT WHEN SPX MARK AT OR ABOVE 60 AND VIX BELOW 2", "SPX MARK", "more than one"),
    ("SELL -1 BUTTERFLY SPX 100 20 FEB 26 65/70/75 for 2 credit CALL @2.50 LMT", "CALL", "more of an order"),
    ("SELL -1 SPX 100 20 FEB 26 65 CALL MKT 70 PUT", "70 PUT", "more of an order"),
    ("SELL -1 IRON CONDOR SPX 100 20 FEB 26 65/70/60/55 @2 on the PUT side", "on the", "more of an order"),
    (f"{B} 65/70/80 CALL @.4crCBOE", ".4cr", "a number of points"),
    ("HOLD +1 BUTTERFLY SPX 100 20 FEB 26 65/70/75 CALL @1", "", "BUY, SELL, BOT or SOLD"),
    ("SELL BUTTERFLY SPX 100 20 FEB 26 65/70/75 CALL @1", "", "whole number of units"),
]


def refusal(text: str, at: dt.datetime | None = None) -> tuple[int, str]:
    found: Reading = read(text, at=at)
    assert found.tickets == (), text
    (one,) = found.refusals
    return one.position, one.why


@pytest.mark.parametrize(("text", "place", "words"), REFUSED)
def test_contradictions_are_refused_with_place_and_reason(text: str, place: str, words: str) -> None:
    """check 29: never a guess; a sentence that says what was received, at the place where it stands."""
    position, why = refusal(text)
    assert words in why, why
    assert why.endswith((".", "?"))
    if place:
        assert text[position:].startswith(place), text[position:]


def test_a_day_without_a_year_that_is_not_clear_is_refused() -> None:
    """Far ahead, or at a weekend: with the message's moment known such a day is a fault, not open."""
    text = "SELL 1 SPX {} 5900/5950 Call Vertical for 1.5 credit"
    at = dt.datetime(2024, 11, 13, 15, tzinfo=dt.UTC)
    assert "too far" in refusal(text.format("12 NOV"), at)[1]
    assert "Saturday" in refusal(text.format("16 NOV"), at)[1]
    with pytest.raises(BadInput, match="no time zone"):
        read(text.format("15 NOV"), at=dt.datetime(2024, 11, 13, 15))


@pytest.mark.parametrize("text", ["", " \n\t", "\x00\x0c\x1b[", "Good morning, all!", "#455 NEW", "🙂" * 50])
def test_a_text_without_orders_is_refused_once(text: str) -> None:
    """A text that holds no order never comes back empty-handed and silent."""
    assert "no thinkorswim order" in refusal(text)[1]


def test_words_of_the_chat_are_named() -> None:
    assert "`discord`" in refusal("BTO SPX Call Calendar @ 11.50 Debit")[1]


def test_length_is_limited_and_said() -> None:
    """A text or an order without end is refused unread; many bad lines are each refused in linear time."""
    assert f"{LONGEST_TEXT:,}" in refusal("(" * 1_000_000)[1]
    assert f"{LONGEST_ORDER:,}" in refusal("BOT +1 SPX 100 " + "65/" * LONGEST_ORDER + "70 CALL @1")[1]
    assert "digits is not read" in refusal(f"BOT +1 SPX 100 20 FEB 26 {'9' * 900} CALL @1")[1]
    assert "digits is not read" in refusal(f"BOT +{'9' * 900} SPX 100 20 FEB 26 65 CALL @1")[1]
    assert len(read("BOT +1 SPX CALL @\n" * 200).refusals) == 200
