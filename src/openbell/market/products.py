"""Trading sessions of a product: when each opens and closes, and which one a moment belongs to."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.time import MOMENT, Sessions
from openbell.market import calendars
from openbell.market.product_catalogue import CODES, PRODUCTS, Product, stock

#: Whose early closes and closed days the hours of US futures follow.
CASH = "XNYS"
_MONTH = re.compile(r"_\d{6}$")
HOURS: dict[str, pl.DataType | type[pl.DataType]] = {
    "session": pl.Date,
    "open_at": MOMENT,
    "close_at": MOMENT,
    "regular_open_at": MOMENT,
    "regular_close_at": MOMENT,
}


def product(code: str, *, exchange: str = "XNYS", listed: bool = False) -> Product:
    """The product `code` of the catalogue, or for any other symbol a stock or index of `exchange`.

    A contract's symbol, such as ``ES_201312``, is of its product.

    Parameters
    ----------
    exchange : calendar of exchange_calendars that a symbol outside the catalogue trades by.
    listed : take the symbol for a stock of `exchange` even where a future has the same code (C is corn and Citigroup).
    """
    name = code.strip()
    if not name:
        raise BadInput("A product needs a code, such as ES or SPY; was empty.")
    known = CODES.get(_MONTH.sub("", name.upper()))
    if not listed and known is not None:
        return known
    return stock(name, calendar=exchange.upper(), zone=calendars.time_zone(exchange))


def hours(product: Product, first: dt.date, last: dt.date) -> pl.DataFrame:
    """When the sessions of `product` from `first` to `last`, both included, open and close.

    Holidays come from the product's calendar. Where its stock exchange closes early the regular hours end with it; on
    a US holiday on which a future trades they end with its shortened session.

    The calendars reach from 1990 to 2030: there are no sessions outside.

    Returns
    -------
    Columns of `HOURS`, one row per session, sorted; moments in UTC, clock changes and early closes in them. The regular
    hours lie within the whole session.
    """
    if last < first:
        raise BadInput(f"Hours cannot end on {last} before they start on {first}. Exchange the two dates.")
    return _all_hours(product).filter(pl.col("session").is_between(first, last))


def sessions(product: Product, *, regular: bool = False) -> Sessions:
    """All sessions of `product` from 1990 to 2030: whole ones, or their regular hours."""
    return _sessions(product, regular)


def session_of(at: pl.Expr, product: Product) -> pl.Expr:
    """The date of the session that moments `at` belong to, from a session's open up to the next one's.

    The break after a session belongs to it. Where no session is on that date (a holiday, a Saturday), neither is the
    moment in one.
    """
    # The clock on the wall is put forward, not the moment: 18:00 stays 18:00 on both sides of a clock change.
    local = at.dt.convert_time_zone(product.time_zone).dt.replace_time_zone(None)
    return (local + pl.duration(minutes=product.day_shift_minutes)).dt.date()


def in_hours(at: pl.Expr, product: Product) -> pl.Expr:
    """Whether bars that begin at `at` lie within the clock of the whole session, whatever day it is."""
    local = at.dt.convert_time_zone(product.time_zone)
    minute = local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute().cast(pl.Int32)
    if product.opens is None or product.closes is None:
        return pl.lit(True)
    within = minute < product.closes
    within = (within | (minute >= product.opens + 1_440)) if product.overnight else within & (minute >= product.opens)
    return within if product.pause is None else within & ~minute.is_between(*product.pause, closed="left")


@lru_cache(maxsize=64)
def _sessions(product: Product, regular: bool) -> Sessions:
    frame = _all_hours(product)
    opens, closes = ("regular_open_at", "regular_close_at") if regular else ("open_at", "close_at")
    return Sessions(
        product.code, tuple(frame["session"]), tuple(frame[opens].to_list()), tuple(frame[closes].to_list())
    )


@lru_cache(maxsize=64)
def _all_hours(product: Product) -> pl.DataFrame:
    days = calendars.sessions(product.calendar).frame.select(
        "session", pl.col("open_at").alias("listed_open"), pl.col("close_at").alias("listed_close")
    )
    if product.calendar == "24/7":
        return _local(days, product).select(list(HOURS))
    cash = calendars.sessions(CASH if product.kind == "FUTURE" else product.calendar).frame
    cash_close = pl.col("close_at").dt.convert_time_zone(product.time_zone).dt.replace_time_zone(None)
    days = days.join(cash.select("session", cash_close.alias("cash_close")), on="session", how="left")
    if product.kind == "FUTURE" and product.holiday is None:
        days = days.filter(pl.col("cash_close").is_not_null())
    return _local(_shortened(days, product), product).select(list(HOURS))


def _shortened(days: pl.DataFrame, product: Product) -> pl.DataFrame:
    """`days` with ``limit`` and ``regular_limit``: local times by which a shortened session closes, null elsewhere."""
    full = dt.time(16) if product.time_zone == "America/New_York" else dt.time(15)
    if product.half_day is None:
        return days
    closed = pl.col("cash_close").is_null()
    early = pl.col("cash_close").dt.time() < full
    limit = pl.when(closed).then(_wall(product.holiday)).when(early).then(_wall(product.half_day))
    # In the early 1990s stocks closed later on half days than futures do by the hours of today.
    regular = pl.when(early).then(pl.min_horizontal("cash_close", limit)).otherwise(limit)
    return days.with_columns(limit.alias("limit"), regular.alias("regular_limit"))


def _wall(minutes: int | None) -> pl.Expr:
    """Local time so many minutes after the midnight that the session's date begins with; null for None."""
    if minutes is None:
        return pl.lit(None, dtype=pl.Datetime("us"))
    return pl.col("session").cast(pl.Datetime("us")) + pl.duration(minutes=minutes)


def _local(days: pl.DataFrame, product: Product) -> pl.DataFrame:
    """`days` with the moments of `HOURS`."""
    limited = "limit" in days.columns
    listed = {name: pl.col(f"listed_{name}") for name in ("open", "close")}

    def moment(minutes: int | None, otherwise: pl.Expr, limit: str | None) -> pl.Expr:
        if minutes is None:
            return otherwise
        wall = _wall(minutes)
        wall = pl.min_horizontal(wall, pl.col(limit)) if limit is not None and limited else wall
        return wall.dt.replace_time_zone(product.time_zone).dt.convert_time_zone("UTC").cast(MOMENT)

    return days.with_columns(
        moment(product.opens, listed["open"], None).alias("open_at"),
        moment(product.closes, listed["close"], "limit").alias("close_at"),
        moment(product.regular_opens, listed["open"], None).alias("regular_open_at"),
        moment(product.regular_closes, listed["close"], "regular_limit").alias("regular_close_at"),
    )


__all__ = ["CODES", "HOURS", "PRODUCTS", "Product", "hours", "in_hours", "product", "session_of", "sessions"]
