"""Forms of thinkorswim orders: what the request names (its Annex F), and what else this dialect writes."""

from __future__ import annotations

import datetime as dt

import pytest
from tests.dialects.thinkorswim_legs import summary

from openbell.core.ticket import Ticket
from openbell.dialects.thinkorswim import read

#: A Wednesday, 10:15 in New York.
MOMENT = dt.datetime(2024, 11, 13, 15, 15, tzinfo=dt.UTC)


def one(text: str, at: dt.datetime | None = None) -> Ticket:
    found = read(text, at=at)
    assert not found.refusals, found.refusals
    (ticket,) = found.tickets
    return ticket


FORMS = {
    # The request's own examples.
    "SELL -1 Butterfly SPX 100 11 Jun 25 6000/6010/6020 CALL @1.0 LMT": (
        "SPX SELL 1 BUTTERFLY -1 | 250611 -1C6000 +2C6010 -1C6020"
    ),
    "SELL -2 IRON CONDOR SPX 100 (Weeklys) 28 JUL 23 4450/4460/4450/4440 CALL/PUT @9.60 LMT": (
        "SPX SELL 2 IRON CONDOR -9.6 | 230728 -1C4450 +1C4460 -1P4450 +1P4440"
    ),
    "SOLD -1 IRON CONDOR SPX 100 (Weeklys) 3 FEB 17 2320/2330/2150/2140 CALL/PUT @1.20 [CBOE]": (
        "SPX SELL 1 IRON CONDOR -1.2 | 170203 -1C2320 +1C2330 -1P2150 +1P2140"
    ),
    "BUY +1 SPX 100 (Weeklys) 22 AUG 26 6300 CALL @8.40 LMT": "SPX BUY 1 SINGLE 8.4 | 260822 +1C6300",
    "#522 FILLED BOT 2 BUTTERFLY SPX 100 15 JAN 21 [AM] 3645/3630/3600 PUT @-.40cr CBOE": (
        "SPX BUY 2 BUTTERFLY -0.4 | 210115 +1P3645 -2P3630 +1P3600"
    ),
    "tAndroid SOLD -10 VERTICAL SPX 100 (Weeklys) 27 MAR 26 6400/6420 CALL @1.50": (
        "SPX SELL 10 VERTICAL -1.5 | 260327 -1C6400 +1C6420"
    ),
    # Thousands commas, case, blanks, signs that were typed by a phone.
    "BUY +1 Butterfly NDX 100 22 May 25 21,400/21,300/21,200.5 CALL @1,024.82 LMT": (
        "NDX BUY 1 BUTTERFLY 1024.82 | 250522 +1C21400 -2C21300 +1C21200.5"
    ),
    "buy +1 butterfly spx 100 22 may 25 5905 / 5855 / 5805 call @ .40 lmt": (
        "SPX BUY 1 BUTTERFLY 0.4 | 250522 +1C5905 -2C5855 +1C5805"
    ),
    "SELL \u22121 VERTICAL SPX 100 22 September 2025 5900/5910 CALL @2.45 LMT": (
        "SPX SELL 1 VERTICAL -2.45 | 250922 -1C5900 +1C5910"
    ),
    "BOT +1 VERTICAL BRK/B 100 2026-02-20 500/510 CALL @2.45": "BRK/B BUY 1 VERTICAL 2.45 | 260220 +1C500 -1C510",
    # A vertical is what its price says, whatever the order of its strikes.
    "SELL -1 VERTICAL SPX 100 11 JUN 25 5945/5950 PUT @.50": "SPX SELL 1 VERTICAL -0.5 | 250611 +1P5945 -1P5950",
    "BUY +1 VERTICAL SPX 100 11 JUN 25 5945/5950 PUT @2": "SPX BUY 1 VERTICAL 2 | 250611 -1P5945 +1P5950",
    "BUY +1 VERTICAL SPX 100 11 JUN 25 6010/6005 CALL @-.50cr": "SPX BUY 1 VERTICAL -0.5 | 250611 +1C6010 -1C6005",
    "SOLD -1 VERTICAL SPX 100 11 JUN 25 6010/6005 CALL @-2.50db": "SPX SELL 1 VERTICAL 2.5 | 250611 -1C6010 +1C6005",
    "SELL -1 VERTICAL SPX 100 11 JUN 25 6000/6005 CALL MKT": "SPX SELL 1 VERTICAL none | 250611 -1C6000 +1C6005",
    # Ratios: a bought back-ratio holds the many.
    "BOT +2 1/3 BACKRATIO NFLX 100 16 OCT 20 585/600 CALL @.05db ISE": (
        "NFLX BUY 2 BACKRATIO 0.05 | 201016 -1C585 +3C600"
    ),
    "SOLD -6 1/3 BACKRATIO NFLX 23 OCT 20 472.5/460 PUT @.00": "NFLX SELL 6 BACKRATIO 0 | 201023 +1P472.5 -3P460",
    "BUY +1 1/2 RATIO SPX 100 23 OCT 26 6000/6050 CALL @1.5": "SPX BUY 1 RATIO 1.5 | 261023 +1C6000 -2C6050",
    "SELL -2 1/3/2 ~BUTTERFLY SPX 2 OCT 20 3420/3440/3480 CALL @.25 cr LMT": (
        "SPX SELL 2 BUTTERFLY -0.25 | 201002 -1C3420 +3C3440 -2C3480"
    ),
    "BOT +1 2/2/1/1 ~IRON CONDOR RUT 100 16 APR 21 [AM] 2230/2250/2150/2055 CALL/PUT @5": (
        "RUT BUY 1 IRON CONDOR 5 | 210416 +2C2230 -2C2250 +1P2150 -1P2055"
    ),
    "BOT +1 5/-4 CUSTOM SPX 100 16 APR 21 [AM]/16 APR 21 [AM] 3750/3695 PUT/PUT @5": (
        "SPX BUY 1 CUSTOM 5 | 210416 +5P3750 -4P3695"
    ),
    "SOLD -1 1/-2/1 CUSTOM SPX 100 18 JUN 21/16 APR 21/16 APR 21 3750/3695/3600 PUT/CALL/PUT @5": (
        "SPX SELL 1 CUSTOM -5 | 210618 -1P3750 210416 +2C3695 -1P3600"
    ),
    # Two dates: the far one first, and bought.
    "SOLD -3 DBL DIAG SPX 100 (Weeklys) 20 JAN 26/16 JAN 26 6990/6830/6980/6840 CALL/PUT/CALL/PUT @12.05": (
        "SPX SELL 3 DOUBLE DIAGONAL -12.05 | 260120 -1C6990 -1P6830 260116 +1C6980 +1P6840"
    ),
    "BUY +1 DBL CAL SPX 100 30 NOV 26/30 OCT 26 7660/7710 PUT/CALL @10.50 LMT": (
        "SPX BUY 1 DOUBLE CALENDAR 10.5 | 261130 +1P7660 +1C7710 261030 -1P7660 -1C7710"
    ),
    "SELL -1 CALENDAR SPX 100 30 NOV 26/20 NOV 26 7550 PUT @5.80": (
        "SPX SELL 1 CALENDAR -5.8 | 261130 -1P7550 261120 +1P7550"
    ),
    "BOT +1 CALENDAR SPX 100 20 NOV 26/30 NOV 26 7550 PUT @5.80": (
        "SPX BUY 1 CALENDAR 5.8 | 261120 -1P7550 261130 +1P7550"
    ),
    "BOT +1 VERT ROLL NDX 100 (Weeklys) 29 JAN 21/22 JAN 21 13250/13275/13250/13275 CALL @2.2": (
        "NDX BUY 1 CUSTOM 2.2 | 210129 +1C13250 -1C13275 210122 -1C13250 +1C13275"
    ),
    # Calls and puts together.
    "BUY +1 STRADDLE NFLX 100 (Weeklys) 4 AUG 23 435 CALL/PUT @12.68 LMT": (
        "NFLX BUY 1 STRADDLE 12.68 | 230804 +1C435 +1P435"
    ),
    "SOLD -1 STRANGLE NVDA 100 (Weeklys) 1 APR 21 580/520 CALL/PUT @3.2": (
        "NVDA SELL 1 STRANGLE -3.2 | 210401 -1C580 -1P520"
    ),
    "BOT +1 COMBO SPY 100 (Weeklys) 30 JAN 26 695/690 CALL/PUT @-1.28": "SPY BUY 1 COMBO -1.28 | 260130 +1C695 -1P690",
    "BOT +1 COLLAR SPX 100 30 JAN 26 6000/6500 PUT/CALL @1.28": "SPX BUY 1 COLLAR 1.28 | 260130 +1P6000 -1C6500",
    "SELL -1 IRON BUTTERFLY SPX 100 20 FEB 26 65/70/65/60 CALL/PUT @2": (
        "SPX SELL 1 IRON BUTTERFLY -2 | 260220 -1C65 +1C70 -1P65 +1P60"
    ),
    "SELL -1 IRON FLY SPX 100 20 FEB 26 60/65/70 @2": "SPX SELL 1 IRON BUTTERFLY -2 | 260220 +1P60 -1P65 -1C65 +1C70",
    "SELL -1 Sonar SPX 100 20 FEB 26 65/70/60/55 CALL/PUT @2": "SPX SELL 1 SONAR -2 | 260220 -1C65 +1C70 -1P60 +1P55",
    "SELL -1 IRON CONDOR SPX 100 20 FEB 26 55/60/65/70 PUT/CALL @2": (
        "SPX SELL 1 IRON CONDOR -2 | 260220 +1P55 -1P60 -1C65 +1C70"
    ),
    # As people type them.
    "SELL -1 Call Vertical SPX 100 20 FEB 26 65/70 @2": "SPX SELL 1 VERTICAL -2 | 260220 -1C65 +1C70",
    "BUY 1 AAPL 28 JUN 23 200 Straddle for 1.5 debit": "AAPL BUY 1 STRADDLE 1.5 | 230628 +1C200 +1P200",
    "BUY 1 AAPL 28 JUN 23 200 Call for a 1.5 debit": "AAPL BUY 1 SINGLE 1.5 | 230628 +1C200",
    "SELL -1 VERTICAL AAPL 10 (Weeklys) (Mini) 28JUN23 437/440 CALL @$2.50": (
        "AAPL SELL 1 VERTICAL -2.5 | 230628 -1C437 +1C440"
    ),
    # Futures.
    "SOLD -1 1/2 BACKRATIO /ZSU21:XCBT 1/50 SEP 21 /OZSU21:XCBT 1230/1340 CALL @3.5": (
        "/ZSU21 SELL 1 BACKRATIO -3.5 | ------ +1C1230 -2C1340"
    ),
    "BOT +1 CALENDAR /ESZ26 1/50 DEC 26/SEP 26 (Wk4) /EWZ26/EW4U26 7550 PUT @50": (
        "/ESZ26 BUY 1 CALENDAR 50 | ------ +1P7550 -1P7550"
    ),
}


