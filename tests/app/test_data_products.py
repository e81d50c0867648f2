"""The commands of a product's data: import minutes and daily, fetch, continuous."""

import datetime as dt
import json
import sqlite3
import sys

import polars as pl
import pytest

from openbell.app import cli, fetching
from openbell.core.errors import DataMissing
from openbell.market.providers import yahoo_minutes


@pytest.fixture
def say(monkeypatch, capsys, tmp_path):
    """Runs the command in an empty folder; its exit code, and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "240")
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "OPENBELL_SQL_PASSWORD"):
        monkeypatch.delenv(name, raising=False)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["openbell", "data", *(str(each) for each in words), "--home", "home"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        return left.value.code or 0, " ".join(told.out.split()), " ".join(told.err.split())

    return run


def contracts(path):
    """Two bars a day of two contracts of ES over a week; the later one trades more on the 13th."""
    lines = ["ts,open,high,low,close,volume,contract"]
    for place, day in enumerate((11, 12, 13, 14)):
        for name, above, volume in (("202403", 0, 9 - 3 * place), ("202406", 50, 3 + 3 * place)):
            for minute in (30, 31):
                close = 5_000 + place + above
                lines.append(f"2024-03-{day} 10:{minute}:00,{close},{close + 1},{close - 1},{close},{volume},{name}")
    path.write_text("\n".join(lines))


def test_minutes_of_a_product_then_one_series(say, tmp_path):
    contracts(tmp_path / "es.csv")
    code, told, _ = say("import", "minutes", "es.csv", "--product", "ES")
    assert code == 0
    assert "16 bars of 1m received, 16 stored" in told
    assert "outside the regular hours of ES are kept" in told
    assert "openbell data continuous ES" in told
    code, told, _ = say("continuous", "ES", "--adjust", "difference", "--json")
    facts = json.loads(told)
    assert (code, facts["stored"], facts["left_out"], facts["quarantined"]) == (0, 8, 8, 0)
    assert [(each["session"], each["contract"], each["offset"]) for each in facts["rolls"]] == [
        ("2024-03-11", "ES_202403", 0.0),
        ("2024-03-14", "ES_202406", -50.0),
    ]
    code, told, _ = say("continuous", "ES", "--adjust", "difference")
    assert (code, "0 stored, 0 in quarantine, 8 known already" in told) == (0, True)
    code, _, why = say("continuous", "ES", "--by", "days")
    assert code == 2
    assert "was joined by volume and adjusted by difference" in why
    _, told, _ = say("list", "--json")
    tables = {each["table"]: each["rows"] for each in json.loads(told)}
    assert tables == {"minutes": 24, "rolls": 2}


@pytest.mark.slow
def test_a_series_is_not_laid_over_bars_imported_as_they_are(say, tmp_path):
    contracts(tmp_path / "es.csv")
    say("import", "minutes", "es.csv", "--product", "ES")
    pl.read_csv(tmp_path / "es.csv").filter(pl.col("contract") == 202403).write_csv(tmp_path / "front.csv")
    assert say("import", "minutes", "front.csv", "--product", "ES", "--symbol", "ES")[0] == 0
    code, _, why = say("continuous", "ES")
    assert code == 2
    assert "were imported as they are from minutes:front.csv" in why
    for words, said in ((("NQ",), "no bars of contracts of NQ"), (("SPY",), "is no future")):
        code, _, why = say("continuous", *words)
        assert code == 2
        assert said in why


def test_daily_and_its_refusals(say, tmp_path):
    (tmp_path / "ES_daily.txt").write_text("01/12/2024,1,2,1,1.5,10\n01/15/2024,1.5,2,1,1.6,3\n")
    code, told, _ = say("import", "daily", "ES_daily.txt")
    assert code == 0
    assert "2 bars received, 2 stored" in told
    assert "by the calendar CMES" in told
    code, told, _ = say("import", "daily", "ES_daily.txt", "--json")
    assert json.loads(told)["known"] == 2
    (tmp_path / "days.txt").write_text("01/12/2024,1,2,1,1.5,10\n")
    code, _, why = say("import", "daily", "days.txt")
    assert code == 2
    assert "--product ES" in why


class Frozen:
    """The clock of the commands, at a Saturday noon."""

    NOW = dt.datetime(2024, 11, 30, 12, tzinfo=dt.UTC)


def recorded(symbol, interval, first, until):
    """Yahoo's answer: every minute asked for, in the shape of yfinance."""
    import pandas as pd

    recorded.asked.append((symbol, first, until))
    if symbol == "NOPE":
        raise DataMissing("Yahoo gave nothing of NOPE.")
    index = pd.date_range(first, until, freq="1min", inclusive="left", tz="UTC").as_unit("s")
    column = [100.0] * len(index)
    return pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close", "Volume"), column), index=index)


