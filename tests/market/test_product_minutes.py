"""Minute bars of a product: the session each belongs to, files without a header, and clocks that are doubted."""

import datetime as dt
import gzip
import os
import time
import zoneinfo

import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.core.time import MOMENT
from openbell.core.view import View
from openbell.market.calendars import sessions, time_zone
from openbell.market.minute_importing import QUARANTINE, TABLE, import_minutes
from openbell.market.product_minutes import OTHER_CLOCK_BARS
from openbell.market.products import hours, product
from openbell.market.providers.minutes import minutes
from openbell.store.tables import Tables

IMPORTED_AT = dt.datetime(2025, 1, 2, tzinfo=dt.UTC)
NEW_YORK = "America/New_York"


@pytest.fixture
def tables(tmp_path):
    return Tables.open(f"file://{tmp_path / 'tables'}")


def clock(first, last, minutes_apart):
    """Naive times from `first` to `last`, both included."""
    return pl.datetime_range(
        dt.datetime.fromisoformat(first), dt.datetime.fromisoformat(last), f"{minutes_apart}m", eager=True
    ).to_list()


def bars(times, price=5_000.0, **more):
    close = [price + k % 7 * 0.25 for k in range(len(times))]
    return pl.DataFrame(
        {
            "ts": times,
            "open": close,
            "high": [each + 0.5 for each in close],
            "low": [each - 0.5 for each in close],
            "close": close,
            "volume": [100.0] * len(times),
            **more,
        }
    )


def stored(folder, tables, frame, code, name="bars.parquet", **words):
    frame.write_parquet(folder / name)
    batch = minutes(folder / name, product=None if code is None else product(code), **words)
    report = import_minutes(tables, batch, sessions("XNYS"), time_zone(), at=IMPORTED_AT)
    return report, tables.scan(TABLE).sort("symbol", "at").collect() if tables.exists(TABLE) else None


def es_week(minutes_apart=5):
    """ES from Sunday 2024-03-10 18:00, the day the clocks went forward, to Tuesday's close; a high on Sunday night."""
    times = [
        *clock("2024-03-10 18:00", "2024-03-11 16:55", minutes_apart),
        *clock("2024-03-11 18:00", "2024-03-12 16:55", minutes_apart),
    ]
    frame = bars(times)
    peak = pl.col("ts") == dt.datetime(2024, 3, 10, 20, 0)
    return frame.with_columns(pl.when(peak).then(5_050.0).otherwise("high").alias("high"))


def test_a_session_that_spans_midnight_has_one_high(tmp_path, tables):
    """Check 65: the Sunday night is Monday's, its high is Monday's high, and nothing is refused for being a Sunday."""
    report, rows = stored(tmp_path, tables, es_week(), "ES")
    assert (report.quarantined, report.product) == (0, "ES")
    days = rows.group_by("session").agg(pl.col("high").max(), pl.len()).sort("session")
    assert days.rows() == [(dt.date(2024, 3, 11), 5_050.0, 276), (dt.date(2024, 3, 12), 5_002.0, 276)]
    assert rows["at"][0] == dt.datetime(2024, 3, 10, 22, 5, tzinfo=dt.UTC)
    assert rows["symbol"].unique().to_list() == ["ES"]
    # 78 bars of 5 minutes lie in each regular session; all others are told, and kept.
    assert report.outside == rows.height - 2 * 78


def test_without_a_product_behaviour_stays_and_a_sentence_tells_of_it(tmp_path, tables):
    report, rows = stored(tmp_path, tables, es_week(), None, symbol="ES", timezone=NEW_YORK)
    assert report.quarantined == 72
    assert tables.scan(QUARANTINE).collect()["rule"].unique().to_list() == ["not_a_session"]
    assert any("--product ES" in note for note in report.notes)
    # Bars of Monday evening are Monday's there, and Tuesday's with a product.
    assert rows.filter(pl.col("session") == dt.date(2024, 3, 11)).height == 204 + 72
    assert not any("--product" in note for note in stored(tmp_path, tables, es_week(), "ES")[0].notes)


@pytest.mark.parametrize(
    ("code", "first", "last", "session"),
    [
        ("TY", "2024-11-26 17:00", "2024-11-27 15:55", "2024-11-27"),
        ("C", "2024-11-26 19:00", "2024-11-27 13:15", "2024-11-27"),
        ("BTCUSD", "2024-11-30 00:00", "2024-11-30 23:55", "2024-11-30"),
        ("TSLA", "2024-11-29 04:00", "2024-11-29 19:55", "2024-11-29"),
        ("CL", "2024-11-28 18:00", "2024-11-29 13:40", "2024-11-29"),
    ],
)
def test_each_product_on_its_own_clock(tmp_path, tables, code, first, last, session):
    """Check 65: Chicago's clock for its products, a half day, a Saturday of Bitcoin, a stock's evenings."""
    frame = bars(clock(first, last, 5), price=100.0)
    report, rows = stored(tmp_path, tables, frame, code)
    assert (report.stored, report.quarantined) == (frame.height, 0)
    assert rows["session"].unique().to_list() == [dt.date.fromisoformat(session)]
    zone = product(code).time_zone
    assert any(zone in note for note in report.notes)
    assert rows["at"][0] - dt.timedelta(minutes=5) == frame["ts"][0].replace(tzinfo=zoneinfo.ZoneInfo(zone))


