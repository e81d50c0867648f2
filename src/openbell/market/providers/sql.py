"""Bars out of a database that SQLAlchemy reaches, read only. The password comes beside the URL and is never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import BadInput, DataMissing
from openbell.market.batch import Batch
from openbell.market.product_days import one_symbol
from openbell.market.products import Product
from openbell.market.providers.files import days_of
from openbell.market.providers.minutes import MinuteBatch, minutes_of
from openbell.quant.bar_frames import FIELDS
from openbell.store.urls import redacted

_READING = re.compile(r"^\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:select|with)\b", re.IGNORECASE | re.DOTALL)
_SECRET = re.compile(r"passw|pwd|secret|token", re.IGNORECASE)


def sql_rows(
    url: str, *, table: str | None = None, query: str | None = None, password: str | None = None
) -> pl.DataFrame:
    """All rows of `table` (``bars``, ``dbo.bars``), or of one reading `query`, in the columns they have there.

    Parameters
    ----------
    url : of SQLAlchemy, such as ``postgresql+psycopg://reader@host/market`` or ``sqlite:////data/bars.db``, without a
        password. password : given beside it; never in an error.

    Raises
    ------
    BadInput
        Neither or both of `table` and `query`; a query that does not read; a URL that is none or shows a password.
    DataMissing
        The database cannot be reached, has no such table, or gave no row.
    """
    import sqlalchemy as sa

    if (table is None) == (query is None):
        raise BadInput("Name either `--table` or `--query`, and not both: what is to be read.")
    if query is not None and not _READING.match(query):
        raise BadInput(f"Only a query that reads is run: it begins with SELECT or WITH; began with `{query[:30]}`.")
    statement: Any = sa.text(query) if query is not None else _select(str(table))
    with _reading(url, password) as connection:
        cursor = connection.execute(statement)
        names = list(cursor.keys())
        rows = [tuple(row) for row in cursor]
    if len(set(names)) < len(names):
        raise BadInput(f"The query gives two columns of one name: {', '.join(names)}. Name each once (AS).")
    if not rows:
        raise DataMissing(f"{_said(table)} of {redacted(url)} has no row to import.")
    return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)


def sql_minutes(
    url: str,
    *,
    table: str | None = None,
    query: str | None = None,
    password: str | None = None,
    columns: Mapping[str, str] | None = None,
    symbol: str | None = None,
    freq: str | None = None,
    timezone: str | None = None,
    stamp: str | None = None,
    product: Product | None = None,
) -> MinuteBatch:
    """Bars within the session; all but the first four words are as for files."""
    rows, place = sql_rows(url, table=table, query=query, password=password), _place(table)
    return minutes_of(
        rows, place, f"sql:{place.name}", columns=columns, symbol=symbol, freq=freq, timezone=timezone, stamp=stamp,
        product=product,
    )  # fmt: skip


def sql_days(
    url: str,
    product: Product,
    *,
    table: str | None = None,
    query: str | None = None,
    password: str | None = None,
    columns: Mapping[str, str] | None = None,
    symbol: str | None = None,
    sort: bool = False,
) -> Batch:
    """Daily bars of one product."""
    rows, place = sql_rows(url, table=table, query=query, password=password), _place(table)
    one_symbol(rows, columns, place.name)
    under = symbol or product.code
    return days_of(rows, place, f"sql:{place.name}", columns=columns, symbol=under, kind=product.kind, sort=sort)


declared = provider(name="sql", fields=FIELDS)(sql_minutes)


def _place(table: str | None) -> Path:
    return Path(table if table is not None else "the query")


def _said(table: str | None) -> str:
    return f"The table `{table}`" if table is not None else "The query"


def _select(table: str) -> Any:
    import sqlalchemy as sa

    schema, _, name = table.rpartition(".")
    if not name:
        raise BadInput(f"`{table}` names no table. Write it like bars or dbo.bars.")
    return sa.select(sa.text("*")).select_from(sa.table(name, schema=schema or None))


@contextmanager
def _reading(url: str, password: str | None) -> Iterator[Any]:
    """A connection that cannot write: by the database where it can be told so, and rolled back in any case."""
    import sqlalchemy as sa

    engine = _engine(url, password)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = ON")
            elif engine.dialect.name == "postgresql":
                connection.execution_options(postgresql_readonly=True)
            yield connection
            connection.rollback()
    except sa.exc.SQLAlchemyError as failure:
        told = str(getattr(failure, "orig", None) or type(failure).__name__)
        told = redacted(told if not password else told.replace(password, "***"))
        # Not chained: the cause may carry what the driver was connected with.
        raise DataMissing(f"{redacted(url)} cannot be read: {' '.join(told.split())}") from None
    finally:
        engine.dispose()


def _engine(url: str, password: str | None) -> Any:
    import sqlalchemy as sa

    try:
        parsed = sa.engine.make_url(url)
    except sa.exc.ArgumentError:
        raise BadInput(f"`{redacted(url)}` is no URL of SQLAlchemy, such as sqlite:////data/bars.db.") from None
    if parsed.password or any(_SECRET.search(key) for key in parsed.query) or "pwd=" in url.lower():
        raise BadInput(
            "A URL must not carry a password: it would be shown where the URL is. Take it out, and put it into "
            "OPENBELL_SQL_PASSWORD."
        )
    if parsed.get_backend_name() == "sqlite" and not (parsed.database and Path(parsed.database).is_file()):
        raise DataMissing(f"There is no file of SQLite at `{parsed.database}`. It is not made by reading it.")
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    try:
        return sa.create_engine(parsed.set(password=password) if password else parsed, hide_parameters=True)
    except (sa.exc.NoSuchModuleError, ImportError) as missing:
        raise DataMissing(f"There is no driver for `{parsed.drivername}`: {missing}. Install it.") from None


__all__ = ["declared", "sql_days", "sql_minutes", "sql_rows"]