@pytest.fixture
def yahoo(monkeypatch):
    recorded.asked = []
    monkeypatch.setattr(fetching, "now", lambda: Frozen.NOW)
    monkeypatch.setattr(yahoo_minutes.yahoo_minutes, "__kwdefaults__", {"download": recorded})


@pytest.mark.slow
def test_fetched_from_the_last_stored_session_on(say, yahoo):
    code, told, _ = say("fetch", "minutes", "BTCUSD", "--first", "2024-11-28", "--last", "2024-11-28")
    assert code == 0
    assert "1,440 bars of 1m received, 1,440 stored" in told
    assert recorded.asked == [
        ("BTC-USD", dt.datetime(2024, 11, 28, tzinfo=dt.UTC), dt.datetime(2024, 11, 29, tzinfo=dt.UTC))
    ]
    code, told, _ = say("fetch", "minutes", "BTCUSD", "--json")
    facts = json.loads(told)
    assert (facts["known"], facts["stored"]) == (1_440, 1_440 + 720)
    assert recorded.asked[1][1:] == (dt.datetime(2024, 11, 28, tzinfo=dt.UTC), Frozen.NOW)


@pytest.mark.slow
def test_one_of_two_that_gave_nothing_is_told_with_exit_3(say, yahoo):
    words = ("--first", "2024-11-29", "--last", "2024-11-29")
    code, told, why = say("fetch", "minutes", "TSLA", "NOPE", *words)
    assert code == 3
    assert "stored" in told
    assert "NOPE: Yahoo gave nothing" in why
    assert say("fetch", "minutes", "NOPE", *words)[0] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("minutes", "TSLA", "--provider", "alpaca"), "APCA_API_KEY_ID"),
        (("minutes", "TSLA", "--provider", "alpca"), "provider of bars within the session `alpca`"),
        (("minutes", "TSLA", "--first", "29.11.2024"), "`--first 29.11.2024` is no day"),
        (("minutes", "TSLA", "--first", "2024-12-24"), "had no session from 2024-12-24"),
        (("daily", "TSLA", "--first", "2024-11-01"), "APCA_API_KEY_ID"),
        (("sql", "sqlite:///none.db", "--table", "bars", "--product", "ES"), "no file of SQLite"),
        (("sql", "sqlite:///none.db", "--table", "bars", "--daily"), "Name it with `--product ES`"),
        (("sql", "postgresql://a:hunter2@h/d", "--table", "bars"), "OPENBELL_SQL_PASSWORD"),
    ],
)
def test_refusals_of_fetching(say, yahoo, words, why):
    code, told, said = say("fetch", *words)
    assert code == 2
    assert why in said
    assert "hunter2" not in told + said


@pytest.mark.slow
def test_out_of_a_database(say, tmp_path):
    with sqlite3.connect(tmp_path / "bars.db") as connection:
        connection.execute("CREATE TABLE es (ts TEXT, o REAL, h REAL, l REAL, c REAL, v INT)")
        rows = [(f"2024-03-10 18:0{k}:00", 10, 11, 9, 10, 5) for k in range(3)]
        connection.executemany("INSERT INTO es VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.close()
    code, told, _ = say("fetch", "sql", "sqlite:///bars.db", "--table", "es", "--product", "ES")
    assert code == 0
    assert "3 bars of 1m received, 3 stored" in told
    query = "SELECT '2024-03-11' AS date, o AS open, h AS high, l AS low, c AS close FROM es LIMIT 1"
    code, told, _ = say("fetch", "sql", "sqlite:///bars.db", "--query", query, "--daily", "--product", "ES")
    assert code == 0
    assert "1 bars received, 1 stored" in told