def test_what_lies_beyond_an_early_close_and_in_the_break_is_kept(tmp_path, tables):
    frame = bars([*clock("2024-11-29 09:30", "2024-11-29 13:25", 5), *clock("2024-12-02 16:55", "2024-12-02 17:10", 5)])
    report, rows = stored(tmp_path, tables, frame, "ES", timezone=NEW_YORK)
    assert report.quarantined == 0
    assert rows.group_by("session").len().sort("session").rows() == [
        (dt.date(2024, 11, 29), 48),
        (dt.date(2024, 12, 2), 4),
    ]
    # The regular hours of the half day end at 13:00: five bars lie after it, and four of Monday after 16:00.
    assert report.outside == 6 + 4


def test_days_without_a_session_are_counted(tmp_path, tables):
    """Good Friday, and the Saturday evening that belongs to no session."""
    frame = bars([*clock("2024-03-29 09:30", "2024-03-29 09:55", 5), *clock("2024-03-30 18:00", "2024-03-30 18:25", 5)])
    report, _ = stored(tmp_path, tables, frame, "ES")
    assert (report.stored, report.quarantined) == (0, 12)
    assert set(tables.scan(QUARANTINE).collect()["session"]) == {dt.date(2024, 3, 29), dt.date(2024, 3, 31)}


def test_an_hour_of_a_stock_counts_from_its_bell(tmp_path, tables):
    """Bars of 09:30 to 10:30 are on the grid of a stock with a product as they are without one."""
    times = [dt.datetime(2024, 11, day, hour, 30) for day in (25, 26) for hour in range(9, 15)]
    report, _ = stored(tmp_path, tables, bars(times, price=100.0), "SPY", freq="1h")
    assert (report.stored, report.quarantined, report.outside) == (12, 0, 0)


def test_the_view_takes_both_ends(tmp_path, tables):
    """Check 68: the last day is in it, with all of its bars."""
    stored(tmp_path, tables, es_week(), "ES")
    view = View(tables, IMPORTED_AT, sessions("XNYS"))
    monday, tuesday = dt.date(2024, 3, 11), dt.date(2024, 3, 12)
    assert view.minutes("5m", first=monday, last=tuesday, symbols=["ES"]).collect().height == 552
    only = view.minutes("5m", first=tuesday, last=tuesday, symbols=["ES"]).collect()
    own = hours(product("ES"), tuesday, tuesday)
    assert (only.height, only["at"].max()) == (276, own["close_at"][0])


HEADERLESS = """03/08/2024,16:58,5000,5001,4999.75,5000.25,100
03/08/2024,16:59,5000.25,5001,4999.75,5000.5,120
03/10/2024,18:00,5000,5002,4999,5001,80
03/10/2024,18:01,5001,5002,5000,5001,70
"""


@pytest.mark.parametrize("name", ["ES.txt", "ES_1min.csv", "ES.txt.gz"])
def test_a_file_without_a_header(tmp_path, tables, name):
    """S4.16: the month first, a clock in a column of its own; New York's winter and summer in one file."""
    path = tmp_path / name
    path.write_bytes(gzip.compress(HEADERLESS.encode()) if name.endswith("gz") else HEADERLESS.encode())
    batch = minutes(path, product=product("ES"))
    report = import_minutes(tables, batch, sessions("XNYS"), time_zone(), at=IMPORTED_AT)
    rows = tables.scan(TABLE).sort("at").collect()
    assert (report.stored, report.freq) == (4, "1m")
    assert rows.select("symbol", "session", "open", "volume").rows()[1:3] == [
        ("ES", dt.date(2024, 3, 8), 5000.25, 120.0),
        ("ES", dt.date(2024, 3, 11), 5000.0, 80.0),
    ]
    # 16:59 of winter and 18:00 of summer, each a minute later: the ends of the bars.
    assert [each.strftime("%H:%M") for each in rows["at"]] == ["21:59", "22:00", "22:01", "22:02"]
    assert minutes(path, timezone="UTC").bars["symbol"].unique().to_list() == ["ES"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("13/01/2024,09:30,1,2,1,1,5\n", "the month first"),
        ("01/02/2024,09:30,1,2,1,1\n", "daily ones are imported|no certain time|Name the column"),
        ("01/02/2024,09:30,1,2\n", "4 cells in its first row"),
        ("01/02/2024,09:30,1,2,1,1,5\n01/02/2024,9h31,1,2,1,1,5\n", "no certain time"),
        ("01/02/2024,09:30,1,2,1,one,5\n01/02/2024,09:31,1,2,1,1,5\n", "no number"),
        ("01/02/2024;09:30;1;2;1;1;5\n01/02/2024;09:31;1;2;1;1;5\n", "semicolons"),
    ],
)
def test_headerless_files_that_are_no_certain_bars(tmp_path, text, why):
    (tmp_path / "ES.txt").write_text(text)
    with pytest.raises(BadInput, match=why):
        minutes(tmp_path / "ES.txt", product=product("ES"), freq="1m")


