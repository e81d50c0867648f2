"""The store of signals: each with a life of its own, ACTIVE until exactly one thing ends it.

Every act is one transaction. Signals of one symbol are changed by one writer at a time: on SQLite because it has one
writer anyway, on PostgreSQL under an advisory lock of the symbol, so that other symbols do not wait. What goes over all
symbols (expiry, archive, outcomes) is alone for its short while.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa

from openbell.core.errors import BadInput, Refused
from openbell.core.signal import Signal, Status
from openbell.core.time import utc
from openbell.store import signal_acts as acts
from openbell.store import signal_outcomes, signal_pages, signal_writing
from openbell.store.database import Database
from openbell.store.signal_pages import ALL, LIVE, Page, Which
from openbell.store.signal_rows import Event, Stored, event, stored
from openbell.store.signal_schema import signal_events, trading_signals
from openbell.store.signal_writing import Written

#: Longest wait for another writer before the caller hears of it.
WAIT_SECONDS = 5.0


_C = trading_signals.c
#: Made once: it is asked for before every order, and putting it together costs as much as its answer.
_ACTIVE_OF = (
    sa.select(trading_signals)
    .where(
        acts.ACTIVE,
        _C.symbol == sa.bindparam("symbol"),
        _C.expires_at > sa.bindparam("at", type_=_C.expires_at.type),
        _C.created_at <= sa.bindparam("at", type_=_C.created_at.type),
    )
    .order_by(_C.created_at.desc(), _C.id.desc())
)


@dataclass(frozen=True)
class Signals:
    """The store in a database. Threads and processes may share it."""

    database: Database

    @classmethod
    def open(cls, url: str) -> Signals:
        """Open the store at ``sqlite:////file`` or ``postgresql://…``; a fresh database is set up."""
        return cls(Database.open(url, wait_seconds=WAIT_SECONDS))

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    def __enter__(self) -> Signals:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(
        self, signals: Iterable[Signal], *, at: dt.datetime, max_active: int = 3, margin: float = 0.10
    ) -> tuple[Written, ...]:
        """Store signals in one transaction, durable when it returns; what became of each, in order.

        A signal that is there already, of the same symbol, model and moment, stands as it is. One whose time is over at
        `at` is stored as EXPIRED. A BUY against an active SELL of the same symbol, and the other way round: the surer
        one stands if its exact confidence is higher by at least `margin`, else neither (S3.24). Of one direction the
        `max_active` newest of a symbol stand. HOLD never conflicts and never counts. Signals of one moment are judged
        together, whichever comes first.

        Raises
        ------
        BadInput
            Where a signal holds what no row can, `max_active` is under 1 or `margin` outside [0, 1]; nothing is stored.
        """
        if max_active < 1 or not 0.0 <= margin <= 1.0:
            raise BadInput(
                f"`max_active` is at least 1 and `margin` lies in [0, 1]; they were {max_active} and {margin}."
            )
        batch = signal_writing.Batch.of(tuple(signals), utc(at), max_active, margin)  # made before any lock is taken
        if not batch.given:
            return ()
        with self.database.adding() as connection:
            return batch.write(connection)

    def execute(self, id: int, *, at: dt.datetime, by: str, word: str | None = None) -> Stored:
        """ACTIVE to EXECUTED, if it is valid at `at`; the signal as it is then.

        Done again with the same `word`, it gives the same answer; without one, a second time is refused.

        Raises
        ------
        Refused
            Where it has expired at `at` (it is EXPIRED from then on) or was ended by anything else; it says since when.
        DataMissing
            Where there is no signal `id`.
        """
        return self._act(acts.Act(id, Status.EXECUTED, utc(at), by, "It was acted on.", word))

    def cancel(self, id: int, *, at: dt.datetime, by: str, why: str, word: str | None = None) -> Stored:
        """ACTIVE to CANCELLED, as `execute` does it; `why` in words."""
        if not why.strip():
            raise BadInput("A signal is cancelled for a reason. Say it in words.")
        return self._act(acts.Act(id, Status.CANCELLED, utc(at), by, why.strip(), word))

    def _act(self, act: acts.Act) -> Stored:
        with self.database.adding() as connection:
            answer = acts.acted(connection, act)
        if isinstance(answer, Refused):  # raised only now: what was found, that it had expired, is kept
            raise answer
        return answer

    def expire(self, at: dt.datetime) -> int:
        """Every active signal whose time is over at `at` becomes EXPIRED; how many did."""
        with self.database.adding() as connection:
            return acts.expire(connection, utc(at))

    def archive(self, before: dt.datetime) -> int:
        """Move signals that ended before that moment to the archive, and everything of them; how many were moved.

        Some thousand in each transaction, which both adds and removes them, so that a crash neither loses nor doubles
        one and others write on meanwhile.
        """
        moved = 0
        while True:
            with self.database.adding() as connection:
                some = acts.archive(connection, utc(before))
            moved += some
            if some < acts.ARCHIVED_AT_ONCE:
                return moved

    def record_outcomes(self, found: pl.DataFrame) -> int:
        """Join what signals came to, as `research.signal_outcomes.outcomes` gives it with ``id``; how many had none.

        The first outcome of a signal stands. Archived signals get theirs too. All or none.
        """
        rows = signal_outcomes.rows(found)
        if not rows:
            return 0
        with self.database.adding() as connection:
            acts.hold_all(connection)
            return signal_outcomes.join(connection, rows)

    def get(self, id: int) -> Stored:
        """The signal `id`, from the archive too.

        Raises
        ------
        DataMissing
            Where there is none; it names the nearest.
        """
        with self.database.reading() as connection:
            return acts.found(connection, id)

    def active(self, symbol: str, at: dt.datetime) -> tuple[Stored, ...]:
        """Signals of `symbol` that were made by `at` and are still valid then, newest first."""
        with self.database.reading() as connection:
            return tuple(stored(row) for row in connection.execute(_ACTIVE_OF, {"symbol": symbol, "at": utc(at)}))

    def active_many(self, symbols: Sequence[str] | None, at: dt.datetime) -> dict[str, tuple[Stored, ...]]:
        """`active` of several symbols (None: of all) at once; symbols without one are left out."""
        moment = utc(at)
        wanted = sa.select(trading_signals).where(acts.ACTIVE, _C.expires_at > moment, _C.created_at <= moment)
        if symbols is not None:
            wanted = wanted.where(_C.symbol.in_(list(symbols)))
        wanted = wanted.order_by(_C.symbol, _C.created_at.desc(), _C.id.desc())
        with self.database.reading() as connection:
            rows = [stored(row) for row in connection.execute(wanted)]
        found: dict[str, list[Stored]] = {}
        for each in rows:
            found.setdefault(each.signal.symbol, []).append(each)
        return {symbol: tuple(some) for symbol, some in found.items()}

    def page(self, which: Which = LIVE, limit: int = 100, cursor: str | None = None) -> Page:
        """Signals of `which` by (created_at, id), newest first, at most `limit` (1 to 1000); `cursor` goes on.

        Raises
        ------
        BadInput
            Where the cursor was changed or belongs to other filters.
        """
        with self.database.reading() as connection:
            return signal_pages.page(connection, which, limit, cursor)

    def events(self, id: int) -> tuple[Event, ...]:
        """Everything that happened to the signal `id`, oldest first; also when it is archived."""
        wanted = sa.select(signal_events).where(signal_events.c.signal_id == id).order_by(signal_events.c.id)
        with self.database.reading() as connection:
            acts.found(connection, id)
            return tuple(event(row) for row in connection.execute(wanted))

    def table(self, which: Which = ALL) -> pl.DataFrame:
        """Signals of `which` with the columns of `signal_pages.TABLE`, by id; by default with the archive."""
        with self.database.reading() as connection:
            return signal_pages.table(connection, which)

    def events_table(self, first: dt.datetime | None = None, last: dt.datetime | None = None) -> pl.DataFrame:
        """Events of all signals with the columns of `signal_pages.EVENTS`, by id."""
        with self.database.reading() as connection:
            return signal_pages.events_table(connection, first, last)

    def counts(self) -> Mapping[Status, int]:
        """Signals by status, without the archive."""
        with self.database.reading() as connection:
            rows: Sequence[Any] = connection.execute(sa.select(_C.status, sa.func.count()).group_by(_C.status)).all()
        return {Status(status): count for status, count in rows}


__all__ = ["ALL", "LIVE", "Event", "Page", "Signals", "Stored", "Which", "Written"]
