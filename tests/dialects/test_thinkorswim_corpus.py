"""Every line of the shared order strings, in their order, against legs that were written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.dialects.thinkorswim_legs import summary

from openbell.dialects.thinkorswim import read, written

CHAT = "discord"
#: One row for each line: its tickets, or the words of the refusal behind an ``X``.
TABLE = [
    ["SPX BUY 1 BUTTERFLY 24.82 | 250522 +1C5905 -2C5855 +1C5805"],
    ["SPX BUY 1 BUTTERFLY 14.25 | 260327 +1P6455 -2P6405 +1P6355"],
    ["SPX SELL 1 VERTICAL -2.45 | ------ -1C5900 +1C5910"],
    ["SPX SELL 1 VERTICAL -0.5 | 250611 -1C6000 +1C6005"],
    ["SPX BUY 1 BUTTERFLY 1.25 | 260811 +1C7725 -2C7750 +1C7775"],
    ["SPX BUY 1 CALENDAR 5.8 | 261130 +1P7550 261120 -1P7550"],
    ["SPX SELL 10 VERTICAL -2.8 | 260721 -1C7505 +1C7510"],
    ["SPX BUY 1 VERTICAL 1.3 | 260610 +1P7340 -1P7330"],
    ["FAST BUY 1 SINGLE 1.75 | 180216 +1C55"],
    ["MRK BUY 1 VERTICAL 1.13 | 171020 +1C65 -1C67.5"],
    ["ADBE SELL 1 VERTICAL -2.8 | 180119 -1C170 +1C175"],
    ["QCOM SELL 1 IRON CONDOR -1.44 | 180216 -1C65 +1C67.5 -1P60 +1P57.5"],
    ["SPY SELL 3 IRON CONDOR -0.37 | 170421 -1C240.5 +1C241.5 -1P228.5 +1P227.5"],
    ["SINA BUY 1 BUTTERFLY 0.8 | 170519 +1C65 -2C70 +1C75"],
    ["FSLR BUY 5 CALENDAR 0.31 | 170616 +1C25 170519 -1C25"],
    ["CRM BUY 1 DIAGONAL 2.57 | 170818 +1P87.5 170721 -1P82.5"],
    ["QQQ SELL 6 BACKRATIO 0.52 | 201016 +1C285 -2C290"],
    ["TSLA SELL 2 BUTTERFLY 0.1 | 200904 -1C580 +2C600 -1C680"],
    ["SPX BUY 2 CONDOR -0.95 | 200918 +1C3470 -1C3475 -1C3490 +1C3555"],
    ["AAPL SELL 1 CONDOR -1.28 | 200710 -1C365 +1C370 +1C372.5 -1C377.5"],
    ["UVXY SELL 2 DIAGONAL 0.25 | 201016 -1P17 200925 +1P19.5"],
    ["GLD SELL 2 DIAGONAL 0.42 | 200911 -1P175 200821 +1P180"],
    ["AAPL SELL 1 IRON CONDOR -0.8 | 201030 -1C110 +1C111 -1P110 +1P109"],
    ["FB SELL 2 IRON CONDOR -2.09 | 200807 -1C250 +1C252.5 -1P250 +1P247.5"],
    ["GLD BUY 2 SINGLE 0.32 | 201009 +1C184"],
    ["GLD SELL 4 SINGLE -0.38 | 201106 -1P172"],
    ["SPX BUY 2 BUTTERFLY 0.8 | 200821 +1C3405 -3C3420 +2C3450"],
    ["SPX BUY 1 VERTICAL 1.45 | 201021 +1P3375 -1P3365"],
    ["BABA SELL 2 VERTICAL -2.5 | 200904 -1C280 +1C285"],
    ["RIOT SELL 2 SINGLE -0.3 | 210122 -1P16", "RIOT BUY 1 BUTTERFLY 0.65 | 210122 +1C25 -2C30 +1C35"],
    ["GLD SELL 4 SINGLE -0.38 | 201106 -1P172", "GLD SELL 2 SINGLE -0.39 | 201113 -1C186.5"],
    ["TSLA SELL 5 SINGLE none | 210115 -1C1020"],
    ["SPX BUY 1 SINGLE none | 201030 +1C3415"],
    ["NFLX SELL 1 BUTTERFLY none | 200904 -1C550 +2C570 -1C590"],
    ["FB SELL 2 VERTICAL -1.1 | 171006 -1P172.5 +1P170"],
    ["PINS SELL 1 IRON CONDOR -6.57 | 210430 -1C77 +1C87 -1P77 +1P67"],
    ["SPX BUY 1 BUTTERFLY 18.75 | 260410 +1P6700 -2P6600 +1P6500"],
    ["SPX BUY 2 SINGLE 2.9 | 260605 +1C7500"],
    ["SPX BUY 1 SINGLE 0.3 | 260220 +1C7040"],
    ["SPX BUY 1 VERTICAL 7.7 | 260306 +1C6870 -1C6880"],
    ["SPX BUY 2 CALENDAR 7 | 260203 +1P6860 260130 -1P6860"],
    ["SPX SELL 2 DIAGONAL -27.2 | 260224 -1P6830 260220 +1P6810"],
    ["SPX SELL 1 CONDOR -36.05 | 260306 -1C6770 +1C6870 +1C6880 -1C6970"],
    ["SPX SELL 4 DOUBLE DIAGONAL -67.75 | 260630 -1P7520 -1P7350 260626 +1P7480 +1P7340"],
    ["/ESZ26 BUY 2 BUTTERFLY 21.25 | ------ +1P7750 -2P7650 +1P7550"],
    ["SPX BUY 1 SINGLE 1.85 | 260925 +1P7600"],
    ["SPY BUY 1 VERTICAL 1.18 | 260806 +1P735 -1P730"],
    ["SPY SELL 1 IRON CONDOR -3.21 | 260731 -1C745 +1C750 -1P735 +1P730"],
    ["SPY BUY 1 IRON CONDOR 3.13 | 260731 +1C745 -1C750 +1P735 -1P730"],
    ["SPY SELL 1 IRON CONDOR -0.69 | 260810 -1C780 +1C790 -1P750 +1P740"],
    ["SPY BUY 1 CUSTOM 14.45 | 260220 +1C665 -1C675 +1P705 -1P695"],
    ["NKE SELL 1 DIAGONAL -0.85 | 280121 -1P45 260424 +1P52"],
    ["X two calls and two puts; the text says CALL for the strikes 6400/6420"],
    ["AMZN SELL 1 VERTICAL -0.85 | 260501 +1C260 -1C255"],
    ["NVDA SELL 1 IRON CONDOR -1.3 | 260501 +1C210 -1C207.5 -1P197.5 +1P192.5"],
    ["AMZN BUY 1 CUSTOM 2.38 | 260501 +1P225 +1P217.5 +1P210"],
    ["AMZN SELL 1 CUSTOM -0.6 | 260501 -2C260 -1C255"],
    [f"X {CHAT}"],
    [f"X {CHAT}"],
    [f"X {CHAT}"],
]
#: Lines with something resolved rather than read, by their number from 1.
FLAGGED = {3, 6, 23, 24, 36, 45, 54, 55}


@pytest.fixture(scope="module")
def lines(real_data: Path) -> list[str]:
    text = (real_data / "orders" / "real_order_strings.txt").read_text()
    return [line for line in text.splitlines() if line.strip()]


def test_every_line_is_read_to_the_legs_written_by_hand(lines: list[str]) -> None:
    """check 29: each line to its legs, or refused for the reason that the table states; 56 lines of 60 hold orders."""
    assert len(lines) == len(TABLE)
    for number, (line, row) in enumerate(zip(lines, TABLE, strict=True), 1):
        found = read(line)
        assert [summary(each) for each in found.tickets] == [each for each in row if not each.startswith("X ")], number
        refused = [each[2:] for each in row if each.startswith("X ")]
        assert len(found.refusals) == len(refused), (number, found.refusals)
        assert all(words in each.why for words, each in zip(refused, found.refusals, strict=True)), (number, found)
    assert sum(not each[0].startswith("X ") for each in TABLE) == 56
    assert sum(len(row) for row in TABLE if not row[0].startswith("X ")) == 58


def test_only_what_was_resolved_is_flagged(lines: list[str]) -> None:
    """Flags stand on the undated, the one-sided [AM], irons that are butterflies, months, and strikes out of order."""
    flagged = {number for number, line in enumerate(lines, 1) if any(each.flags for each in read(line).tickets)}
    assert flagged == FLAGGED


def test_written_and_read_again_every_order_is_the_same(lines: list[str]) -> None:
    """check 30."""
    orders = [ticket for line in lines for ticket in read(line).tickets]
    assert len(orders) == 58
    for ticket in orders:
        again = read(written(ticket)).tickets
        assert [summary(each) for each in again] == [summary(ticket)]
        assert written(again[0]) == written(ticket)


def test_the_whole_file_at_once_is_its_lines(lines: list[str]) -> None:
    """A file of orders is read line by line: the same tickets, and the places of refusals count from its start."""
    text = "\n".join(lines)
    whole = read(text)
    assert [summary(each) for each in whole.tickets] == [
        summary(ticket) for line in lines for ticket in read(line).tickets
    ]
    (refusal,) = whole.refusals  # the lines of chat are text around orders here
    assert text[refusal.position :].startswith("CALL @1.50")


def test_what_stands_around_an_order_is_kept(lines: list[str]) -> None:
    """Number, status, exchange, series, time in force, settlement, multiplier, stop, condition and comment."""
    riot = read(lines[29]).tickets
    assert [(each.number, each.status, each.time_in_force) for each in riot] == [("527", "WORKING", "GTC")] * 2
    assert riot[0].comment is None
    assert riot[1].comment == "1 and 2 units to start"
    (stop,) = read(lines[31]).tickets
    assert (stop.order_type, stop.trigger, stop.premium) == ("STP", 0.65, None)
    (above,) = read(lines[32]).tickets
    assert above.condition is not None
    assert (above.condition.symbol, above.condition.above, above.condition.level) == ("SPX", True, 3342.0)
    (future,) = read(lines[44]).tickets
    assert (future.multiplier, future.legs[0].root, future.series, future.exchange) == (50, "/EW5U26", "Wk5", "CME")
    (glued,) = read(lines[45]).tickets
    assert glued.premium == 1.85
    assert glued.number == "131646602945"
    assert glued.comment is not None
    assert glued.comment.startswith("LAST=7715.14")
    (am,) = read(lines[5]).tickets
    assert (am.settlement, am.series) == ("AM", "Weeklys")
