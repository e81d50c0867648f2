"""Yahoo's bars within the session, on frames typed by hand in the shape of yfinance's answers."""

import datetime as dt

import pandas as pd
import pytest

from openbell.core.errors import BadInput, DataMissing
from openbell.market.calendars import sessions, time_zone
from openbell.market.minute_importing import TABLE, import_minutes
from openbell.market.products import PRODUCTS, product
from openbell.market.providers.yahoo_minutes import yahoo_minutes, yahoo_symbol
from openbell.store.tables import Tables

BITCOIN = product("BTCUSD")
NOON = dt.datetime(2024, 11, 30, 12, tzinfo=dt.UTC)


def answer(times, zone="UTC", close=96_000.0, **changed):
    """What `Ticker.history` gives: an aware index of the starts of bars, capitals, Yahoo's own extra columns."""
    index = pd.DatetimeIndex(times).tz_localize(zone).as_unit("s")
    rows = {
        "Open": [close] * len(index),
        "High": [close + 5] * len(index),
        "Low": [close - 5] * len(index),
        "Close": [close + place for place in range(len(index))],
        "Adj Close": [close] * len(index),
        "Volume": [1_000] * len(index),
    }
    return pd.DataFrame({**rows, **changed}, index=index.rename("Datetime"))


def recording(*answers):
    """A download that gives answers in order, and what it was asked."""
    left, asked = list(answers), []

    def download(symbol, interval, first, until):
        asked.append((symbol, interval, first, until))
        given = left.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    return download, asked


def test_a_saturday_of_bitcoin(tmp_path):
    """Spot never rests: a Saturday is a session, and the minute that runs is left out."""
    download, asked = recording(
        answer(["2024-11-30 11:57", "2024-11-30 11:58", "2024-11-30 11:59", "2024-11-30 12:00"])
    )
    batch = yahoo_minutes(BITCOIN, "1m", NOON - dt.timedelta(hours=2), NOON, download=download)
    assert asked[0][:2] == ("BTC-USD", "1m")
    assert [str(each)[11:16] for each in batch.bars["at"]] == ["11:58", "11:59", "12:00"]
    assert batch.notes == ("1 bars of BTCUSD had not ended yet and were left out.",)
    tables = Tables.open(f"file://{tmp_path}")
    report = import_minutes(tables, batch, sessions("XNYS"), time_zone(), at=NOON)
    assert (report.stored, report.quarantined, report.outside) == (3, 0, 0)
    assert tables.scan(TABLE).collect()["session"].unique().to_list() == [dt.date(2024, 11, 30)]


def test_as_many_pieces_as_yahoo_gives_at_once():
    """Sixteen days of minutes are three questions, end to end; what two of them tell counts once."""
    days = ["2024-11-15 12:00", "2024-11-22 12:00", "2024-11-29 12:00"]
    download, asked = recording(answer(days[:1]), answer(days[:2]), answer(days[2:]))
    first = NOON - dt.timedelta(days=16)
    batch = yahoo_minutes(BITCOIN, "1m", first, NOON, download=download)
    assert [each[2:] for each in asked] == [
        (first, first + dt.timedelta(days=7)),
        (first + dt.timedelta(days=7), first + dt.timedelta(days=14)),
        (first + dt.timedelta(days=14), NOON),
    ]
    assert batch.bars["at"].dt.date().to_list() == [dt.date(2024, 11, day) for day in (15, 22, 29)]


def test_the_exchanges_own_clock_is_read():
    """Stocks come in New York's time; the half day ends at 13:00 there."""
    download, _ = recording(answer(["2024-11-29 09:30", "2024-11-29 12:59"], "America/New_York", close=336.0))
    batch = yahoo_minutes(product("TSLA"), "1m", NOON - dt.timedelta(days=2), NOON, download=download)
    assert [str(each)[11:16] for each in batch.bars["at"]] == ["14:31", "18:00"]


def test_missing_numbers_are_null_and_for_the_gate():
    download, _ = recording(answer(["2024-11-30 11:00", "2024-11-30 11:01"], Close=[float("nan"), 96_000.0]))
    batch = yahoo_minutes(BITCOIN, "1m", NOON - dt.timedelta(days=1), NOON, download=download)
    assert batch.bars["close"].to_list() == [None, 96_000.0]


@pytest.mark.parametrize(
    ("code", "told"),
    [("ES", "ES=F"), ("EU", "6E=F"), ("TY", "ZN=F"), ("C", "ZC=F"), ("CL", "CL=F"), ("TSLA", "TSLA"), ("^VIX", "^VIX")],
)
def test_what_yahoo_calls_products(code, told):
    assert yahoo_symbol(product(code)) == told
    assert len({yahoo_symbol(each) for each in PRODUCTS.values()}) == 26


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (ValueError("Too Many Requests. Rate limited."), "gave nothing of BTC-USD: ValueError: Too Many Requests"),
        (None, "gave no bar of BTC-USD"),
        (pd.DataFrame(), "gave no bar of BTC-USD"),
        (answer(["2024-11-30 11:00"]).drop(columns="High"), "no column High"),
        (answer(["2024-11-30 11:00"]).tz_localize(None), "without a zone"),
        (answer(["2024-11-30 12:30"]), "no finished bar of BTCUSD"),
    ],
)
def test_answers_that_are_no_bars(given, why):
    download, _ = recording(given)
    with pytest.raises(DataMissing, match=why):
        yahoo_minutes(BITCOIN, "1m", NOON - dt.timedelta(days=1), NOON, download=download)


def test_refusals():
    download, asked = recording()
    with pytest.raises(BadInput, match="keeps bars of 1m for 30 days; 2024-10-01 lies before"):
        yahoo_minutes(BITCOIN, "1m", dt.datetime(2024, 10, 1, tzinfo=dt.UTC), NOON, download=download)
    with pytest.raises(BadInput, match="frequency of bars within the session `1d`"):
        yahoo_minutes(BITCOIN, "1d", NOON - dt.timedelta(days=1), NOON, download=download)
    with pytest.raises(BadInput, match="Exchange the two"):
        yahoo_minutes(BITCOIN, "1m", NOON, NOON, download=download)
    assert asked == []