@pytest.mark.parametrize("text", FORMS)
def test_forms_are_read_to_the_legs_written_by_hand(text: str) -> None:
    """check 29: commas, upper case, SOLD and BOT, the signed quantity, the price: each form to its legs."""
    assert summary(one(text)) == FORMS[text]


def test_a_year_is_the_next_one_after_the_message() -> None:
    """A day without a year comes from the moment of the message, in New York, flagged; without a moment it is open."""
    rows = {
        "SELL 1 SPX 15 NOV 5850/5875/5900 Butterfly for 2.0 credit": (
            "SPX SELL 1 BUTTERFLY -2 | 241115 -1C5850 +2C5875 -1C5900"
        ),
        "BUY 2 SPX 15 NOV 5800/5900/6000/6100 Iron Condor for 3.5 debit": (
            "SPX BUY 2 IRON CONDOR 3.5 | 241115 -1P5800 +1P5900 +1C6000 -1C6100"
        ),
        "SELL 1 SPX 15 NOV 5900/5950 Call Vertical for 1.5 credit": "SPX SELL 1 VERTICAL -1.5 | 241115 -1C5900 +1C5950",
        "SELL 1 SPX 17 JAN 5900/5950 Call Vertical for 1.5 credit": "SPX SELL 1 VERTICAL -1.5 | 250117 -1C5900 +1C5950",
    }
    for text, wanted in rows.items():
        found = one(text, MOMENT)
        assert summary(found) == wanted
        assert any("names no year" in flag for flag in found.flags)
        opened = one(text)
        assert opened.expiries == ()
        assert any("expiry is open" in flag for flag in opened.flags)
    midnight = dt.datetime(2024, 11, 16, 3, 0, tzinfo=dt.UTC)  # still Friday the 15th in New York
    assert one("SELL 1 SPX 15 NOV 5900/5950 Call Vertical for 1.5 credit", midnight).expiries == (
        dt.date(2024, 11, 15),
    )


