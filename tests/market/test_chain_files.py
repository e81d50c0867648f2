"""Files of option chains in every layout, as they are downloaded, and the sentences of those that cannot be read."""

import datetime as dt
import gzip

import polars as pl
import pytest

from openbell.core.errors import BadInput, DataMissing
from openbell.market.calendars import sessions
from openbell.market.chain_formats import recognised
from openbell.market.chain_times import shown_session, stated_moment
from openbell.market.providers.cboe_chain import cboe_chain
from openbell.market.providers.mapped_chain import mapped_chain
from openbell.market.providers.optionsdx import optionsdx
from openbell.market.providers.orats import orats
from openbell.market.providers.yahoo_chain import yahoo_chain

CALENDAR = sessions()
HEADER = (
    "Expiration Date,Calls,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest,Strike,"
    "Puts,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest"
)
ROW = (
    'Fri Oct 20 2023,SPX231020C04500000,85.1,1,84.5,85.5,"1,234",0.13,0.53,0.001,100,4500.00,'
    'SPXW231020P04500000,60,-1,61.5,62.5,7,0,-0.47,0.001,"12,345"'
)
SPOT_LINE = "Standard & Poors 500 Index,Last: 4505.1001,Change:  37.6601"
DATE_LINE = '"Date: September 14, 2023 at 4:31 PM EDT",Bid: 4483.25,Ask: 4526.27,Size: 1*1,"Volume: 71,039,449"'


def written(folder, *lines, name="quotedata.csv"):
    place = folder / name
    place.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        ("February 5 2022, 8:09 PM EST", "2022-02-06T01:09"),
        ("September 14, 2023 at 4:31 PM EDT", "2023-09-14T20:31"),
        ("14. September 2023 um 22:31 MESZ", "2023-09-14T20:31"),
        ("1. März 2022, 21:09 MEZ", "2022-03-01T20:09"),
        ("14 septembre 2023 à 22:31 UTC+2", "2023-09-14T20:31"),
        ("1 août 2022 à 22 h 09 HAEC", "2022-08-01T20:09"),
        ("14 de septiembre de 2023, 22:31 CEST", "2023-09-14T20:31"),
        ("12 de junio de 2022, 2:47 a. m. CEST", "2022-06-12T00:47"),
        ("martedì 14 marzo 2023 alle ore 22:31 CET", "2023-03-14T21:31"),
        ("14 de setembro de 2023 às 17:31 BRT", "2023-09-14T20:31"),
        ("14 september 2023 om 22:31 CEST", "2023-09-14T20:31"),
        ("14. september 2023 kl. 22.31 CEST", "2023-09-14T20:31"),
        ("14 września 2023 22:31 CEST", "2023-09-14T20:31"),
        ("14 Eylül 2023 23:31 GMT+3", "2023-09-14T20:31"),
        ("14 сентября 2023 г. в 23:31 GMT+3", "2023-09-14T20:31"),
        ("2023年9月15日 GMT+8 04:31", "2023-09-14T20:31"),
        ("2023年9月14日 下午4:31 GMT-4", "2023-09-14T20:31"),
        ("Sep 17 2018 @ 15:30 ET", "2018-09-17T19:30"),
        ("14.09.2023 22:31 MESZ", "2023-09-14T20:31"),
        ("9/14/2023, 4:31 PM EDT", "2023-09-14T20:31"),
        ("2023-09-14 16:31:00-04:00", "2023-09-14T20:31"),
        ("2023-09-14T20:31:00Z", "2023-09-14T20:31"),
    ],
)
def test_one_moment_in_many_languages(said, moment):
    """Kills: a month missing, a 12-hour clock read as 24, an offset with the wrong sign, a weekday read as a month."""
    found = stated_moment(said).moment
    assert found.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M") == moment


@pytest.mark.parametrize(
    ("said", "because"),
    [
        ("9/8/2023 22:31 CEST", "could be 2023-09-08 or 2023-08-09"),
        ("September 14, 2023 at 4:31 PM IST", "names the time zone IST"),
        ("yesterday", "tells no day"),
        ("31 February 2022, 4:00 PM EST", "2022-02-31, which is none"),
    ],
)
def test_a_moment_that_is_not_certain_is_refused(said, because):
    with pytest.raises(BadInput, match=because):
        stated_moment(said)


