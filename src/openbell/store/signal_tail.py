"""What happened to signals since a step that is known, across all processes: what those who listen are told from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa

from openbell.core.errors import IntegrityBroken
from openbell.store.database import Database
from openbell.store.signal_acts import ACTIVE
from openbell.store.signal_rows import Event, Stored, event, stored
from openbell.store.signal_schema import signal_events, signals_archive, trading_signals
from openbell.store.upserts import chosen

_TABLES = ((trading_signals, False), (signals_archive, True))


def newest_event(database: Database) -> int:
    """Id of the latest step of any signal's life, 0 where there is none."""
    with database.reading() as connection:
        return int(connection.execute(sa.select(sa.func.max(signal_events.c.id))).scalar() or 0)


def events_after(database: Database, id: int, limit: int) -> list[tuple[Event, Stored]]:
    """The steps above the id, oldest first, at most `limit`, each with its signal as it is now, archived or not."""
    later = sa.select(signal_events).where(signal_events.c.id > id).order_by(signal_events.c.id).limit(limit)
    with database.reading() as connection:
        found = [event(row) for row in connection.execute(later)]
        wanted = sorted({each.signal_id for each in found})
        signals = {
            row.id: stored(row, archived=archived)
            for table, archived in _TABLES
            for row in chosen(connection, sa.select(table), table.c.id, wanted)
        }
    return [(each, _of(each, signals.get(each.signal_id))) for each in found]


def any_over(database: Database, at: dt.datetime) -> bool:
    """Whether the time of any active signal is over at that moment."""
    over = sa.select(trading_signals.c.id).where(ACTIVE, trading_signals.c.expires_at <= at).limit(1)
    with database.reading() as connection:
        return connection.execute(over).first() is not None


def known_symbols(database: Database) -> Sequence[str]:
    """Every symbol that ever had a signal, sorted."""
    with database.reading() as connection:
        found = {
            symbol
            for table, _ in _TABLES
            for symbol in connection.execute(sa.select(table.c.symbol).distinct()).scalars()
        }
    return sorted(found)


def _of(each: Event, signal: Stored | None) -> Stored:
    if signal is None:
        raise IntegrityBroken(
            f"The signal {each.signal_id} of the event {each.id} is in no table. Restore the store of signals."
        )
    return signal
