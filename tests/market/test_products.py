"""Sessions of products: their clocks, holidays and clock changes, and which session a moment belongs to."""

import datetime as dt
import os
import time
import zoneinfo

import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.core.time import MOMENT
from openbell.market import calendars, products
from openbell.market.product_catalogue import PRODUCTS
from openbell.market.products import HOURS, hours, in_hours, product, session_of

CODES_OF_THE_REQUEST = (
    "AD BP BTCUSD C CD CL ES EU FV GC HG JY NG NQ PA PL RP S SF SI TSLA TU TY US W YM".split()  # noqa: SIM905
)
NEW_YORK, CHICAGO = "America/New_York", "America/Chicago"


def clocks(code, first, last, zone=None, **words):
    """Session -> its four moments as day and time of the product's own clock."""
    found = product(code, **words)
    frame = hours(found, dt.date.fromisoformat(first), dt.date.fromisoformat(last))
    local = frame.with_columns(
        pl.exclude("session").dt.convert_time_zone(zone or found.time_zone).dt.strftime("%d %H:%M")
    )
    return {str(row[0]): row[1:] for row in local.rows()}


def test_the_catalogue_is_the_one_asked_for():
    assert sorted(CODES_OF_THE_REQUEST) == list(PRODUCTS)
    for code in CODES_OF_THE_REQUEST:
        assert product(code.lower()) is PRODUCTS[code]
        assert PRODUCTS[code].multiplier > 0
        assert PRODUCTS[code].tick > 0
    assert product("6E").code == "EU"
    assert product("ZC").code == "C"
    assert product("ES_201312").code == "ES"
    assert PRODUCTS["ES"].multiplier * PRODUCTS["ES"].tick == 12.5
    assert PRODUCTS["JY"].multiplier * PRODUCTS["JY"].tick == pytest.approx(6.25)
    assert PRODUCTS["TY"].multiplier * PRODUCTS["TY"].tick == 15.625
    assert PRODUCTS["TU"].multiplier * PRODUCTS["TU"].tick == 7.8125
    assert PRODUCTS["RP"].currency == "GBP"


#: A worked month: Thanksgiving, the half day after it, and (below) both clock changes.
THANKSGIVING = {
    "ES": {
        "2024-11-27": ("26 18:00", "27 17:00", "27 09:30", "27 16:00"),
        "2024-11-28": ("27 18:00", "28 13:00", "28 09:30", "28 13:00"),
        "2024-11-29": ("28 18:00", "29 13:15", "29 09:30", "29 13:00"),
        "2024-12-02": ("01 18:00", "02 17:00", "02 09:30", "02 16:00"),
    },
    "TY": {
        "2024-11-27": ("26 17:00", "27 16:00", "27 07:20", "27 14:00"),
        "2024-11-28": ("27 17:00", "28 12:00", "28 07:20", "28 12:00"),
        "2024-11-29": ("28 17:00", "29 12:15", "29 07:20", "29 12:00"),
        "2024-12-02": ("01 17:00", "02 16:00", "02 07:20", "02 14:00"),
    },
    "C": {
        "2024-11-27": ("26 19:00", "27 13:20", "27 08:30", "27 13:20"),
        "2024-11-29": ("28 19:00", "29 12:05", "29 08:30", "29 12:00"),
        "2024-12-02": ("01 19:00", "02 13:20", "02 08:30", "02 13:20"),
    },
    "TSLA": {
        "2024-11-27": ("27 04:00", "27 20:00", "27 09:30", "27 16:00"),
        "2024-11-29": ("29 04:00", "29 17:00", "29 09:30", "29 13:00"),
        "2024-12-02": ("02 04:00", "02 20:00", "02 09:30", "02 16:00"),
    },
}


@pytest.mark.parametrize("code", THANKSGIVING)
def test_a_holiday_and_its_half_day(code):
    """Checks 65 and 68: Chicago's products open at 17:00 there, which is 18:00 in New York, and not at 18:00."""
    assert clocks(code, "2024-11-27", "2024-12-02") == THANKSGIVING[code]