def test_an_order_without_expiry_is_of_the_day_only_where_that_is_clear() -> None:
    """0DTE needs the message's moment, a trading hour, and an underlying with an expiry on every day."""
    text = "SELL -1 Vertical SPX 6855/6860 CALL @0.3 LMT"
    assert one(text, MOMENT).expiries == (dt.date(2024, 11, 13),)
    assert "names no expiry" in one(text, MOMENT).flags[0]
    assert one(text).expiries == ()
    assert one(text, dt.datetime(2024, 11, 16, 16, 0, tzinfo=dt.UTC)).expiries == ()  # a Saturday
    assert one(text, dt.datetime(2024, 11, 13, 21, 30, tzinfo=dt.UTC)).expiries == ()  # after the close
    assert one(text.replace("SPX", "MRK"), MOMENT).expiries == ()
    assert one("SELL -1 Vertical MRK 0DTE 60/65 CALL @0.3 LMT", MOMENT).expiries == (dt.date(2024, 11, 13),)


def test_orders_stand_in_a_message() -> None:
    """Text around orders is no fault, several orders come in their order, and places count from the text's start."""
    text = (
        "SPX 0DTE Analysis\nPrice: 5855.50\nShort term bias: Up\n\nButterfly: Neutral bias with a center strike\n"
        "**BUY +1 Butterfly SPX 100 22 May 25 5905/5855/5805 CALL @24.82 LMT**\nWe sold 2 of these before.\n"
        "SELL -1 VERTICAL SPX 100 28 JUN 23 4370/4375 CALL @2.50 LMT; BUY +1 SPX 100 28 JUN 23 4370 CALL @1 LMT "
        "SOLD -2 SPX 100 28 JUN 23 4380 CALL @1 and more\nBOT -1 SPX 100 28 JUN 23 4380 CALL @1\n"
    )
    found = read(text)
    assert [summary(each) for each in found.tickets] == [
        "SPX BUY 1 BUTTERFLY 24.82 | 250522 +1C5905 -2C5855 +1C5805",
        "SPX SELL 1 VERTICAL -2.5 | 230628 -1C4370 +1C4375",
        "SPX BUY 1 SINGLE 1 | 230628 +1C4370",
        "SPX SELL 2 SINGLE -1 | 230628 -1C4380",
    ]
    assert found.tickets[3].comment == "and more"
    (refusal,) = found.refusals
    assert text[refusal.position :].startswith("-1 SPX")


def test_terms_come_in_any_order() -> None:
    """Exchange, time in force and tags behind the price; what is no term is the comment, letter for letter."""
    text = (
        "SELL -1 VERTICAL SPX 100 28 JUN 23 4370/4375 CALL @2.50 [TO OPEN/TO OPEN] GTC LMT EXT  [CBOE] – best\u00a0of"
    )
    found = one(text)
    assert (found.time_in_force, found.exchange) == ("GTC_EXT", "CBOE")
    assert found.comment == "[TO OPEN/TO OPEN] – best\u00a0of"
    assert one("BUY +1 SPX 100 28 JUN 23 4370 CALL @.83 CBOEBID=1.2 ASK=1").exchange == "CBOE"
    assert one("SELL -1 SPX 100 28 JUN 23 4370 CALL MOC").order_type == "MKT"
    limited = one("SELL -1 SPX 100 28 JUN 23 4370 CALL @.60 STPLMT .65")
    assert (limited.order_type, limited.premium, limited.trigger) == ("STPLMT", -0.6, 0.65)