@pytest.mark.parametrize(
    ("moment", "session", "quote_at"),
    [
        ("2022-02-05T20:09-05:00", "2022-02-04", "2022-02-04T21:00+00:00"),  # a Saturday
        ("2022-02-21T12:00-05:00", "2022-02-18", "2022-02-18T21:00+00:00"),  # Presidents' Day
        ("2023-09-14T15:45-04:00", "2023-09-14", "2023-09-14T19:45+00:00"),  # while it runs
        ("2023-09-15T09:29-04:00", "2023-09-14", "2023-09-14T20:00+00:00"),  # before the open
        ("2023-11-24T15:00-05:00", "2023-11-24", "2023-11-24T18:00+00:00"),  # after an early close
    ],
)
def test_the_session_that_a_moment_shows(moment, session, quote_at):
    shown = shown_session(dt.datetime.fromisoformat(moment), CALENDAR)
    assert shown == (dt.date.fromisoformat(session), dt.datetime.fromisoformat(quote_at))


def test_a_quote_table_as_downloaded(tmp_path):
    """By hand, cell by cell. Kills: calls and puts exchanged, quoted thousands, the class of a symbol ignored."""
    batch = cboe_chain(written(tmp_path, "", SPOT_LINE, DATE_LINE, HEADER, ROW))
    call, put = batch.quotes.rows(named=True)
    assert (call["underlying"], call["root"], call["settlement"], call["exercise"]) == ("SPX", "SPX", "AM", "EUROPEAN")
    assert (put["root"], put["settlement"], put["multiplier"]) == ("SPXW", "PM", 100.0)
    assert (call["bid"], call["ask"], call["last"], call["volume"]) == (84.5, 85.5, 85.1, 1234.0)
    assert (put["bid"], put["open_interest"], put["right"], put["strike"]) == (61.5, 12345.0, "PUT", 4500.0)
    assert (call["spot"], call["session"], call["expiry"]) == (4505.1001, dt.date(2023, 9, 14), dt.date(2023, 10, 20))
    assert call["quote_at"] == dt.datetime(2023, 9, 14, 20, tzinfo=dt.UTC)
    assert (put["vendor_iv"], put["vendor_delta"], put["last_trade_at"]) == (0.0, -0.47, None)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace(
            '"Date: September 14, 2023 at 4:31 PM EDT"', "Date: September 14, 2023 at 4:31 PM EDT"
        ),
        lambda text: text.replace("Last: 4505.1001", "Last: 4,505.1001"),
        lambda text: text.replace("Open Interest", "Open Int").replace("Volume,IV", "Vol,IV"),
        lambda text: "\n\n" + text,
        lambda text: text.replace("Fri Oct 20 2023", "20-10-23"),
        lambda text: text.replace("\n", ",,\n"),
    ],
)
def test_the_same_table_in_other_clothes(tmp_path, change):
    """Kills: a reader that knows one spelling, one line ending, one place of the header."""
    plain = "\n".join(["", SPOT_LINE, DATE_LINE, HEADER, ROW]) + "\n"
    place = tmp_path / "quotedata.csv.gz"
    place.write_bytes(gzip.compress(change(plain).encode()))
    first = cboe_chain(written(tmp_path, *plain.splitlines(), name="as_it_is.csv")).quotes.drop("source")
    assert cboe_chain(place).quotes.drop("source").equals(first)
    assert recognised(place) == "cboe"


def test_a_table_without_its_lines_takes_the_session_it_is_told(tmp_path):
    """Kills: a session guessed from the expiries: the first listed one is of a later day as often as not."""
    bare = written(tmp_path, HEADER, ROW)
    with pytest.raises(BadInput, match=r"not after its earliest expiry, 2023-10-20. .*--session DATE"):
        cboe_chain(bare)
    told = cboe_chain(bare, session=dt.date(2023, 9, 14))
    named = cboe_chain(written(tmp_path, HEADER, ROW, name="spx_2023-09-14.csv"))
    for batch in (told, named):
        assert batch.quotes["session"].to_list() == [dt.date(2023, 9, 14)] * 2
        assert batch.quotes["spot"].null_count() == 2
    with pytest.raises(BadInput, match="is not a session"):
        cboe_chain(bare, session=dt.date(2023, 9, 16))


def test_a_session_that_contradicts_the_file_is_refused(tmp_path):
    place = written(tmp_path, SPOT_LINE, DATE_LINE, HEADER, ROW)
    with pytest.raises(BadInput, match="contradicts it"):
        cboe_chain(place, session=dt.date(2023, 9, 13))


def test_a_clock_without_a_zone_is_nobodys(tmp_path):
    place = written(tmp_path, SPOT_LINE, DATE_LINE.replace(" EDT", ""), HEADER, ROW)
    with pytest.raises(BadInput, match="without a time zone"):
        cboe_chain(place)
    assert cboe_chain(place, session=dt.date(2023, 9, 14)).quotes.height == 2


