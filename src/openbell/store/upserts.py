"""Rows that are added where their key is new, by several writers at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from openbell.core.time import utc

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_CHUNK = 500  # keys asked for in one statement


def microseconds(moment: dt.datetime) -> int:
    """`moment` as microseconds since 1970, UTC."""
    return (utc(moment) - _EPOCH) // _MICROSECOND


def moment(at_us: int) -> dt.datetime:
    """The moment that many microseconds after 1970, UTC."""
    return _EPOCH + at_us * _MICROSECOND


def insert_new(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], key: sa.Column[Any]
) -> set[Any]:
    """Add the rows whose primary key is not there yet; the `key` of each that was added.

    Rows are added in the order of their keys: two writers with common ones then wait for each other, and never both.
    """
    if not rows:
        return set()
    names = [column.name for column in table.primary_key]
    ordered = sorted((dict(row) for row in rows), key=lambda row: tuple(row[name] for name in names))
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    adding = insert(table).on_conflict_do_nothing(index_elements=names).returning(key)
    return set(connection.execute(adding, ordered).scalars())


def chosen(
    connection: Connection, wanted: sa.Select[Any], key: sa.Column[Any], keys: Sequence[Any]
) -> list[sa.Row[Any]]:
    """Rows of `wanted` whose `key` is one of `keys`, however many there are."""
    found: list[sa.Row[Any]] = []
    for start in range(0, len(keys), _CHUNK):
        found += connection.execute(wanted.where(key.in_(keys[start : start + _CHUNK])))
    return found
