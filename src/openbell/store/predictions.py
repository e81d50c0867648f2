"""The prediction log: every answer of the gate, durable before it is given, and its outcome when it is known.

`append` is one transaction and returns when it is on the disk: on SQLite the write-ahead log is synchronised at every
commit (``synchronous = FULL``), on PostgreSQL as its own ``synchronous_commit`` says, which is on by default. Several
processes write at once. Whoever has many callers collects their rows for some milliseconds and appends them together.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openbell.core.errors import BadInput, DataMissing
from openbell.core.time import utc
from openbell.store import assignments
from openbell.store import prediction_measures as measures
from openbell.store.database import Database
from openbell.store.gate_schema import predictions
from openbell.store.prediction_measures import ALL, Chosen
from openbell.store.prediction_rows import Kept, Logged, Prediction, logged
from openbell.store.upserts import Adding, chosen, microseconds

#: Longest wait for another writer before the caller hears of it: a request does not wait for ever.
WAIT_SECONDS = 5.0
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trade made, in USD after costs, and when that was known. It names the trade, or one request by its id."""

    profit_usd: float
    known_at: dt.datetime
    id: str | None = None
    trade_id: str | None = None

    def __post_init__(self) -> None:
        utc(self.known_at)
        if (self.id is None) == (self.trade_id is None):
            raise BadInput(
                f"An outcome names an `id` or a `trade_id`, one of both; was {self.id!r}, {self.trade_id!r}."
            )
        if not math.isfinite(self.profit_usd):
            raise BadInput(
                f"The profit of an outcome must be a finite number; was {self.profit_usd}. "
                "Where it is missing, tell no outcome: missing is not lost."
            )


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first, and the cursor of the next page; None after the last."""

    rows: tuple[Logged, ...]
    cursor: str | None


@dataclass(frozen=True)
class Predictions:
    """The log in a database. Threads and processes may share it."""

    database: Database

    @classmethod
    def open(cls, url: str) -> Predictions:
        """Open the log at ``sqlite:////file`` or ``postgresql://…``; a fresh database is set up."""
        return cls(Database.open(url, wait_seconds=WAIT_SECONDS))

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    def __enter__(self) -> Predictions:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, records: Iterable[Prediction]) -> tuple[Kept, ...]:
        """Add `records` in one transaction, durable when it returns; what became of each, in order.

        The arm of a trade is stored with its first prediction. `StorageFailed` says that nothing was added.
        """
        given = tuple(records)
        if not given:
            return ()
        first: dict[str, Prediction] = {}
        for each in given:
            first.setdefault(each.id, each)
        adding = self._adding(each.row for each in first.values())  # made before the lock is taken
        with self.database.adding() as connection:
            strays = _strays(connection, list(first.values()))
            if strays:
                adding = self._adding(row for row in adding.rows if row["id"] not in strays)
            new = adding.added(connection)
            there = _hashes(connection, [id for id in first if id not in new])
        standing = there | {id: first[id].inputs_hash for id in new}
        return tuple(_became(each, first[each.id] is each and each.id in new, standing) for each in given)

    def _adding(self, rows: Iterable[Mapping[str, Any]]) -> Adding:
        return Adding.of(self.database.engine.dialect, predictions, rows, predictions.c.id)

    def get(self, ids: Sequence[str]) -> dict[str, Logged]:
        """The rows of `ids`, by id; those that are not there are left out."""
        with self.database.reading() as connection:
            return {row.id: logged(row) for row in chosen(connection, sa.select(predictions), predictions.c.id, ids)}

    def outcome(
        self,
        profit_usd: float,
        *,
        known_at: dt.datetime,
        id: str | None = None,
        trade_id: str | None = None,
        key_id: str | None = None,
    ) -> int:
        """Join the outcome of one trade, as `outcomes` does."""
        return self.outcomes([Outcome(profit_usd, known_at, id, trade_id)], key_id=key_id)

    def outcomes(self, found: Sequence[Outcome], *, key_id: str | None = None) -> int:
        """Join what trades made to their predictions, all or none; how many rows have it now that had none.

        A trade is what one key calls by one `trade_id`; every prediction of it that was made before the outcome was
        known gets it. The same profit again is no news, and the first moment stands. `key_id` leaves out the rows of
        all other keys.

        Raises
        ------
        DataMissing
            Where no prediction of that name was made before the outcome was known.
        BadInput
            Where another profit is there already, or where several keys use the same `trade_id` and none is named.
        """
        with self.database.adding() as connection:
            return sum(_join(connection, each, key_id) for each in found)

    def history(self, which: Chosen = ALL, *, limit: int = 100, cursor: str | None = None) -> Page:
        """Rows of `which`, newest first, at most `limit` (1 to 1000); `cursor` goes on where a page ended."""
        if not 1 <= limit <= _PAGE:
            raise BadInput(f"A page has 1 to {_PAGE} rows; {limit} were asked for. Go on with the cursor.")
        wanted = sa.select(predictions).where(*which.conditions)
        if cursor is not None:
            wanted = wanted.where(sa.tuple_(predictions.c.at_us, predictions.c.id) < sa.tuple_(*_place(cursor)))
        wanted = wanted.order_by(predictions.c.at_us.desc(), predictions.c.id.desc()).limit(limit + 1)
        with self.database.reading() as connection:
            rows = connection.execute(wanted).all()
        more = len(rows) > limit
        shown = rows[:limit]
        return Page(tuple(logged(row) for row in shown), _cursor(shown[-1].at_us, shown[-1].id) if more else None)

    def trends(self, which: Chosen = ALL) -> pl.DataFrame:
        """`prediction_measures.trends` of the rows of `which`."""
        with self.database.reading() as connection:
            return measures.trends(connection, which)

    def accuracy(self, which: Chosen = ALL, *, minimum: int = 100) -> pl.DataFrame:
        """`prediction_measures.accuracy` of the rows of `which`."""
        with self.database.reading() as connection:
            return measures.accuracy(connection, which, minimum)

    def counts(self, which: Chosen = ALL) -> pl.DataFrame:
        """Predictions by ``symbol``, ``strategy`` and ``answer``: ``n``, over all processes that wrote them."""
        with self.database.reading() as connection:
            return measures.counts(connection, which)

    def thin(self, before: dt.datetime) -> int:
        """Forget features and inputs of rows made before that moment; their hashes, odds and outcomes stay.

        The log is never thinned by itself. Returns how many rows were thinned; short transactions, so that others
        write on meanwhile.
        """
        old = sa.select(predictions.c.id).where(
            predictions.c.at_us < microseconds(before), predictions.c.inputs.is_not(None)
        )
        thinned = 0
        while True:
            with self.database.adding() as connection:
                ids = connection.execute(old.limit(_PAGE)).scalars().all()
                if not ids:
                    return thinned
                changed = predictions.update().where(predictions.c.id.in_(ids)).values(inputs=None, features=None)
                thinned += connection.execute(changed).rowcount