def test_spot_never_rests():
    days = clocks("BTCUSD", "2024-11-28", "2024-12-01")
    assert list(days) == ["2024-11-28", "2024-11-29", "2024-11-30", "2024-12-01"]
    assert days["2024-11-30"] == ("30 00:00", "01 00:00", "30 00:00", "01 00:00")
    assert product("BTCUSD").time_zone == "UTC"


@pytest.mark.parametrize(
    ("session", "before", "regular"),
    # Worked by hand: New York is 5 hours behind UTC in winter and 4 in summer; the change is on a Sunday at 02:00.
    [
        ("2024-03-08", "2024-03-07T23:00", "2024-03-08T14:30"),
        ("2024-03-11", "2024-03-10T22:00", "2024-03-11T13:30"),
        ("2024-11-01", "2024-10-31T22:00", "2024-11-01T13:30"),
        ("2024-11-04", "2024-11-03T23:00", "2024-11-04T14:30"),
    ],
)
def test_both_clock_changes(session, before, regular):
    day = dt.date.fromisoformat(session)
    for code in ("ES", "TY"):
        row = hours(product(code), day, day).row(0, named=True)
        assert row["open_at"] == dt.datetime.fromisoformat(before).replace(tzinfo=dt.UTC)
    assert hours(product("ES"), day, day)["regular_open_at"][0].isoformat()[:16] == regular


def test_days_that_the_calendars_know_otherwise():
    """July 3rd ends early with the stock exchange, July 4th at noon; Juneteenth trades half a day; the grains rest."""
    july = clocks("ES", "2024-07-03", "2024-07-04")
    assert july == {
        "2024-07-03": ("02 18:00", "03 13:15", "03 09:30", "03 13:00"),
        "2024-07-04": ("03 18:00", "04 13:00", "04 09:30", "04 13:00"),
    }
    assert clocks("NQ", "2024-06-19", "2024-06-19") == {"2024-06-19": ("18 18:00", "19 13:00", "19 09:30", "19 13:00")}
    assert clocks("W", "2024-06-19", "2024-06-19") == {}
    assert clocks("W", "2024-07-04", "2024-07-04") == {}
    for closed in ("2024-03-29", "2024-12-25", "2024-01-01"):
        assert clocks("ES", closed, closed) == {}


def test_every_early_close_of_the_futures_is_a_holiday_or_half_day_of_the_stock_exchange():
    """What the shortened sessions are derived from; it fails when a calendar learns of a day that we would miss."""
    listed = calendars.sessions("CMES").frame
    late = pl.col("close_at").dt.convert_time_zone(CHICAGO).dt.hour() < 17
    early = listed.filter(late & (pl.col("session") >= dt.date(2000, 1, 1)))["session"].to_list()
    assert len(early) > 200
    own = products.sessions(product("ES"))
    full = dt.time(17)
    for day in early:
        assert own.close(day).astimezone(zoneinfo.ZoneInfo(NEW_YORK)).time() < full


@pytest.mark.parametrize("code", [*CODES_OF_THE_REQUEST, "SPY"])
def test_regular_hours_lie_within_and_sessions_never_overlap(code):
    frame = hours(product(code), dt.date(1990, 1, 1), dt.date(2030, 12, 31))
    assert dict(frame.schema) == HOURS
    assert frame.null_count().sum_horizontal()[0] == 0
    inside = (
        (pl.col("open_at") <= pl.col("regular_open_at"))
        & (pl.col("regular_open_at") < pl.col("regular_close_at"))
        & (pl.col("regular_close_at") <= pl.col("close_at"))
        & (pl.col("close_at") <= pl.col("open_at").shift(-1)).fill_null(True)
    )
    assert frame.filter(~inside).is_empty()


