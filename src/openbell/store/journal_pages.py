"""Records of the journal that are looked for: page by page, newest first, and how many there are of what."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl
import sqlalchemy as sa

from openbell.core.errors import BadInput, DataMissing
from openbell.store.journal import Journal, Record, record_of
from openbell.store.schema import journal
from openbell.store.upserts import microseconds

MOST_RECORDS = 500
#: Columns of `counts`.
COUNTS = {"kind": pl.String, "desk": pl.String, "records": pl.Int64, "last_seq": pl.Int64}


@dataclass(frozen=True, slots=True)
class Which:
    """Records that agree with everything given; empty and None leave it open.

    Attributes
    ----------
    kinds, desks : one of them. first, last : of the economic moment, both included.
    """

    kinds: tuple[str, ...] = ()
    desks: tuple[str, ...] = ()
    first: dt.datetime | None = None
    last: dt.datetime | None = None

    @property
    def clauses(self) -> list[sa.ColumnElement[bool]]:
        """As the database is asked."""
        found: list[sa.ColumnElement[bool]] = []
        if self.kinds:
            found.append(journal.c.kind.in_(self.kinds))
        if self.desks:
            found.append(journal.c.desk.in_(self.desks))
        if self.first is not None:
            found.append(journal.c.at_us >= microseconds(self.first))
        if self.last is not None:
            found.append(journal.c.at_us <= microseconds(self.last))
        return found


def page(of: Journal, which: Which, limit: int, *, below: int | None = None) -> tuple[Record, ...]:
    """At most `limit` records of `which` by `seq`, the newest first; of those with a `seq` under `below`, if given.

    Raises
    ------
    BadInput
        On a limit outside 1 to `MOST_RECORDS`.
    """
    if not 1 <= limit <= MOST_RECORDS:
        raise BadInput(f"A page has 1 to {MOST_RECORDS} records; {limit} were asked for. Go on with the next page.")
    wanted = sa.select(journal).where(*which.clauses).order_by(journal.c.seq.desc()).limit(limit)
    if below is not None:
        wanted = wanted.where(journal.c.seq < below)
    with of.database.reading() as connection:
        return tuple(record_of(row) for row in connection.execute(wanted))


def amount(of: Journal, which: Which) -> int:
    """How many records of `which` there are."""
    wanted = sa.select(sa.func.count()).select_from(journal).where(*which.clauses)
    with of.database.reading() as connection:
        return int(connection.execute(wanted).scalar_one())


def counts(of: Journal) -> pl.DataFrame:
    """How many records there are of each kind and desk, and the `seq` of the last; columns of `COUNTS`."""
    kind, desk = journal.c.kind, journal.c.desk
    wanted = sa.select(kind, desk, sa.func.count(), sa.func.max(journal.c.seq)).group_by(kind, desk)
    with of.database.reading() as connection:
        rows = [tuple(row) for row in connection.execute(wanted)]
    return pl.DataFrame(rows, schema=COUNTS, orient="row").sort("kind", "desk", nulls_last=False)


def record(of: Journal, seq: int) -> Record:
    """The record number `seq`.

    Raises
    ------
    DataMissing
        Where there is none.
    """
    with of.database.reading() as connection:
        row = connection.execute(sa.select(journal).where(journal.c.seq == seq)).one_or_none()
    if row is None:
        raise DataMissing(f"The journal has no record {seq}; its last is {of.head.records}.")
    return record_of(row)
