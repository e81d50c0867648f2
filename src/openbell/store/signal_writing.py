"""Signals that are written together: made ready before any lock is taken, judged against what stands, then stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openbell.core.signal import Call, Signal, Status
from openbell.store.signal_acts import ACTIVE, EXPIRY, happened, hold, step
from openbell.store.signal_conflicts import Meeting, Side, What, meetings
from openbell.store.signal_rows import made_of_row, signal_row
from openbell.store.signal_schema import signals_archive, trading_signals
from openbell.store.upserts import chosen

RULE = "conflict rule"
DESK = "desk"


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a signal that was written: its `id`, its `status` then, and `why` in words.

    `new` is False where it was there already. `superseded` : ids of signals that it ended.
    """

    id: int
    status: Status
    why: str
    new: bool = True
    superseded: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Signals to be written at `at`; `first`, its place in `turns`, and `rows` are by key, of equal keys the first."""

    given: tuple[Signal, ...]
    keys: tuple[str, ...]
    first: Mapping[str, Signal]
    turns: Mapping[str, int]
    rows: Mapping[str, dict[str, Any]]
    at: dt.datetime
    max_active: int
    margin: float

    @classmethod
    def of(cls, given: tuple[Signal, ...], at: dt.datetime, max_active: int, margin: float) -> Batch:
        """Make their rows ready; a signal that no row can hold is refused."""
        first: dict[str, Signal] = {}
        rows: dict[str, dict[str, Any]] = {}
        keys: list[str] = []
        turns: dict[str, int] = {}
        made_of: dict[int, Mapping[str, Any]] = {}  # signals of one decision share it
        for turn, signal in enumerate(given):
            if id(signal.made_of) not in made_of:
                made_of[id(signal.made_of)] = made_of_row(signal)
            row = signal_row(signal, made_of[id(signal.made_of)])
            keys.append(row["key"])
            if turns.setdefault(row["key"], turn) == turn:
                first[row["key"]], rows[row["key"]] = signal, row
        return cls(given, tuple(keys), first, turns, rows, at, max_active, margin)

    def write(self, connection: Connection) -> tuple[Written, ...]:
        """Store them; what became of each, in order."""
        hold(connection, {signal.symbol for signal in self.first.values()})
        there = _there(connection, list(self.rows))
        fresh = {key: row for key, row in self.rows.items() if key not in there}
        judged = self._judged(connection, fresh)
        ids = self._added(connection, fresh, judged)
        self._ended(connection, judged)
        happened(connection, [*self._made(fresh, ids), *self._met(judged, ids)])
        return tuple(self._written(at, there, judged, ids) for at in range(len(self.given)))

    def _judged(self, connection: Connection, fresh: Iterable[str]) -> _Judged:
        sides = [
            Side(key, each.call, each.confidence, each.created_at, each.expires_at)
            for key, each in ((key, self.first[key]) for key in fresh)
            if each.call is not Call.HOLD and each.expires_at > self.at
        ]
        if not sides:
            return _Judged([])
        by_symbol: dict[str, list[Side]] = {}
        for side in sides:
            by_symbol.setdefault(self.first[side.key].symbol, []).append(side)
        since = min(side.created_at for side in sides)
        standing = _standing(connection, list(by_symbol), self.at, since)
        found: list[Meeting] = []
        for symbol, new in by_symbol.items():
            found += meetings(standing.get(symbol, ()), new, max_active=self.max_active, margin=self.margin)
        return _Judged(found)

    def _added(self, connection: Connection, fresh: Mapping[str, dict[str, Any]], judged: _Judged) -> dict[str, int]:
        """Insert the new rows, each with the status it has at once; their ids by key."""
        if not fresh:
            return {}
        made = [row | self._state(key, judged) for key, row in fresh.items()]
        connection.execute(trading_signals.insert(), made)
        c = trading_signals.c
        return {row.key: row.id for row in chosen(connection, sa.select(c.id, c.key), c.key, list(fresh))}

    def _made(self, fresh: Iterable[str], ids: Mapping[str, int]) -> list[dict[str, Any]]:
        """The events of making the new ones, and of the end of those that came too late."""
        new = [(ids[key], self.first[key]) for key in fresh]
        steps = [
            step(id, self.at, What.MADE, None, Status.ACTIVE, DESK, "It was made.", each.confidence) for id, each in new
        ]
        return steps + [
            step(id, self.at, What.EXPIRED, Status.ACTIVE, Status.EXPIRED, EXPIRY, _LATE, each.confidence)
            for id, each in new
            if each.expires_at <= self.at
        ]

    def _state(self, key: str, judged: _Judged) -> dict[str, Any]:
        signal = self.first[key]
        state: dict[str, Any] = {"status": "ACTIVE", "acted_at": None, "acted_by": None, "why": None,
                                 "superseded_at": None, "executed": False}  # fmt: skip
        if signal.expires_at <= self.at:
            state |= {"status": "EXPIRED", "acted_at": signal.expires_at, "acted_by": EXPIRY, "why": _LATE}
        elif key in judged.lost:
            state |= self._superseded(judged.lost[key])
        return state

    def _superseded(self, lost: Meeting) -> dict[str, Any]:
        return {"status": "SUPERSEDED", "acted_at": self.at, "acted_by": RULE, "why": lost.why,
                "superseded_at": lost.side.superseded_at}  # fmt: skip

    def _ended(self, connection: Connection, judged: _Judged) -> None:
        """Supersede what stood and lost."""
        olds = [each for each in judged.lost.values() if each.side.id is not None]
        if not olds:
            return
        ending = trading_signals.update().where(trading_signals.c.id == sa.bindparam("_id"), ACTIVE)
        connection.execute(
            ending.values({name: sa.bindparam(f"_{name}") for name in self._superseded(olds[0])}),
            [{"_id": each.side.id} | {f"_{k}": v for k, v in self._superseded(each).items()} for each in olds],
        )

    def _met(self, judged: _Judged, ids: Mapping[str, int]) -> list[dict[str, Any]]:
        """The events of the meetings, of both sides."""
        return [
            step(
                _id(each.side, ids), self.at, each.what, Status.ACTIVE,
                Status.SUPERSEDED if each.superseded else Status.ACTIVE, RULE, each.why, each.side.confidence,
                _id(each.other, ids), each.other.confidence,
            )
            for each in judged.found
        ]  # fmt: skip

    def _written(self, at: int, there: Mapping[str, Any], judged: _Judged, ids: Mapping[str, int]) -> Written:
        key, signal = self.keys[at], self.given[at]
        if key in there:
            row = there[key]
            return Written(row.id, Status(row.status), _known(signal, row.signal_type, row.confidence_exact), False)
        first = self.first[key]
        if self.turns[key] < at:
            why = _known(signal, first.call.value, first.confidence)
            return Written(ids[key], Status(self._state(key, judged)["status"]), why, False)
        state = self._state(key, judged)
        why = state["why"] or judged.stood.get(key) or f"It is valid until {signal.expires_at.isoformat()}."
        return Written(ids[key], Status(state["status"]), why, True, tuple(sorted(judged.displaced.get(key, ()))))


_LATE = "Its time was over before it was stored."


@dataclass(slots=True)
class _Judged:
    """Meetings, and by key: those that lost, why a side stood, and the ids each new one ended."""

    found: list[Meeting]
    lost: dict[str, Meeting] = field(default_factory=dict)
    stood: dict[str, str] = field(default_factory=dict)
    displaced: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in self.found:
            if not each.superseded:
                self.stood[each.side.key] = each.why
                continue
            self.lost[each.side.key] = each
            if each.side.id is not None:
                self.displaced.setdefault(each.other.key, []).append(each.side.id)


def _known(signal: Signal, call: str, confidence: float) -> str:
    if signal.call.value == call and signal.confidence == confidence:
        return "It was stored already."
    return (
        f"A {call} at {confidence:.4g} of the same symbol, model and moment was stored already and stands; this one, "
        f"{signal.call} at {signal.confidence:.4g}, was not stored."
    )


def _id(side: Side, ids: Mapping[str, int]) -> int:
    return ids[side.key] if side.id is None else side.id


def _there(connection: Connection, keys: Sequence[str]) -> dict[str, Any]:
    """Rows of `keys` that are stored already, in the archive too."""
    found: dict[str, Any] = {}
    for table in (trading_signals, signals_archive):
        c = table.c
        wanted = sa.select(c.id, c.key, c.status, c.signal_type, c.confidence_exact)
        found |= {row.key: row for row in chosen(connection, wanted, c.key, keys)}
    return found


def _standing(
    connection: Connection, symbols: Sequence[str], at: dt.datetime, since: dt.datetime
) -> dict[str, list[Side]]:
    """By symbol, what is active and valid at `at`, and what was superseded from `since` on."""
    c = trading_signals.c
    columns = (c.symbol, c.key, c.signal_type, c.confidence_exact, c.created_at, c.expires_at, c.id, c.superseded_at)
    valid = sa.select(*columns).where(c.signal_type != Call.HOLD.value, c.expires_at > at)
    rows = chosen(connection, valid.where(ACTIVE), c.symbol, symbols)
    rows += chosen(connection, valid.where(c.superseded_at >= since), c.symbol, symbols)
    found: dict[str, list[Side]] = {}
    for row in rows:
        side = Side(
            row.key, Call(row.signal_type), row.confidence_exact, row.created_at, row.expires_at, row.id,
            row.superseded_at,
        )  # fmt: skip
        found.setdefault(row.symbol, []).append(side)
    return found