def test_hours_include_both_ends_and_refuse_a_turned_span():
    """Check 68."""
    found = hours(product("ES"), dt.date(2024, 7, 1), dt.date(2024, 7, 5))
    assert found["session"].to_list()[0] == dt.date(2024, 7, 1)
    assert found["session"].to_list()[-1] == dt.date(2024, 7, 5)
    with pytest.raises(BadInput, match="before they start on 2024-07-05"):
        hours(product("ES"), dt.date(2024, 7, 5), dt.date(2024, 7, 1))
    with pytest.raises(BadInput, match="such as ES or SPY"):
        product("  ")


def test_other_exchanges_and_codes_that_are_stocks_too():
    assert clocks("VOD", "2024-07-04", "2024-07-04", exchange="XLON") == {
        "2024-07-04": ("04 08:00", "04 16:30", "04 08:00", "04 16:30")
    }
    assert product("C").name == "Corn"
    citigroup = product("C", listed=True)
    assert (citigroup.kind, citigroup.calendar) == ("STOCK", "XNYS")


def at(text, zone=NEW_YORK):
    return dt.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone)).astimezone(dt.UTC)


#: (product, start of a bar on its clock, the session it belongs to)
PLACES = [
    ("ES", "2024-03-10 18:00", "2024-03-11"),  # Sunday evening after the clocks went forward
    ("ES", "2024-03-08 16:59", "2024-03-08"),
    ("ES", "2024-03-08 17:05", "2024-03-08"),  # the break belongs to the session that it ends
    ("ES", "2024-11-03 18:00", "2024-11-04"),
    ("ES", "2024-11-28 18:00", "2024-11-29"),
    ("ES", "2024-11-29 13:10", "2024-11-29"),
    ("C", "2024-11-27 18:59", "2024-11-27"),
    ("C", "2024-11-27 19:00", "2024-11-28"),
    ("TY", "2024-11-26 16:59", "2024-11-26"),
    ("TY", "2024-11-26 17:00", "2024-11-27"),
    ("BTCUSD", "2024-11-30 23:59", "2024-11-30"),
    ("TSLA", "2024-11-29 19:59", "2024-11-29"),
]


@pytest.mark.parametrize(("code", "start", "session"), PLACES)
def test_which_session_a_bar_belongs_to(code, start, session):
    found = product(code)
    frame = pl.DataFrame({"at": [at(start, found.time_zone)]}, schema={"at": MOMENT})
    assert str(frame.select(session_of(pl.col("at"), found)).item()) == session


def test_every_minute_of_a_session_belongs_to_it():
    """All of both clock-change weeks, minute by minute, against the hours themselves."""
    for code in ("ES", "TY", "C", "BTCUSD"):
        for first, last in (("2024-03-07", "2024-03-14"), ("2024-10-31", "2024-11-07")):
            found = product(code)
            frame = hours(found, dt.date.fromisoformat(first), dt.date.fromisoformat(last))
            for day, opens, closes in frame.select("session", "open_at", "close_at").rows():
                minutes = pl.DataFrame({"at": pl.datetime_range(opens, closes, "1m", closed="left", eager=True)})
                told = minutes.select(session_of(pl.col("at"), found).alias("day"), in_hours(pl.col("at"), found))
                assert told["day"].unique().to_list() == [day]
                rest = 45 if code == "C" else 0
                assert int(told[:, 1].sum()) == minutes.height - rest


def test_the_same_in_tokyo(monkeypatch):
    """Check 40."""
    here = THANKSGIVING["ES"]
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    products._all_hours.cache_clear()
    try:
        assert clocks("ES", "2024-11-27", "2024-12-02") == here
        frame = pl.DataFrame({"at": [at("2024-03-10 18:00")]}, schema={"at": MOMENT})
        assert frame.select(session_of(pl.col("at"), product("ES"))).item() == dt.date(2024, 3, 11)
    finally:
        monkeypatch.delenv("TZ")
        os.environ.pop("TZ", None)
        time.tzset()