def test_shifted_columns_are_refused(tmp_path):
    """Kills: believing the symbol, or the strike, where they say two things."""
    with pytest.raises(BadInput, match=r"strike 4550.0 beside a symbol that says 4500.0"):
        cboe_chain(written(tmp_path, SPOT_LINE, DATE_LINE, HEADER, ROW.replace("4500.00", "4550.00")))
    with pytest.raises(BadInput, match="where the symbol of an option is due"):
        cboe_chain(written(tmp_path, SPOT_LINE, DATE_LINE, HEADER, ROW.replace("SPX231020C", "SPX231020X")))


def yahoo_frame():
    return pl.DataFrame(
        {
            "contractSymbol": ["AAPL251010C00255000", "AAPL251010P00255000", "AAPL251010P00250000"],
            "lastTradeDate": ["2025-10-06 19:45:10+00:00", "2025-10-06 15:00:00+00:00", "2025-10-03 19:59:00+00:00"],
            "strike": [255.0, 255.0, 250.0],
            "lastPrice": [5.0, 3.0, 1.0],
            "bid": [4.9, 2.9, 0.9],
            "ask": [5.1, 3.1, 1.1],
            "volume": [10.0, None, 7.0],
            "openInterest": [1.0, 2.0, 3.0],
            "impliedVolatility": [0.3, 0.31, 1e-5],
        }
    )


def test_yfinances_frames(tmp_path):
    """The moment is the latest trade; a volume of an earlier day is none of this one. Kills: yesterday's volume
    counted again, a moment after the close."""
    place = tmp_path / "aapl.csv"
    yahoo_frame().with_columns(pl.lit("2025-10-06").alias("date_pulled")).write_csv(place)
    batch = yahoo_chain(place)
    assert recognised(place) == "yahoo"
    assert set(batch.quotes["quote_at"]) == {dt.datetime(2025, 10, 6, 19, 45, 10, tzinfo=dt.UTC)}
    assert batch.quotes["volume"].to_list() == [10.0, None, 0.0]
    assert batch.quotes["underlying"].to_list() == ["AAPL"] * 3
    assert batch.quotes["exercise"].to_list() == ["AMERICAN"] * 3


def test_yfinances_frame_without_a_day(tmp_path):
    place = tmp_path / "aapl.parquet"
    yahoo_frame().write_parquet(place)
    with pytest.raises(BadInput, match="does not say on which day it was pulled"):
        yahoo_chain(place)
    assert set(yahoo_chain(place, session=dt.date(2025, 10, 6)).quotes["session"]) == {dt.date(2025, 10, 6)}


def test_optionsdx_wide_rows(tmp_path):
    """Its names in brackets with blanks, its clock New York's. Kills: put and call exchanged, a naive moment as UTC."""
    names = "[QUOTE_UNIXTIME], [QUOTE_READTIME], [QUOTE_DATE], [QUOTE_TIME_HOURS], [UNDERLYING_LAST], [EXPIRE_DATE], [EXPIRE_UNIX], [DTE], [C_DELTA], [C_GAMMA], [C_VEGA], [C_THETA], [C_RHO], [C_IV], [C_VOLUME], [C_LAST], [C_SIZE], [C_BID], [C_ASK], [STRIKE], [P_BID], [P_ASK], [P_SIZE], [P_LAST], [P_DELTA], [P_GAMMA], [P_VEGA], [P_THETA], [P_RHO], [P_IV], [P_VOLUME], [STRIKE_DISTANCE], [STRIKE_DISTANCE_PCT]"  # noqa: E501
    row = "1672779600, 2023-01-03 16:00, 2023-01-03, 16.0, 3824.1, 2023-01-20, 1674248400, 17.0, 0.5, 0.01, 1, -1, 1, 0.2, 12, 61, 3 x 4, 60.5, 61.5, 3825.0, 55.5, 56.5, 1 x 2, 56, -0.5, 0.01, 1, -1, -1, , , 0.9, 0.0"  # noqa: E501
    other = row.replace("2023-01-20", "2023-01-27").replace("1672779600", "")
    place = written(tmp_path, names, row, other, name="spx_eod_202301.txt")
    batch = optionsdx(place)
    assert recognised(place) == "optionsdx"
    call, put, weekly, _ = batch.quotes.rows(named=True)
    assert (call["right"], call["bid"], call["vendor_iv"], call["vendor_delta"]) == ("CALL", 60.5, 0.2, 0.5)
    assert (put["right"], put["bid"], put["vendor_iv"], put["vendor_delta"]) == ("PUT", 55.5, None, -0.5)
    assert (call["root"], call["settlement"], weekly["root"], weekly["settlement"]) == ("SPX", "AM", "SPXW", "PM")
    assert call["quote_at"] == dt.datetime(2023, 1, 3, 21, tzinfo=dt.UTC)
    assert (call["spot"], call["open_interest"]) == (3824.1, None)