def test_another_clock_than_the_products_is_not_believed(tmp_path):
    """Times in UTC, read as New York's, put bars into the hour that ES never trades in."""
    times = [each + dt.timedelta(hours=5) for each in es_week()["ts"]]
    frame = bars(times)
    assert frame.height > OTHER_CLOCK_BARS
    frame.write_parquet(tmp_path / "ES.parquet")
    with pytest.raises(BadInput, match=r"24 of 552 bars .* Name it with `--timezone`, such as UTC"):
        minutes(tmp_path / "ES.parquet", product=product("ES"))
    assert minutes(tmp_path / "ES.parquet", product=product("ES"), timezone="UTC").bars.height == 552


def test_times_that_carry_their_zone_need_none(tmp_path):
    frame = es_week().with_columns(pl.col("ts").dt.replace_time_zone(NEW_YORK).dt.convert_time_zone("UTC"))
    frame.write_parquet(tmp_path / "ES.parquet")
    texts = frame.with_columns(pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%S%:z"))
    texts.write_csv(tmp_path / "ES.csv")
    for name in ("ES.parquet", "ES.csv"):
        batch = minutes(tmp_path / name, product=product("TY"))
        assert batch.bars["at"][0] == dt.datetime(2024, 3, 10, 22, 5, tzinfo=dt.UTC)
        assert not any("were read on the clock" in note for note in batch.notes)


def test_contracts_become_symbols(tmp_path, tables):
    times = [*clock("2024-03-11 09:30", "2024-03-11 10:00", 5)] * 2
    frame = bars(times, contract=["202403"] * 7 + ["ESM24"] * 7)
    report, rows = stored(tmp_path, tables, frame, "ES")
    assert rows["symbol"].unique().sort().to_list() == ["ES_202403", "ES_202406"]
    assert any("openbell data continuous ES" in note for note in report.notes)
    assert not any("mean nothing here: contract" in note for note in report.notes)
    named, _ = stored(tmp_path, tables, frame.head(7), "ES", symbol="ES")
    assert (named.stored, named.symbols) == (7, 1)
    with pytest.raises(BadInput, match="no contract"):
        stored(tmp_path, tables, bars(times, contract=["front"] * 14), "ES")


def test_one_product_is_one_symbol(tmp_path, tables):
    times = [*clock("2024-03-11 09:30", "2024-03-11 10:00", 5)] * 2
    with pytest.raises(BadInput, match=r"2 symbols \(ES, NQ"):
        stored(tmp_path, tables, bars(times, symbol=["ES"] * 7 + ["NQ"] * 7), "ES")


def test_the_same_file_twice_and_in_tokyo(tmp_path, tables, monkeypatch):
    """Check 40, and idempotence with a product."""
    _, here = stored(tmp_path, tables, es_week(), "ES")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        again, there = stored(tmp_path, tables, es_week(), "ES")
    finally:
        monkeypatch.delenv("TZ")
        os.environ.pop("TZ", None)
        time.tzset()
    assert (again.stored, again.known, again.commit) == (0, 552, None)
    assert here.equals(there)
    assert here.schema["at"] == MOMENT


FILES = [
    # name, product, words, stored, quarantined, symbols
    ("ES_1min_2013_2020_scattered.parquet", "ES", {"timezone": "UTC"}, 19_083, 0, 3),
    ("ES_5min_2026-02-17_2026-03-31.parquet", "ES", {}, 8_521, 0, 1),
    ("SPX_5min_2025-02_2025-10.parquet", "SPX", {}, 14_503, 0, 1),
    ("SPY_1min_2024-02-20_2024-05-17.parquet", "SPY", {}, 49_720, 0, 1),
    ("SPY_60min_2005_2023.csv", "SPY", {}, 28_609, 0, 1),
    ("QQQ_60min_2005_2023.csv", "QQQ", {}, 19_235, 0, 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code", "words", "kept", "aside", "symbols"), FILES)
def test_real_files(tmp_path, tables, real_data, name, code, words, kept, aside, symbols):
    """Every minute file of the shared data by one plain command; the UTC one is refused on the product's clock."""
    path = real_data / "minute" / name
    batch = minutes(path, product=product(code), **words)
    report = import_minutes(tables, batch, sessions("XNYS"), time_zone(), at=dt.datetime(2026, 6, 1, tzinfo=dt.UTC))
    assert (report.stored, report.quarantined, report.symbols) == (kept, aside, symbols)
    if words:
        with pytest.raises(BadInput, match="another clock was read"):
            minutes(path, product=product(code))
