"""`openbell data fetch minutes|daily|sql`: bars from a source on the network or out of a database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Annotated

import typer

from openbell.app.cli.data_reports import tell, tell_minutes
from openbell.app.cli.words import HomeOption, JsonOption, SetOption, SettingsOption, open_home

Symbols = Annotated[list[str], typer.Argument(metavar="SYMBOLS…", help="Such as TSLA, ES or BTCUSD.")]
FirstOption = Annotated[str | None, typer.Option("--first", metavar="DATE", help="First session, included.")]
LastOption = Annotated[str | None, typer.Option("--last", metavar="DATE", help="Last session, included.")]
FeedOption = Annotated[str, typer.Option("--feed", help="Of Alpaca: sip (all venues) or iex (free and current).")]
StockOption = Annotated[
    bool, typer.Option("--stock", help="Take the symbols for stocks, also where a future has the code (C, CL, ES).")
]


def fetch_minutes(
    symbols: Symbols,
    provider: Annotated[str, typer.Option("--provider", help="yahoo, or alpaca (stocks alone, with keys).")] = "yahoo",
    freq: Annotated[str, typer.Option("--freq", help="1m, 5m, 15m or 1h.")] = "1m",
    first: FirstOption = None,
    last: LastOption = None,
    feed: FeedOption = "sip",
    delay: Annotated[
        int | None, typer.Option("--delay", metavar="MINUTES", min=0, help="From the end of a bar until it is known.")
    ] = None,
    stock: StockOption = False,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch bars within the session, from the last stored session on; exit 3 where some symbols gave nothing.

    Alpaca's keys are read from APCA_API_KEY_ID and APCA_API_SECRET_KEY.
    """
    from openbell.app.fetching import fetch_minutes, product_named

    opened = open_home(home, sets, settings)
    span = {"first": _day(first, "--first"), "last": _day(last, "--last")}

    def one(symbol: str) -> None:
        product = product_named(opened, symbol, stock=stock)
        report = fetch_minutes(opened, product, provider, freq=freq, feed=feed, delay_minutes=delay, **span)
        tell_minutes(report, as_json)

    _each(symbols, one)


def fetch_daily(
    symbols: Symbols,
    first: Annotated[str, typer.Option("--first", metavar="DATE", help="First session, included.")],
    last: LastOption = None,
    feed: FeedOption = "sip",
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch days of stocks from Alpaca, as traded. Yahoo's, with splits and dividends, are `data fetch yahoo`."""
    from openbell.app.fetching import fetch_days, product_named

    opened = open_home(home, sets, settings)
    start, end = _date(first, "--first"), _day(last, "--last")

    def one(symbol: str) -> None:
        product = product_named(opened, symbol, stock=True)
        tell(fetch_days(opened, product, first=start, last=end, feed=feed), as_json)

    _each(symbols, one)


def fetch_sql(
    url: Annotated[str, typer.Argument(metavar="URL", help="Of SQLAlchemy, without a password.")],
    table: Annotated[str | None, typer.Option("--table", help="Such as bars or dbo.bars; all of its rows.")] = None,
    query: Annotated[str | None, typer.Option("--query", help="A query that reads, in the place of a table.")] = None,
    daily: Annotated[bool, typer.Option("--daily", help="The rows are days, and not bars within the session.")] = False,
    product: Annotated[
        str | None, typer.Option("--product", metavar="CODE", help="Whose sessions the bars lie in, such as ES.")
    ] = None,
    column_map: Annotated[
        list[str] | None, typer.Option("--map", metavar="OURS=THEIRS", help="Our column and the table's; repeated.")
    ] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Where there is no column for it.")] = None,
    freq: Annotated[str | None, typer.Option("--freq", help="1m, 5m, 15m or 1h. Default: measured.")] = None,
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", metavar="ZONE", help="Where the clock of times without an offset stood."),
    ] = None,
    stamp: Annotated[str | None, typer.Option("--stamp", help="start or end of a bar. Default: start.")] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch bars out of a database, which is only read. Its password is taken from OPENBELL_SQL_PASSWORD.

    For PostgreSQL PGPASSWORD does too.
    """
    from openbell.app.data import column_map as parsed
    from openbell.app.fetching import fetch_sql_days, fetch_sql_minutes, product_named
    from openbell.core.errors import BadInput

    opened = open_home(home, sets, settings)
    columns = parsed(column_map or []) or None
    words = {"table": table, "query": query, "symbol": symbol}
    if not daily:
        of = None if product is None else product_named(opened, product)
        words |= {"freq": freq, "timezone": timezone, "stamp": stamp}
        tell_minutes(fetch_sql_minutes(opened, url, of, words, columns), as_json)
        return
    code = product or symbol
    if code is None:
        raise BadInput("Days are fetched product by product. Name it with `--product ES`, or `--symbol SPY`.")
    tell(fetch_sql_days(opened, url, product_named(opened, code), words, columns), as_json)


def _day(text: str | None, option: str) -> dt.date | None:
    return None if text is None else _date(text, option)


def _date(text: str, option: str) -> dt.date:
    from openbell.core.errors import BadInput

    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"`{option} {text}` is no day. Write it like {option} 2024-02-20.") from None


def _each(symbols: list[str], one: Callable[[str], None]) -> None:
    """Fetch symbol after symbol; what failed is told when the others are stored."""
    from openbell.core.errors import DataMissing
    from openbell.market.providers.yahoo import raise_if_partial

    failed: dict[str, str] = {}
    for symbol in dict.fromkeys(each.strip() for each in symbols if each.strip()):
        try:
            one(symbol)
        except DataMissing as nothing:
            if len(symbols) == 1:
                raise
            failed[symbol] = str(nothing)
    raise_if_partial(failed)
