"""Alpaca's bars, on answers typed by hand in the shape of its API: pages, a rate limit, refusals."""

import datetime as dt
import json

import polars as pl
import pytest

pytest.importorskip("alpaca")

import requests

from openbell.core.errors import BadInput, DataMissing
from openbell.market import products
from openbell.market.calendars import sessions, time_zone
from openbell.market.importing import import_batch
from openbell.market.minute_importing import TABLE, import_minutes
from openbell.market.products import product
from openbell.market.providers.alpaca import alpaca_days, alpaca_minutes, client
from openbell.store.tables import Tables

TSLA = product("TSLA")
FIRST = dt.datetime(2024, 11, 29, 9, tzinfo=dt.UTC)
UNTIL = dt.datetime(2024, 11, 29, 22, tzinfo=dt.UTC)


def bar(time, close, volume=100):
    return {
        "t": time,
        "o": close - 0.1,
        "h": close + 0.2,
        "l": close - 0.3,
        "c": close,
        "v": volume,
        "n": 3,
        "vw": close,
    }


def page(bars, token=None, symbol="TSLA"):
    return 200, json.dumps({"bars": {symbol: bars} if bars else {}, "next_page_token": token})


TWO_PAGES = [
    page([bar("2024-11-29T14:30:00Z", 336.1), bar("2024-11-29T14:31:00Z", 336.4)], "QVBQTHw="),
    page([bar("2024-11-29T21:59:00Z", 337.0), bar("2024-11-29T22:00:00Z", 337.5)]),
]


class Recording:
    """Stands in the place of the session that reaches the network: gives answers in order, keeps what was asked."""

    def __init__(self, answers):
        self.answers, self.asked = list(answers), []

    def request(self, method, url, **options):
        asked = {name: str(getattr(value, "value", value)) for name, value in options["params"].items()}
        self.asked.append((url, asked, dict(options["headers"])))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        response = requests.Response()
        response.status_code, response._content, response.url = answer[0], answer[1].encode(), url
        return response


def account(*answers):
    """Alpaca's own client with a recording in it, which waits for nothing."""
    made = client("key-of-a-test", "secret-of-a-test")
    made._session, made._retry_wait = Recording(answers), 0
    return made


def test_all_pages_are_read_as_traded():
    made = account(*TWO_PAGES)
    batch = alpaca_minutes(made, TSLA, "1m", FIRST, UNTIL)
    assert [str(each)[11:16] for each in batch.bars["at"]] == ["14:31", "14:32", "22:00"]
    assert batch.bars["close"].to_list() == [336.1, 336.4, 337.0]
    assert (batch.name, batch.freq, batch.product) == ("alpaca:sip", "1m", TSLA)
    assert batch.notes == ("1 bars of TSLA had not ended yet and were left out.",)
    (url, asked, _), (_, again, _) = made._session.asked
    assert url.endswith("/v2/stocks/bars")
    assert (asked["symbols"], asked["timeframe"], asked["adjustment"], asked["feed"]) == ("TSLA", "1Min", "raw", "sip")
    assert asked["start"].startswith("2024-11-29T09:00:00")
    assert again["page_token"] == "QVBQTHw="


@pytest.mark.parametrize(("freq", "told"), [("5m", "5Min"), ("15m", "15Min"), ("1h", "1Hour")])
def test_what_longer_bars_are_called(freq, told):
    made = account(page([bar("2024-11-29T14:00:00Z", 336.1)]))
    batch = alpaca_minutes(made, TSLA, freq, FIRST, UNTIL, feed="iex")
    assert made._session.asked[0][1]["timeframe"] == told
    assert batch.bars["at"][0] - dt.timedelta(minutes={"5m": 5, "15m": 15, "1h": 60}[freq]) == dt.datetime(
        2024, 11, 29, 14, tzinfo=dt.UTC
    )


def test_they_pass_the_gate_in_the_stocks_own_session(tmp_path):
    """The half day after Thanksgiving: a bar in the evening is of its session, and outside the regular hours."""
    tables = Tables.open(f"file://{tmp_path}")
    batch = alpaca_minutes(account(*TWO_PAGES), TSLA, "1m", FIRST, UNTIL)
    report = import_minutes(tables, batch, sessions("XNYS"), time_zone(), at=UNTIL, delay_minutes=15)
    rows = tables.scan(TABLE).sort("at").collect()
    assert (report.stored, report.outside) == (3, 1)
    assert rows["session"].unique().to_list() == [dt.date(2024, 11, 29)]
    assert (rows["known_at"] - rows["at"]).unique().to_list() == [dt.timedelta(minutes=15)]


