"""Bars from a source on the network into the tables: which span is asked for, and with whose keys."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.clock import now
from openbell.app.data import take_in
from openbell.app.minutes import take_in_minutes
from openbell.core.errors import BadInput, unknown
from openbell.market import products

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.market.importing import ImportReport
    from openbell.market.minute_importing import MinutesReport
    from openbell.market.products import Product
    from openbell.market.providers.minutes import MinuteBatch

#: Days that are asked for of a symbol that nothing is stored of, where the first is not named.
UNSTORED_DAYS = 7
NETWORK = ("alpaca", "yahoo")


def product_named(home: Home, symbol: str, *, stock: bool = False) -> Product:
    """The product of a symbol, on the exchange of the settings where the catalogue does not know it."""
    return products.product(symbol, exchange=home.sessions.exchange, listed=stock)


def fetch_minutes(
    home: Home,
    product: Product,
    provider: str,
    *,
    freq: str = "1m",
    first: dt.date | None = None,
    last: dt.date | None = None,
    feed: str = "sip",
    delay_minutes: int | None = None,
) -> MinutesReport:
    """Bars of the sessions `first` to `last`, both included, as far as they have ended.

    Unset, `first` is the last session stored (its missing bars and those after it are fetched), `last` the newest.
    """
    start, end = _span(home, product, freq, first, last)
    batch = _asking(provider, feed)(product, freq, start, end)
    declared = home.catalogue.providers["yahoo_minutes" if provider == "yahoo" else provider]
    return take_in_minutes(home, batch, declared.delay_minutes if delay_minutes is None else delay_minutes)


def fetch_days(
    home: Home, product: Product, *, first: dt.date, last: dt.date | None = None, feed: str = "sip"
) -> ImportReport:
    """Days of a stock by Alpaca from `first` to `last`, both included; a session that is not over is left out."""
    from openbell.market.providers.alpaca import alpaca_days

    own = products.sessions(product, regular=product.kind == "STOCK")
    newest = own.last_closed(now())
    batch = alpaca_days(_alpaca(), product, first, newest if last is None else min(last, newest), feed=feed)
    return take_in(home, batch, sessions=own)


def fetch_sql_minutes(
    home: Home, url: str, product: Product | None, words: Mapping[str, Any], columns: Mapping[str, str] | None
) -> MinutesReport:
    """Bars within the session out of a database; `words` are those of `sql_minutes`."""
    from openbell.market.providers.sql import sql_minutes

    batch = sql_minutes(url, password=_sql_password(), columns=columns, product=product, **words)
    return take_in_minutes(home, batch, home.catalogue.providers["sql"].delay_minutes)


def fetch_sql_days(
    home: Home, url: str, product: Product, words: Mapping[str, Any], columns: Mapping[str, str] | None
) -> ImportReport:
    """Days of one product out of a database."""
    from openbell.market.providers.sql import sql_days

    batch = sql_days(url, product, password=_sql_password(), columns=columns, **words)
    return take_in(home, batch, sessions=products.sessions(product, regular=product.kind == "STOCK"))


def _sql_password() -> str | None:
    return os.environ.get("OPENBELL_SQL_PASSWORD") or None


def _alpaca() -> object:
    from openbell.market.providers.alpaca import client

    return client(os.environ.get("APCA_API_KEY_ID"), os.environ.get("APCA_API_SECRET_KEY"))


def _asking(provider: str, feed: str) -> Callable[[Product, str, dt.datetime, dt.datetime], MinuteBatch]:
    if provider == "yahoo":
        from openbell.market.providers.yahoo_minutes import yahoo_minutes

        return yahoo_minutes
    if provider != "alpaca":
        raise unknown("provider of bars within the session", provider, NETWORK)
    from openbell.market.providers.alpaca import alpaca_minutes

    account = _alpaca()
    return lambda product, freq, start, end: alpaca_minutes(account, product, freq, start, end, feed=feed)


def _span(
    home: Home, product: Product, freq: str, first: dt.date | None, last: dt.date | None
) -> tuple[dt.datetime, dt.datetime]:
    moment = now()
    begin = first or _last_stored(home, product, freq) or (moment - dt.timedelta(days=UNSTORED_DAYS)).date()
    # A night belongs to the session after it, so the newest one may be of tomorrow.
    until = last or (moment + dt.timedelta(days=1)).date()
    days = products.hours(product, begin, max(begin, until)).filter(pl.col("open_at") < moment)
    if until < begin or days.is_empty():
        raise BadInput(f"{product.code} had no session from {begin} to {until} that has begun. Name other days.")
    return days["open_at"][0], min(days["close_at"][-1], moment)


def _last_stored(home: Home, product: Product, freq: str) -> dt.date | None:
    if not home.tables.exists("minutes"):
        return None
    mine = (pl.col("symbol") == product.code) & (pl.col("freq") == freq)
    found = home.tables.scan("minutes").filter(mine).select(pl.col("session").max()).collect().item()
    return found if isinstance(found, dt.date) else None
