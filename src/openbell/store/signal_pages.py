"""Signals that are looked for: which ones, page by page, and as a table."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openbell.core.errors import BadInput, unknown
from openbell.core.hashing import digest
from openbell.core.signal import PROBABILITIES, Call, Status
from openbell.core.time import MOMENT
from openbell.store.signal_rows import Stored, stored
from openbell.store.signal_schema import signal_events, signals_archive, trading_signals
from openbell.store.upserts import microseconds, moment

MOST_ROWS = 1000

#: Columns of `table`: what analytics need, with the exact numbers.
TABLE: Mapping[str, Any] = {
    "id": pl.Int64, "symbol": pl.String, "call": pl.String, "status": pl.String, "confidence": pl.Float64,
    **dict.fromkeys(PROBABILITIES, pl.Float64), "price": pl.Float64, "target_price": pl.Float64,
    "stop_loss": pl.Float64, "position_size": pl.Float64, "sigma": pl.Float64, "horizon_seconds": pl.Float64,
    "regime": pl.String, "model_version": pl.String, "created_at": MOMENT, "expires_at": MOMENT, "acted_at": MOMENT,
    "outcome": pl.String, "entry_price": pl.Float64, "exit_price": pl.Float64, "exit_at": MOMENT,
    "exit_reason": pl.String, "return_fraction": pl.Float64, "max_favourable": pl.Float64, "max_adverse": pl.Float64,
    "seconds_to_target": pl.Float64, "hit": pl.Boolean, "known_at": MOMENT, "archived": pl.Boolean,
}  # fmt: skip
_RENAMED = {
    "call": "signal_type", "known_at": "outcome_known_at", "confidence": "confidence_exact",
    **{name: f"{name}_exact" for name in ("target_price", "stop_loss", "position_size")},
}  # fmt: skip
#: Columns of `events_table`.
EVENTS: Mapping[str, Any] = {
    "id": pl.Int64, "signal_id": pl.Int64, "at": MOMENT, "what": pl.String, "from_status": pl.String,
    "to_status": pl.String, "acted_by": pl.String, "other_id": pl.Int64, "confidence": pl.Float64,
    "other_confidence": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Which:
    """Signals that agree with everything given; empty and None leave it open.

    Attributes
    ----------
    symbols, calls, statuses, model_versions : one of them. first, last : of `created_at`, both included.
    min_confidence : of the exact confidence, itself enough. archived : also those in the archive.
    """

    symbols: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    statuses: tuple[Status, ...] = ()
    model_versions: tuple[str, ...] = ()
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    min_confidence: float | None = None
    archived: bool = False

    def __post_init__(self) -> None:
        for name, words, kind in (("call", self.calls, Call), ("status", self.statuses, Status)):
            for word in words:
                if word not in list(kind):
                    raise unknown(f"{name} of a signal", str(word), [each.value for each in kind])
        if self.min_confidence is not None and not 0.0 <= self.min_confidence <= 1.0:
            raise BadInput(f"`min_confidence` lies in [0, 1]; was {self.min_confidence}.")
        if self.first is not None and self.last is not None and microseconds(self.first) > microseconds(self.last):
            raise BadInput(f"The first moment, {self.first.isoformat()}, lies after the last, {self.last.isoformat()}.")

    def of(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        """As the database is asked."""
        c = table.c
        among = (("symbol", self.symbols), ("signal_type", self.calls), ("status", self.statuses),
                 ("model_version", self.model_versions))  # fmt: skip
        found: list[sa.ColumnElement[bool]] = [
            c[name].in_([str(each) for each in some]) for name, some in among if some
        ]
        if self.first is not None:
            found.append(c.created_at >= self.first)
        if self.last is not None:
            found.append(c.created_at <= self.last)
        if self.min_confidence is not None:
            found.append(c.confidence_exact >= self.min_confidence)
        return found

    @property
    def tables(self) -> tuple[sa.Table, ...]:
        """Where they lie."""
        return (trading_signals, signals_archive) if self.archived else (trading_signals,)

    @property
    def mark(self) -> str:
        """What a cursor of these is told from a cursor of others by."""
        moments = [None if each is None else microseconds(each) for each in (self.first, self.last)]
        words = [sorted(map(str, each)) for each in (self.symbols, self.calls, self.statuses, self.model_versions)]
        return digest([words, moments, self.min_confidence, self.archived])


#: Every signal that is not archived.
LIVE = Which()
#: Every signal.
ALL = Which(archived=True)


@dataclass(frozen=True, slots=True)
class Page:
    """Signals, newest first, and the cursor of the next page; None after the last."""

    rows: tuple[Stored, ...]
    cursor: str | None


def page(connection: Connection, which: Which, limit: int, cursor: str | None) -> Page:
    """Signals of `which` by (created_at, id), newest first, from `cursor` on."""
    if not 1 <= limit <= MOST_ROWS:
        raise BadInput(f"A page has 1 to {MOST_ROWS} signals; {limit} were asked for. Go on with the cursor.")
    place = None if cursor is None else _place(cursor, which)
    found: list[Stored] = []
    for table in which.tables:
        wanted = sa.select(table).where(*which.of(table))
        if place is not None:
            here = sa.tuple_(sa.literal(place[0], table.c.created_at.type), sa.literal(place[1], table.c.id.type))
            wanted = wanted.where(sa.tuple_(table.c.created_at, table.c.id) < here)
        wanted = wanted.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit + 1)
        found += [stored(row, archived=table is signals_archive) for row in connection.execute(wanted)]
    if len(which.tables) > 1:
        found.sort(key=lambda each: (each.signal.created_at, each.id), reverse=True)
    shown = found[:limit]
    more = len(found) > limit
    return Page(tuple(shown), _cursor(shown[-1], which) if more else None)


def table(connection: Connection, which: Which) -> pl.DataFrame:
    """Signals of `which` with the columns of `TABLE`, by id."""
    frames = []
    schema = {name: kind for name, kind in TABLE.items() if name != "archived"}
    for source in which.tables:
        wanted = sa.select(*(source.c[_RENAMED.get(name, name)] for name in schema)).where(*which.of(source))
        rows = [tuple(row) for row in connection.execute(wanted)]
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        frames.append(frame.with_columns(archived=pl.lit(source is signals_archive)))
    return pl.concat(frames).sort("id")


def events_table(connection: Connection, first: dt.datetime | None, last: dt.datetime | None) -> pl.DataFrame:
    """Events from `first` to `last`, both included, with the columns of `EVENTS`, by id."""
    wanted = sa.select(*(signal_events.c[name] for name in EVENTS))
    if first is not None:
        wanted = wanted.where(signal_events.c.at >= first)
    if last is not None:
        wanted = wanted.where(signal_events.c.at <= last)
    rows = [tuple(row) for row in connection.execute(wanted.order_by(signal_events.c.id))]
    return pl.DataFrame(rows, schema=dict(EVENTS), orient="row")


def _seal(text: str, which: Which) -> str:
    """Notices a cursor that was changed, or that belongs to another question. It is no secret, and guards none."""
    return hashlib.sha256(f"signals {text} {which.mark}".encode()).hexdigest()[:16]


def _cursor(last: Stored, which: Which) -> str:
    return _written(microseconds(last.signal.created_at), last.id, which)


def _written(at_us: int, id: int, which: Which) -> str:
    text = f"{at_us}.{id}"
    return base64.urlsafe_b64encode(f"{text}.{_seal(text, which)}".encode()).decode().rstrip("=")


def _place(cursor: str, which: Which) -> tuple[dt.datetime, int]:
    refusal = BadInput(
        f"`{cursor[:60]}` is no cursor of these signals: it was changed, or comes from a page of other filters. "
        "Pass on the one that came with the page before, with the same filters, or begin without one."
    )
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at_us, id = (int(each) for each in text.split(".")[:2])
        if cursor != _written(at_us, id, which):  # other letters may mean the same bytes, and other digits a number
            raise refusal
        return moment(at_us), id
    except (ValueError, OverflowError):
        raise refusal from None
