"""Burning the future: the same tables with everything after a moment removed, or turned into nonsense."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import polars as pl

from openbell.core.view import Tables

How = Literal["removed", "nonsense"]


def _nonsense(name: str, kind: pl.DataType) -> pl.Expr:
    """A value that no honest row would hold, of the column's own type."""
    column = pl.col(name)
    if kind.is_float():
        return (column.fill_null(0.0) * -3.7 + 9_999.0).cast(kind)
    if kind == pl.Boolean:
        return ~column
    if kind.is_integer():
        return (column * 7 + 13).cast(kind)
    return column


@dataclass(frozen=True)
class BurntTables:
    """`tables` in which no row with ``known_at > after`` is as it was."""

    tables: Tables
    after: dt.datetime
    how: How

    def exists(self, name: str) -> bool:
        """As in the tables beneath."""
        return self.tables.exists(name)

    def scan(self, name: str) -> pl.LazyFrame:
        """The table `name`, burnt after the moment."""
        rows = self.tables.scan(name)
        later = pl.col("known_at") > self.after
        if self.how == "removed":
            return rows.filter(~later)
        schema = rows.collect_schema()
        return rows.with_columns(
            pl.when(later).then(_nonsense(column, kind)).otherwise(pl.col(column)).alias(column)
            for column, kind in schema.items()
            if column != "known_at"
        )