def test_orats_wide_rows_in_both_spellings(tmp_path):
    files = "ticker,trade_date,stkPx,expirDate,yte,strike,cVolu,cOi,pVolu,pOi,cBidPx,cValue,cAskPx,pBidPx,pValue,pAskPx,cMidIv,smoothSmvVol,pMidIv,delta"  # noqa: E501
    service = files.replace("trade_date", "tradeDate").replace("stkPx", "stockPrice")
    for side, word in (("c", "call"), ("p", "put")):
        for old, new in (("Volu", "Volume"), ("Oi", "OpenInterest"), ("BidPx", "BidPrice"), ("AskPx", "AskPrice")):
            service = service.replace(side + old, word + new)
    row = "AAPL,{day},180.0,{expiry},0.1,180,5,50,6,60,4.9,5,5.1,3.9,4,4.1,0.21,0.2,0.22,0.55"
    american = written(tmp_path, files, row.format(day="9/14/2023", expiry="10/20/2023"), name="a.csv")
    iso = written(tmp_path, service, row.format(day="2023-09-14", expiry="2023-10-20"), name="b.csv")
    first, second = orats(american), orats(iso)
    assert recognised(american) == recognised(iso) == "orats"
    assert first.quotes.drop("source").equals(second.quotes.drop("source"))
    call, put = first.quotes.rows(named=True)
    assert (call["volume"], call["open_interest"], call["ask"], call["vendor_iv"]) == (5.0, 50.0, 5.1, 0.21)
    assert (put["volume"], put["open_interest"], put["bid"], put["vendor_iv"]) == (6.0, 60.0, 3.9, 0.22)
    assert (call["vendor_delta"], round(put["vendor_delta"], 6)) == (0.55, -0.45)


def test_any_table_by_its_map(tmp_path):
    place = written(
        tmp_path, "date,exdate,k,cp_flag,best_bid,best_offer,und", "2023-09-14,2023-10-20,4500,C,84.5,85.5,^SPX"
    )
    columns = {"expiry": "exdate", "strike": "k", "right": "cp_flag", "underlying": "und"}
    row = mapped_chain(place, columns=columns).quotes.row(0, named=True)
    assert (row["underlying"], row["root"], row["right"], row["ask"]) == ("SPX", "SPX", "CALL", 85.5)
    with pytest.raises(BadInput, match=r"no column of quotes. Did you mean `strike`"):
        mapped_chain(place, columns={"strik": "k"})
    with pytest.raises(BadInput, match=r"which quotedata.csv does not have"):
        mapped_chain(place, columns={"strike": "kk"})
    with pytest.raises(BadInput, match="There is no column for `expiry`"):
        mapped_chain(place)


def test_a_moment_of_a_map_needs_its_zone(tmp_path):
    lines = ("symbol,quote_at,bid,ask", "SPXW231020C04500000,{},84.5,85.5")
    zoned = mapped_chain(written(tmp_path, lines[0], lines[1].format("2023-09-14T15:45:00-04:00")))
    assert zoned.quotes["quote_at"][0] == dt.datetime(2023, 9, 14, 19, 45, tzinfo=dt.UTC)
    with pytest.raises(BadInput, match="time zone"):
        mapped_chain(written(tmp_path, lines[0], lines[1].format("2023-09-14T15:45:00")))


def test_a_file_that_fits_no_layout_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(BadInput, match=r"nearest is optionsdx, for which it lacks `p_ask`"):
        recognised(written(tmp_path, "quote_date,expire_date,strike,c_bid,c_ask,p_bid", "1,2,3,4,5,6"))
    with pytest.raises(DataMissing, match=r"Did you mean `quotedata.csv`"):
        recognised(tmp_path / "quotedatas.csv")
    with pytest.raises(BadInput, match="is empty"):
        recognised(written(tmp_path, "", name="nothing.csv"))


@pytest.mark.parametrize(
    ("cell", "because"), [("84.5x", r"Row 1 of `bid` in quotedata.csv is `84.5x`, which is no number")]
)
def test_a_cell_that_is_no_number_is_refused_with_its_row(tmp_path, cell, because):
    with pytest.raises(BadInput, match=because):
        cboe_chain(written(tmp_path, SPOT_LINE, DATE_LINE, HEADER, ROW.replace("84.5", cell)))
