"""What ends a signal's life: acts, expiry, and the archive after it; inside a transaction that the caller holds."""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openbell.core.errors import BadInput, DataMissing, Refused, nearest
from openbell.core.signal import Status
from openbell.store.signal_conflicts import What
from openbell.store.signal_rows import Stored, performance_percent, stored
from openbell.store.signal_schema import signal_events, signals_archive, trading_signals

#: Rows that one transaction moves to the archive.
ARCHIVED_AT_ONCE = 5_000
#: Written as the partial index has it; a bound value would not be recognised.
ACTIVE = trading_signals.c.status == sa.literal_column("'ACTIVE'")
#: Held shared by who changes some symbols, and alone by who goes over all ("signals" in ASCII).
_ALL = int.from_bytes(b"signals", "big")
#: Symbols share so many locks: a transaction over thousands of them must not fill PostgreSQL's table of locks.
_ROOM, _LOCKS = 0x51D, 256
_MOST_ID = 2**63 - 1
EXPIRY = "expiry"
_SINCE = {
    Status.EXECUTED: "was executed",
    Status.EXPIRED: "expired",
    Status.SUPERSEDED: "was superseded",
    Status.CANCELLED: "was cancelled",
}


@dataclass(frozen=True, slots=True)
class Act:
    """What someone wants to do with a signal; `word` makes doing it twice one act."""

    id: int
    to: Status
    at: dt.datetime
    by: str
    why: str
    word: str | None

    def __post_init__(self) -> None:
        for name, text in (("by", self.by), ("why", self.why), ("word", self.word)):
            if text is not None and (not text or "\0" in text or len(text) > 1000):
                raise BadInput(f"`{name}` is text of 1 to 1000 characters without a null character; was {text[:60]!r}.")


def hold(connection: Connection, symbols: Iterable[str]) -> None:
    """Until the transaction ends nobody else changes signals of these symbols."""
    if connection.dialect.name != "postgresql":
        return  # SQLite has one writer
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_ALL)))
    locks = sorted({zlib.crc32(symbol.encode()) % _LOCKS for symbol in symbols})  # in one order: nobody waits in a ring
    for lock in locks:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ROOM, lock)))


