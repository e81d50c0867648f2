"""Files: layouts are recognised or refused, never guessed."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from openbell.core.errors import BadInput, DataMissing
from openbell.market.providers.files import files

HEAD = "date,open,high,low,close,adj_close,volume"
ROW = "2020-01-02,1,2,0.5,1.5,1.4,100"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_one_symbol_per_file_is_named_by_the_file_or_the_argument(tmp_path: Path) -> None:
    path = write(tmp_path / "SPY_daily.csv", HEAD, ROW)
    batch = files(path, kind="ETF")
    assert batch.bars.rows() == [("SPY", dt.date(2020, 1, 2), 1.0, 2.0, 0.5, 1.5, 1.4, 100.0)]
    assert batch.instruments.rows() == [("SPY", "ETF", None)]
    assert files(path, symbol="VOO").bars["symbol"].to_list() == ["VOO"]
    nameless = write(tmp_path / "prices.csv", HEAD, ROW)
    with pytest.raises(BadInput, match=r"no column for `symbol`.*--map symbol=COLUMN"):
        files(nameless)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("date,open,high,low,clse,volume", r"no column for `close`.*`clse`.*--map close=COLUMN"),
        ("dte,open,high,low,close,volume", r"no column for `session`.*--map session=COLUMN"),
        ("date,Close,close,open,high,low", r"`Close` and `close` could each be `close`.*--map close=COLUMN"),
    ],
)
def test_a_missing_or_ambiguous_column_is_named_with_the_cure(tmp_path: Path, head: str, message: str) -> None:
    path = write(tmp_path / "SPY.csv", head, "2020-01-02,1,2,1,1.5,9")
    with pytest.raises(BadInput, match=message):
        files(path)


def test_a_map_says_which_column_is_which(tmp_path: Path) -> None:
    path = write(tmp_path / "SPY.csv", HEAD, ROW)
    batch = files(path, columns={"close": "adj_close"})
    assert batch.bars.select("close", "adj_close").rows() == [(1.4, None)]
    assert any("total-return" in note for note in batch.notes)
    with pytest.raises(BadInput, match=r"`adjclose`, which SPY.csv does not have.*`adj_close`"):
        files(path, columns={"close": "adjclose"})
    with pytest.raises(BadInput, match=r"`clos`, which is no column of bars.*`close`"):
        files(path, columns={"clos": "close"})


@pytest.mark.parametrize("moment", ["2020-01-02 09:30:00", "2020-01-02 09:30", "2020-01-02T09:30:00.000"])
def test_a_naive_time_of_day_is_refused(tmp_path: Path, moment: str) -> None:
    path = write(tmp_path / "SPY.csv", HEAD, ROW.replace("2020-01-02", moment))
    with pytest.raises(BadInput, match="without a time zone, such as 2020-01-02 09:30:00"):
        files(path)


def test_intraday_bars_and_uncertain_dates_are_refused(tmp_path: Path) -> None:
    aware = write(tmp_path / "SPY.csv", HEAD, ROW.replace("2020-01-02", "2020-01-02T14:30:00+00:00"))
    with pytest.raises(BadInput, match="intraday bars"):
        files(aware)
    slashed = write(tmp_path / "QQQ.csv", HEAD, ROW.replace("2020-01-02", "2/1/2020"))
    with pytest.raises(BadInput, match=r"`2/1/2020`, which is not one certain date.*YYYY-MM-DD"):
        files(slashed)


def test_midnight_with_the_exchange_s_offset_is_that_day(tmp_path: Path) -> None:
    path = write(tmp_path / "SPY.csv", HEAD, ROW.replace("2020-01-02", "2020-07-02 00:00:00-04:00"))
    assert files(path).bars["session"].to_list() == [dt.date(2020, 7, 2)]


def test_rows_that_go_back_are_refused_or_sorted_on_demand(tmp_path: Path) -> None:
    path = write(tmp_path / "SPY.csv", HEAD, ROW.replace("01-02", "01-03"), ROW)
    with pytest.raises(BadInput, match=r"SPY goes back from 2020-01-03 to 2020-01-02.*--sort"):
        files(path)
    batch = files(path, sort=True)
    assert batch.bars["session"].is_sorted()
    assert any("were sorted" in note for note in batch.notes)


def test_symbols_may_alternate_within_a_day(tmp_path: Path) -> None:
    path = write(
        tmp_path / "long.csv",
        "date,ticker,close",
        "2020-01-02,B,1",
        "2020-01-02,A,2",
        "2020-01-03,B,1",
        "2020-01-03,A,2",
    )
    assert files(path).bars["symbol"].to_list() == ["A", "A", "B", "B"]


def test_what_is_no_number_is_refused_with_its_row(tmp_path: Path) -> None:
    path = write(tmp_path / "SPY.csv", "date,close", "2020-01-02,1.5", '2020-01-03,"5,855.50"')
    with pytest.raises(BadInput, match=r"Row 2 of `close` in SPY.csv is `5,855.50`, which is no number"):
        files(path)
    holes = write(tmp_path / "QQQ.csv", "date,close,volume", "2020-01-02,1.5,", "2020-01-03,2.5,null")
    assert files(holes).bars["volume"].to_list() == [None, None]


def test_files_that_hold_nothing_or_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is empty"):
        files(write(tmp_path / "empty.csv", ""))
    with pytest.raises(BadInput, match="columns but no rows"):
        files(write(tmp_path / "head.csv", HEAD))
    with pytest.raises(DataMissing, match=r"There is no file .*hed.csv.*`head.csv`"):
        files(tmp_path / "hed.csv")
    with pytest.raises(BadInput, match=r"ends in `xlsx`"):
        files(write(tmp_path / "a.xlsx", "x"))
    with pytest.raises(BadInput, match="cannot be read as parquet"):
        files(write(tmp_path / "a.parquet", "no parquet"))
    with pytest.raises(BadInput, match="is a folder"):
        files(tmp_path)
    with pytest.raises(BadInput, match=r"`STOK`.*`STOCK`"):
        files(tmp_path / "head.csv", kind="STOK")


def test_yfinance_s_files(tmp_path: Path) -> None:
    """The frame of one ticker, and the frame of several with two header rows and a row that names the index."""
    long = write(
        tmp_path / "AAPL.csv",
        "Date,Open,High,Low,Close,Adj Close,Volume,Dividends,Stock Splits",
        "2020-08-28 00:00:00-04:00,126.0,126.4,124.6,124.8,121.9,187151000,0.0,0.0",
        "2020-08-31 00:00:00-04:00,127.6,131.0,126.0,129.0,126.0,225702688,0.0,4.0",
    )
    batch = files(long)
    assert batch.bars.row(1) == ("AAPL", dt.date(2020, 8, 31), 127.6, 131.0, 126.0, 129.0, 126.0, 225702688.0)
    assert any("Dividends, Stock Splits" in note for note in batch.notes)
    wide = write(
        tmp_path / "wide.csv",
        "Price,Adj Close,Adj Close,Close,Close,Volume,Volume",
        "Ticker,AAPL,MSFT,AAPL,MSFT,AAPL,MSFT",
        "Date,,,,,,",
        "2020-01-02,72.7,153.3,75.1,160.6,135480400,22622100",
        "2020-01-03,72.0,,74.4,,146322800,",
    )
    rows = files(wide).bars
    assert rows.select("symbol", "session", "close", "adj_close", "volume").rows() == [
        ("AAPL", dt.date(2020, 1, 2), 75.1, 72.7, 135480400.0),
        ("AAPL", dt.date(2020, 1, 3), 74.4, 72.0, 146322800.0),
        ("MSFT", dt.date(2020, 1, 2), 160.6, 153.3, 22622100.0),
    ]
    grouped = write(
        tmp_path / "grouped.csv",
        "Ticker,AAPL,AAPL,MSFT,MSFT",
        "Price,Open,Close,Open,Close",
        "Date,,,,",
        "2020-01-02,1,2,3,4",
    )
    assert files(grouped).bars.select("symbol", "open", "close").rows() == [("AAPL", 1.0, 2.0), ("MSFT", 3.0, 4.0)]


def test_spells_of_membership_become_events_with_an_exclusive_end(tmp_path: Path) -> None:
    """Check 10."""
    path = write(
        tmp_path / "members.csv",
        "ticker,start_date,end_date",
        "A,2000-06-05,",
        "EQ,2006-05-18,2009-07-01",
        "B,2001-01-01,2002-01-01",
        "B,2002-01-01,2003-01-01",
    )
    events = files(path, universe="u").membership
    assert events.filter(pl.col("symbol") == "EQ").select("session", "member").rows() == [
        (dt.date(2006, 5, 18), True),
        (dt.date(2009, 7, 1), False),
    ]
    assert events.filter(pl.col("symbol") == "B")["member"].to_list() == [True, True, False]
    assert events["universe"].unique().to_list() == ["u"]
    turned = write(tmp_path / "turned.csv", "ticker,start_date,end_date", "A,2010-01-01,2009-01-01")
    with pytest.raises(BadInput, match="before it starts"):
        files(turned)


def test_rates_and_closes_and_sectors(tmp_path: Path) -> None:
    rates = files(write(tmp_path / "FRED_DGS10.csv", "date,value", "2020-01-02,1.88", "2020-01-03,.")).rates
    assert rates.rows() == [("DGS10", dt.date(2020, 1, 2), 1.88)]
    closes = write(tmp_path / "term.csv", "Date,VIX,VIX3M", "2020-01-02,12.5,", "2020-01-03,14.0,16.1")
    batch = files(closes, layout="closes", kind="INDEX")
    assert batch.bars.select("symbol", "close").rows() == [("VIX", 12.5), ("VIX", 14.0), ("VIX3M", 16.1)]
    with pytest.raises(BadInput, match="no column for `close`"):
        files(closes)
    with pytest.raises(BadInput, match=r"no layout `close`.*`closes`"):
        files(closes, layout="close")
    sectors = files(write(tmp_path / "gics.csv", "Symbol,GICS Sector", "MMM,Industrials"))
    assert sectors.instruments.rows() == [("MMM", "STOCK", "Industrials")]


def test_every_shared_file_is_read_in_one_call(real_data: Path) -> None:
    for path in sorted((real_data / "macro").glob("*.csv")):
        term = path.name == "VIX_term_structure.csv"
        batch = files(path, layout="closes" if term else None)
        assert batch.rates.height > 4000 if path.name.startswith("FRED") else batch.bars.height > 3900
    members = files(real_data / "reference" / "sp500_ticker_start_end.csv").membership
    assert members.filter(pl.col("symbol") == "EP").select("session", "member").rows() == [
        (dt.date(1999, 10, 26), True),
        (dt.date(2012, 5, 25), False),
    ]
    dirty = files(real_data / "stocks" / "dirty_sp500_daily_2015_2020.parquet")
    assert dirty.bars.height == 592_358
    assert dirty.bars["adj_close"].null_count() == 0
    assert dirty.instruments["sector"].null_count() < dirty.instruments.height
    with pytest.raises(BadInput, match="without a time zone"):
        files(real_data / "minute" / "SPY_1min_2024-02-20_2024-05-17.parquet", symbol="SPY")