def test_a_rate_limit_is_waited_out_and_then_told():
    limited = (429, '{"code":42910000,"message":"rate limit exceeded"}')
    batch = alpaca_minutes(account(limited, limited, *TWO_PAGES), TSLA, "1m", FIRST, UNTIL)
    assert batch.bars.height == 3
    with pytest.raises(DataMissing, match=r"too many requests in a minute \(429\)"):
        alpaca_minutes(account(*[limited] * 4), TSLA, "1m", FIRST, UNTIL)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((403, '{"message":"forbidden."}'), "status 403: forbidden. Put the keys"),
        ((401, "<html>no</html>"), "status 401: no reason given. Put the keys"),
        ((400, '{"code":40010001,"message":"invalid symbol: T$LA"}'), "status 400: invalid symbol"),
        ((422, '{"code":42210000,"message":"end should not be before start"}'), "status 422: end should"),
        ((500, "oh dear"), "status 500: no reason given"),
        ((200, '{"bars":{},"next_page_token":null}'), "has no bar of TSLA in that time"),
        ((200, "not json"), "are no bars"),
        ((200, ""), "are no bars"),
        ((200, '{"bars":{"TSLA":[{"t":"2024-11-29T14:30:00Z","c":1}]},"next_page_token":null}'), "have no open"),
        (page([{**bar("2024-11-29T14:30:00Z", 1), "t": "soon"}]), "the time `soon`"),
        (requests.ConnectionError("no route"), "cannot be reached for TSLA"),
    ],
)
def test_refusals_are_sentences_without_the_keys(answer, why):
    with pytest.raises(DataMissing, match=why) as told:
        alpaca_minutes(account(answer), TSLA, "1m", FIRST, UNTIL)
    assert "of-a-test" not in f"{told.value}{told.value.__cause__}"


def test_what_alpaca_has_not_and_what_it_needs():
    with pytest.raises(BadInput, match="ES is E-mini"):
        alpaca_minutes(account(), product("ES"), "1m", FIRST, UNTIL)
    with pytest.raises(BadInput, match="feed of Alpaca `otc`"):
        alpaca_minutes(account(), TSLA, "1m", FIRST, UNTIL, feed="otc")
    with pytest.raises(BadInput, match="frequency of bars within the session `2m`"):
        alpaca_minutes(account(), TSLA, "2m", FIRST, UNTIL)
    with pytest.raises(BadInput, match="Exchange the two"):
        alpaca_minutes(account(), TSLA, "1m", UNTIL, FIRST)
    with pytest.raises(DataMissing, match="APCA_API_KEY_ID"):
        client(None, "secret")


def test_days_include_both_ends(memory):
    """Check 68: midnight in New York, as Alpaca stamps them, is the session's own day."""
    days = [bar(f"2024-11-{day}T05:00:00Z", 330.0 + day) for day in (26, 27, 29)]
    made = account(page(days))
    batch = alpaca_days(made, TSLA, dt.date(2024, 11, 26), dt.date(2024, 11, 29))
    asked = made._session.asked[0][1]
    assert asked["timeframe"] == "1Day"
    assert (asked["start"][:16], asked["end"][:16]) == ("2024-11-26T00:00", "2024-11-30T00:00")
    report = import_batch(memory, batch, products.sessions(TSLA, regular=True), at=UNTIL)
    assert (report.stored, report.quarantined) == (3, 0)
    assert memory.frames["bars"]["session"].to_list() == [dt.date(2024, 11, day) for day in (26, 27, 29)]
    assert memory.frames["bars"]["known_at"][2] == dt.datetime(2024, 11, 29, 18, tzinfo=dt.UTC)
    assert memory.frames["instruments"].select("symbol", "kind").rows() == [("TSLA", "STOCK")]
    assert batch.bars.filter(pl.col("adj_close").is_not_null()).is_empty()
    with pytest.raises(DataMissing, match="no day of TSLA"):
        alpaca_days(account(page(days)), TSLA, dt.date(2024, 11, 1), dt.date(2024, 11, 20))