def hold_all(connection: Connection) -> None:
    """Until the transaction ends nobody else changes any signal."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ALL)))


def found(connection: Connection, id: int) -> Stored:
    """The signal `id`, wherever it lies; refused with the nearest where there is none."""
    if not isinstance(id, bool) and 0 < id <= _MOST_ID:
        for table in (trading_signals, signals_archive):
            row = connection.execute(sa.select(table).where(table.c.id == id)).one_or_none()
            if row is not None:
                return stored(row, archived=table is signals_archive)
    raise DataMissing(f"There is no signal {id}. {_nearest(connection, id)}")


def _nearest(connection: Connection, id: int) -> str:
    bounded = min(max(int(id), 0), _MOST_ID)
    ids: set[int] = set()
    for table in (trading_signals, signals_archive):
        c = table.c.id
        below = connection.execute(sa.select(sa.func.max(c)).where(c <= bounded)).scalar()
        above = connection.execute(sa.select(sa.func.min(c)).where(c >= bounded)).scalar()
        ids |= {each for each in (below, above) if each is not None}
    if not ids:
        return nearest(str(id), ())
    close = sorted(sorted(ids, key=lambda each: (abs(each - bounded), each))[:2])
    return "The nearest " + ("is " if len(close) == 1 else "are ") + " and ".join(map(str, close)) + "."


def acted(connection: Connection, act: Act) -> Stored | Refused:
    """Do it where the signal is active and valid, else say why not."""
    symbol = found(connection, act.id).signal.symbol  # its symbol never changes
    hold(connection, [symbol])
    now = found(connection, act.id)
    if now.status is act.to and act.word is not None and now.word == act.word:
        return now
    if now.status is not Status.ACTIVE:
        return _ended(now)
    if act.at < now.signal.created_at:
        return Refused(
            f"{_called(now)} was made at {now.signal.created_at.isoformat()}; nothing acts on it at "
            f"{act.at.isoformat()}, before that. Is the clock right?"
        )
    if act.at >= now.signal.expires_at:
        expire(connection, act.at, only=act.id)
        return _ended(found(connection, act.id))
    values: dict[str, Any] = {"status": act.to.value, "acted_at": act.at, "acted_by": act.by, "why": act.why}
    values["acted_word"] = act.word
    if act.to is Status.EXECUTED:
        gained = None if now.outcome is None else now.outcome.return_fraction
        values |= {"executed": True, "performance": performance_percent(gained)}
    connection.execute(trading_signals.update().where(trading_signals.c.id == act.id, ACTIVE).values(**values))
    what = What.EXECUTED if act.to is Status.EXECUTED else What.CANCELLED
    happened(connection, [step(now.id, act.at, what, Status.ACTIVE, act.to, act.by, act.why, now.signal.confidence)])
    return found(connection, act.id)


def _called(now: Stored) -> str:
    return f"Signal {now.id} ({now.signal.call} {now.signal.symbol})"


def _ended(now: Stored) -> Refused:
    since = "" if now.acted_at is None else f" at {now.acted_at.isoformat()}"
    return Refused(
        f"{_called(now)} {_SINCE[now.status]}{since}, so nothing can act on it any more"
        f"{'.' if now.status is Status.EXPIRED else f': {now.why}'}"
    )


def step(
    id: int, at: dt.datetime, what: What, before: Status | None, after: Status, by: str, why: str, confidence: float,
    other_id: int | None = None, other_confidence: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """One row of the events."""
    return {
        "signal_id": id, "at": at, "what": what.value, "from_status": None if before is None else before.value,
        "to_status": after.value, "acted_by": by, "why": why, "confidence": confidence, "other_id": other_id,
        "other_confidence": other_confidence,
    }  # fmt: skip


def happened(connection: Connection, steps: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to the events, last of all that a transaction does."""
    if steps:
        _in_turn(connection)
        connection.execute(signal_events.insert(), list(steps))


def _in_turn(connection: Connection) -> None:
    """Ids of events are given and seen in one order: who reads on from the last one misses none that came later."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ROOM, _LOCKS)))


def expire(connection: Connection, at: dt.datetime, *, only: int | None = None) -> int:
    """Active signals whose time is over at `at` become EXPIRED, all (alone) or `only` one that the caller holds."""
    c = trading_signals.c
    over = [ACTIVE, c.expires_at <= at] if only is None else [ACTIVE, c.expires_at <= at, c.id == only]
    if only is None:
        hold_all(connection)
    why = "Its time was over."
    words = (What.EXPIRED.value, Status.ACTIVE.value, Status.EXPIRED.value, EXPIRY, why)
    names = ["signal_id", "confidence", "at", "what", "from_status", "to_status", "acted_by", "why"]
    _in_turn(connection)
    row = [c.id, c.confidence_exact, sa.literal(at, signal_events.c.at.type), *map(sa.literal, words)]
    connection.execute(signal_events.insert().from_select(names, sa.select(*row).where(*over).order_by(c.id)))
    ended = {"status": Status.EXPIRED.value, "acted_at": c.expires_at, "acted_by": EXPIRY, "why": why}
    return connection.execute(trading_signals.update().where(*over).values(**ended)).rowcount


def archive(connection: Connection, before: dt.datetime) -> int:
    """Move at most `ARCHIVED_AT_ONCE` signals that ended before that moment; how many were moved."""
    hold_all(connection)
    c = trading_signals.c
    over = [c.status != Status.ACTIVE.value, c.acted_at < before]
    some = sa.select(c.id).where(*over).order_by(c.id).limit(ARCHIVED_AT_ONCE).subquery()
    last = connection.execute(sa.select(sa.func.max(some.c.id))).scalar()
    if last is None:
        return 0
    over.append(c.id <= last)
    names = [column.name for column in trading_signals.columns]
    connection.execute(signals_archive.insert().from_select(names, sa.select(trading_signals).where(*over)))
    return connection.execute(trading_signals.delete().where(*over)).rowcount
