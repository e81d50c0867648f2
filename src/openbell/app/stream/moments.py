"""Bars grouped by the moment they end at: what is complete is handed on, in order, and what came too late beside it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What a source handed over at once.

    `bars` have the columns of `bars.schema_of`. `before` and `position` say where the source stood before and after it,
    None where it cannot be read again from there. `received` is when it came, in seconds of a clock that only goes
    forward. `whole` says that nothing more comes for its moments.
    """

    bars: pl.DataFrame
    received: float
    before: str | None = None
    position: str | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """All bars of one moment. `late` ones belong to a moment that is over: nothing is decided on them.

    `received` is when the last of them came, `closed` when nothing more was waited for; `position` is where the source
    can be read again from, once this moment is done.
    """

    at: dt.datetime
    bars: pl.DataFrame
    received: float
    closed: float
    position: str | None
    late: bool = False


@dataclass(slots=True)
class _Open:
    at: dt.datetime
    received: float
    before: str | None
    bars: list[pl.DataFrame] = field(default_factory=list)
    symbols: set[str] = field(default_factory=set)


class Moments:
    """Holds the one moment that is open.

    Parameters
    ----------
    known : symbols of which a bar is waited for; without any, those of the moment before.
    grace_seconds : how long a moment stays open after its first bar came.
    """

    def __init__(self, known: Collection[str], grace_seconds: float, last: dt.datetime | None = None) -> None:
        self._known, self._grace = frozenset(known), grace_seconds
        self._expected = set(known)
        self._open: _Open | None = None
        self._last = last
        self._position: str | None = None

    @property
    def last(self) -> dt.datetime | None:
        """The last moment that was closed."""
        return self._last

    def add(self, batch: Batch, seconds: float) -> list[Moment]:
        """Take `batch`; what is complete by now, oldest first."""
        done: list[Moment] = []
        before = self._position if batch.before is None else batch.before
        for (at,), bars in (
            batch.bars.sort("at", maintain_order=True).partition_by("at", as_dict=True, maintain_order=True).items()
        ):
            if self._last is not None and at <= self._last:
                done.append(Moment(at, bars, batch.received, seconds, None, late=True))
                continue
            if self._open is not None and at < self._open.at:
                # An older moment than the one that is open: it is decided on first, and alone.
                done.append(Moment(at, bars, batch.received, seconds, None))
                self._last = at
                continue
            if self._open is not None and at > self._open.at:
                done.append(self._closed(seconds))
            if self._open is None:
                self._open = _Open(at, batch.received, before)
            self._open.bars.append(bars)
            self._open.received = batch.received
            self._open.symbols |= set(bars["symbol"])
            if batch.whole or (self._expected and self._expected <= self._open.symbols):
                done.append(self._closed(seconds))
        self._position = batch.position
        return self._placed(done)

    def due(self, seconds: float) -> list[Moment]:
        """The open moment, where nothing came for it for `grace_seconds`."""
        if self._open is None or seconds - self._open.received < self._grace:
            return []
        return self._placed([self._closed(seconds)])

    def flush(self, seconds: float) -> list[Moment]:
        """The open moment, whoever is missing: the source has ended."""
        return [] if self._open is None else self._placed([self._closed(seconds)])

    def _closed(self, seconds: float) -> Moment:
        assert self._open is not None
        done, self._open = self._open, None
        self._last = done.at
        if not self._known:
            self._expected = done.symbols
        return Moment(done.at, pl.concat(done.bars), done.received, seconds, None)

    def _placed(self, done: list[Moment]) -> list[Moment]:
        """The last of `done` with the place from which everything that is not done can be read again."""
        if not done:
            return done
        place = self._position if self._open is None else self._open.before
        last = done[-1]
        return [*done[:-1], Moment(last.at, last.bars, last.received, last.closed, place, last.late)]
