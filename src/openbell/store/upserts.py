"""Rows that are added where their key is new, by several writers at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Adding:
    """Rows that are ready to be added, made before any lock is taken: a lock is held for as long as others wait.

    In the order of their keys: two writers with common ones then wait for each other, and never both.
    """

    table: sa.Table
    rows: Sequence[Mapping[str, Any]]
    key: sa.Column[Any]
    cells: Sequence[tuple[Any, ...]]

    @classmethod
    def of(cls, dialect: sa.Dialect, table: sa.Table, rows: Iterable[Mapping[str, Any]], key: sa.Column[Any]) -> Adding:
        """`rows` of `table`, of which `key` tells which were added; `cells` are what SQLite is handed."""
        names = [column.name for column in table.primary_key]
        ordered = sorted(rows, key=lambda row: tuple(row[name] for name in names))
        cells = _cells(dialect, table, ordered) if dialect.name == "sqlite" else ()
        return cls(table, ordered, key, cells)

    def added(self, connection: Connection) -> set[Any]:
        """Add the rows whose primary key is not there yet; the `key` of each that was added."""
        if not self.rows:
            return set()
        if self.cells and self._added_all(connection):
            return {row[self.key.name] for row in self.rows}
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        names = [column.name for column in self.table.primary_key]
        adding = insert(self.table).on_conflict_do_nothing(index_elements=names).returning(self.key)
        return set(connection.execute(adding, [dict(row) for row in self.rows]).scalars())

    def _added_all(self, connection: Connection) -> bool:
        """Whether all rows were new and are added now, else none is: a third of the time of asking which were."""
        names = list(self.rows[0])
        columns, marks = ", ".join(names), ", ".join("?" * len(names))
        connection.exec_driver_sql("SAVEPOINT adding")
        keys = ", ".join(column.name for column in self.table.primary_key)
        statement = f"INSERT INTO {self.table.name} ({columns}) VALUES ({marks}) ON CONFLICT ({keys}) DO NOTHING"
        added = connection.exec_driver_sql(statement, list(self.cells)).rowcount
        if added < len(self.rows):
            connection.exec_driver_sql("ROLLBACK TO adding")
        connection.exec_driver_sql("RELEASE adding")
        return bool(added == len(self.rows))


def insert_new(
    connection: Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]], key: sa.Column[Any]
) -> set[Any]:
    """Add the rows whose primary key is not there yet; the `key` of each that was added."""
    return Adding.of(connection.dialect, table, rows, key).added(connection)


def _cells(dialect: sa.Dialect, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """The values of `rows` as the driver wants them."""
    if not rows:
        return []
    bound = {name: table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in rows[0]}
    return [tuple(row[name] if make is None else make(row[name]) for name, make in bound.items()) for row in rows]


def chosen(
    connection: Connection, wanted: sa.Select[Any], key: sa.Column[Any], keys: Sequence[Any]
) -> list[sa.Row[Any]]:
    """Rows of `wanted` whose `key` is one of `keys`, however many there are."""
    found: list[sa.Row[Any]] = []
    for start in range(0, len(keys), _CHUNK):
        found += connection.execute(wanted.where(key.in_(keys[start : start + _CHUNK])))
    return found
