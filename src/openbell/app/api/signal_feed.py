"""Signals and what becomes of them, for those who listen: read out of the store, which every process writes to."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import orjson
import structlog

from openbell.app.api.feed import Listener
from openbell.app.api.metrics import Metrics
from openbell.app.api.signal_answers import pushed_answer
from openbell.core.errors import OpenbellError
from openbell.store.signal_rows import Event, Stored

#: Events that wait for one listener: some bars of five hundred symbols. Whoever is further behind is let go.
MOST_WAITING = 2_048
#: Events read at once.
PAGE = 500
#: An id that is not there after so many seconds was given to a transaction that came to nothing.
GAP_SECONDS = 10.0
#: Ids before the newest that are looked at for such gaps when the first listener comes; more missing are no gap.
LOOK_BACK, WIDEST_GAP = 500, 10_000
Told = tuple[Event, Stored]
_log = structlog.get_logger()


def listener_of(symbols: frozenset[str]) -> Listener:
    """One who listens, with room for what a bar of many symbols says at once."""
    return Listener(symbols, asyncio.Queue(MOST_WAITING))


@dataclass(eq=False)
class Place:
    """How far the events were told: all up to `settled`, and of those above it the ones in `told`.

    PostgreSQL gives out ids before a transaction commits, so a lower one may come after a higher one; it is waited for
    `GAP_SECONDS`. On SQLite there is one writer, and no gap.
    """

    settled: int
    told: set[int] = field(default_factory=set)
    missed: dict[int, float] = field(default_factory=dict)
    top: int = field(init=False)

    def __post_init__(self) -> None:
        self.top = self.settled

    def take(self, ids: Iterable[int], now: float) -> set[int]:
        """Which of `ids`, lowest first, are new; they count as told. `now` in seconds."""
        new = {id for id in ids if id > self.settled and id not in self.told}
        for id in sorted(new):
            if id - self.top <= WIDEST_GAP:
                self.missed.update(dict.fromkeys(range(self.top + 1, id), now))
            self.missed.pop(id, None)
            self.top = max(self.top, id)
        self.told |= new
        for id in [id for id, since in self.missed.items() if now - since >= GAP_SECONDS]:
            del self.missed[id]
        self.settled = min(self.missed, default=self.top + 1) - 1
        self.told = {id for id in self.told if id > self.settled}
        return new


@dataclass(eq=False)
class SignalFeed:
    """Hands each event of each signal to every listener, in the order in which they can be seen.

    `after` gives the events with ids above one, lowest first, at most so many; `newest` is the highest id, 0 where
    there is none. Both are asked in threads, every `poll_seconds` while somebody listens. `now` is the clock, `seconds`
    one that only goes forward.
    """

    after: Callable[[int, int], Sequence[Told]]
    newest: Callable[[], int]
    metrics: Metrics
    now: Callable[[], dt.datetime]
    seconds: Callable[[], float]
    poll_seconds: float = 0.25
    listeners: set[Listener] = field(default_factory=set, init=False)
    _place: Place = field(default_factory=lambda: Place(0), init=False)
    _poll: asyncio.Task[None] | None = field(default=None, init=False)
    _beginning: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    @property
    def settled(self) -> int:
        """The id up to which every event was told."""
        return self._place.settled

    @contextlib.asynccontextmanager
    async def listening(self, listener: Listener) -> AsyncIterator[int]:
        """Let `listener` hear every event that can be seen from now on; the highest id that can be seen already."""
        async with self._beginning:
            if self._poll is None:
                self._place = await self._begin()
                self._poll = asyncio.get_running_loop().create_task(self._read())
            self.listeners.add(listener)
            top = self._place.top
        try:
            yield top
        finally:
            self.listeners.discard(listener)
            if not self.listeners and self._poll is not None:
                self._poll.cancel()
                self._poll = None

    async def between(self, first: int, last: int, symbols: frozenset[str]) -> AsyncIterator[bytes]:
        """The events above the id `first` up to `last`, of `symbols` where there are any."""
        while first < last:
            found = await asyncio.to_thread(self.after, first, PAGE)
            for event, stored in found:
                if event.id <= last and (not symbols or stored.signal.symbol in symbols):
                    yield self._message(event, stored)
            first = found[-1][0].id if found else last

    async def _begin(self) -> Place:
        newest = await asyncio.to_thread(self.newest)
        place = Place(max(newest - LOOK_BACK, 0))
        lately = await asyncio.to_thread(self.after, place.settled, LOOK_BACK)
        place.take([event.id for event, _ in lately], self.seconds())
        return place

    async def _read(self) -> None:
        while True:
            await asyncio.sleep(self.poll_seconds)
            try:
                await self._look()
            except OpenbellError as failure:  # they are read as soon as the store can be
                _log.error("signals not read", why=str(failure))
            except Exception as failure:
                _log.error("signals not read", exc_info=failure)

    async def _look(self) -> None:
        """Tell what is new; where an id is missing what came after it is looked at again."""
        first, full = self._place.settled, True
        while full:
            found = await asyncio.to_thread(self.after, first, PAGE)
            self._push(found)
            full = len(found) == PAGE
            first = found[-1][0].id if found else first

    def _push(self, found: Sequence[Told]) -> None:
        new = self._place.take([event.id for event, _ in found], self.seconds())
        for event, stored in found:
            if event.id not in new:
                continue
            told = self._message(event, stored)
            for listener in self.listeners:
                listener.hear(stored.signal.symbol, told)
        self.metrics.signals_pushed.inc(len(new) * len(self.listeners))

    def _message(self, event: Event, stored: Stored) -> bytes:
        return orjson.dumps(pushed_answer(event, stored, min(event.id, self._place.settled), self.now()))