def _strays(connection: Connection, given: Sequence[Prediction]) -> set[str]:
    """Store the arms of trades that have none; ids of the predictions that another arm than the stored one answered."""
    said = {each.id: each.assignment for each in given}
    answered: dict[assignments.Assignment, int] = {}
    for each in given:
        if each.assignment is not None:
            answered.setdefault(each.assignment, microseconds(each.at))
    stored = assignments.keep(connection, answered)
    return {id for id, arm in said.items() if arm is not None and stored[arm.experiment, arm.trade_id] != arm}


def _hashes(connection: Connection, ids: Sequence[str]) -> dict[str, str | None]:
    wanted = sa.select(predictions.c.id, predictions.c.inputs_hash)
    return {row.id: row.inputs_hash for row in chosen(connection, wanted, predictions.c.id, ids)}


def _became(each: Prediction, added: bool, standing: Mapping[str, str | None]) -> Kept:
    """What became of one prediction, where `standing` are the questions of the ids that are in the log now."""
    if added:
        return Kept.NEW
    if each.id not in standing:
        return Kept.OTHER_ARM
    return Kept.KNOWN if standing[each.id] == each.inputs_hash else Kept.CLASH


def _join(connection: Connection, found: Outcome, key_id: str | None) -> int:
    rows = _of_trade(connection, found, key_id)
    known_at_us = microseconds(found.known_at)
    before = [row for row in rows if row.at_us < known_at_us]
    if not before:
        late = " before the outcome was known" if rows else ""
        raise DataMissing(
            f"There is no prediction of {_called(found)} made{late}. Tell the outcome of a trade that was asked about."
        )
    if len({row.key_id for row in before}) > 1:
        raise BadInput(f"Several keys asked about a {_called(found)}. Name the request by its id instead.")
    for row in before:
        if row.profit_usd is not None and row.profit_usd != found.profit_usd:
            raise BadInput(
                f"The {_called(found)} has made {row.profit_usd:.2f} USD already; it cannot have made "
                f"{found.profit_usd:.2f} now. An outcome is told once."
            )
    open_ids = [row.id for row in before if row.profit_usd is None]
    values = {"profit_usd": found.profit_usd, "win": found.profit_usd > 0, "outcome_known_at_us": known_at_us}
    for start in range(0, len(open_ids), _PAGE):
        some = open_ids[start : start + _PAGE]
        connection.execute(predictions.update().where(predictions.c.id.in_(some)).values(**values))
    return len(open_ids)


def _of_trade(connection: Connection, found: Outcome, key_id: str | None) -> Sequence[Any]:
    """The rows of the trade that `found` names, in one order for all writers, and held until the transaction ends."""
    c = predictions.c
    wanted = sa.select(c.id, c.at_us, c.key_id, c.profit_usd).order_by(c.id).with_for_update()
    if key_id is not None:
        wanted = wanted.where(c.key_id == key_id)
    if found.trade_id is not None:
        return connection.execute(wanted.where(c.trade_id == found.trade_id)).all()
    named = connection.execute(sa.select(c.trade_id, c.key_id).where(c.id == found.id)).one_or_none()
    if named is None or named.trade_id is None:
        return connection.execute(wanted.where(c.id == found.id)).all()
    same_key = c.key_id.is_not_distinct_from(named.key_id)
    return connection.execute(wanted.where(c.trade_id == named.trade_id, same_key)).all()


def _called(found: Outcome) -> str:
    return f"trade `{found.trade_id}`" if found.trade_id is not None else f"request `{found.id}`"


def _cursor(at_us: int, id: str) -> str:
    return base64.urlsafe_b64encode(f"{at_us} {id}".encode()).decode()


def _place(cursor: str) -> tuple[int, str]:
    try:
        at_us, _, id = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        return int(at_us), id
    except ValueError:
        raise BadInput(f"`{cursor[:60]}` is no cursor. Pass on the one that came with the page before.") from None
