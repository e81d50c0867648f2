"""Days of a product out of a file, on the product's own calendar."""

import datetime as dt

import pytest

from openbell.core.errors import BadInput
from openbell.core.view import View
from openbell.market import products
from openbell.market.calendars import sessions
from openbell.market.importing import import_batch
from openbell.market.product_days import product_days

AT = dt.datetime(2024, 4, 1, tzinfo=dt.UTC)
#: Martin Luther King's day, the 15th, on which ES traded and the stock exchange did not, and a Saturday.
DAYS = """01/12/2024,4800,4820,4790,4810.25,1000
01/15/2024,4810,4815,4800,4812,200
01/16/2024,4812,4830,4805,4825,1100
01/20/2024,4825,4830,4820,4826,5
"""


def imported(memory, path, **words):
    batch, product = product_days(path, **words)
    report = import_batch(memory, batch, products.sessions(product, regular=product.kind == "STOCK"), at=AT)
    return report, product


@pytest.fixture
def es(tmp_path):
    path = tmp_path / "ES_daily.txt"
    path.write_text(DAYS)
    return path


def test_a_holiday_of_the_stock_exchange_is_not_lost(memory, es):
    """S4.16: month first, the symbol in the file's name; the Saturday is counted with its reason."""
    report, product = imported(memory, es)
    rows = memory.frames["bars"].sort("session")
    assert (product.code, report.stored, report.quarantined) == ("ES", 3, 1)
    assert rows["session"].to_list() == [dt.date(2024, 1, 12), dt.date(2024, 1, 15), dt.date(2024, 1, 16)]
    assert rows["close"].to_list() == [4810.25, 4812.0, 4825.0]
    # Known at the close of the whole session: 17:00 in New York, and at 13:00 on the holiday.
    assert [each.hour for each in rows["known_at"]] == [22, 18, 22]
    assert memory.frames["quarantine"]["session"].to_list() == [dt.date(2024, 1, 20)]
    assert memory.frames["instruments"].select("symbol", "kind").rows() == [("ES", "FUTURE")]
    assert "sessions of ES (E-mini S&P 500), by the calendar CMES" in report.notes[-1]


def test_named_as_a_stock_the_holiday_is_refused_with_its_reason(memory, es):
    report, product = imported(memory, es, code="SPY")
    assert (product.kind, report.stored, report.quarantined) == ("STOCK", 2, 2)
    assert memory.frames["bars"]["known_at"][0].hour == 21
    reasons = memory.frames["quarantine"].sort("session")["reason"].to_list()
    assert "2024-01-15 is a Monday without a session" in reasons[0]


def test_the_view_takes_both_ends(memory, es):
    """Check 68."""
    imported(memory, es)
    view = View(memory, AT, sessions("XNYS"))
    days = view.bars("1d", first=dt.date(2024, 1, 12), last=dt.date(2024, 1, 16)).collect()
    assert days["session"].to_list() == [dt.date(2024, 1, 12), dt.date(2024, 1, 15), dt.date(2024, 1, 16)]
    assert view.bars("1d", first=dt.date(2024, 1, 16), last=dt.date(2024, 1, 16)).collect().height == 1


def test_what_they_are_stored_under(memory, es, tmp_path):
    imported(memory, es, symbol="MINI", code="ES")
    assert memory.frames["bars"]["symbol"].unique().to_list() == ["MINI"]
    headed = tmp_path / "some days.csv"
    headed.write_text("date,symbol,open,high,low,close,volume\n2024-01-12,6E,1.1,1.2,1.0,1.15,10\n")
    report, product = imported(memory, headed)
    assert (product.code, report.stored) == ("EU", 1)


def test_bitcoin_trades_on_saturdays(memory, tmp_path):
    path = tmp_path / "BTCUSD_daily.txt"
    path.write_text("01/20/2024,41000,42000,40000,41500,10\n01/21/2024,41500,42000,41000,41600,9\n")
    report, _ = imported(memory, path)
    assert (report.stored, report.quarantined) == (2, 0)
    assert memory.frames["bars"]["known_at"].to_list()[0] == dt.datetime(2024, 1, 21, tzinfo=dt.UTC)


def test_a_price_below_zero_is_counted(memory, tmp_path):
    """Crude oil on 2020-04-20: no price that returns can be made of; aside, with its reason."""
    path = tmp_path / "CL_daily.txt"
    path.write_text(
        "04/17/2020,19,20,18,18.27,10\n04/20/2020,17.73,17.85,-40.32,-37.63,10\n04/21/2020,10,14,9,10.01,9\n"
    )
    report, _ = imported(memory, path)
    assert report.received == report.stored + report.quarantined == 3
    assert dt.date(2020, 4, 20) in memory.frames["quarantine"]["session"].to_list()


@pytest.mark.parametrize(
    ("name", "text", "words", "why"),
    [
        ("days.txt", DAYS, {}, "does not begin with a symbol, such as ES_daily.txt"),
        ("ES_daily.txt", DAYS.replace("01/16", "16/01"), {}, "the month first"),
        ("ES_daily.txt", "01/16/2024,1,2,1,1,5\n01/12/2024,1,2,1,1,5\n", {}, "not in order of time"),
        ("ES.txt", "01/16/2024,09:30,1,2,1,1,5\n", {}, "data import minutes"),
        ("ES.csv", "date,symbol,close\n2024-01-12,ES,1\n2024-01-12,NQ,2\n", {}, "2 symbols, such as ES and NQ"),
    ],
)
def test_refusals(memory, tmp_path, name, text, words, why):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=why):
        imported(memory, tmp_path / name, **words)
    assert memory.commits == []


def test_rows_out_of_order_can_be_sorted(memory, tmp_path):
    path = tmp_path / "ES_daily.txt"
    path.write_text("01/16/2024,1,2,1,1,5\n01/12/2024,1,2,1,1,5\n")
    assert imported(memory, path, sort=True)[0].stored == 2
