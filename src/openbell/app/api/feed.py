"""Verdicts as they are given, for those who listen: those of this worker at once, of the others out of the log."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from cachetools import LRUCache

from openbell.app.api.answers import verdict_answer
from openbell.core.errors import OpenbellError
from openbell.store.prediction_rows import Prediction

#: Verdicts that wait for one listener; whoever is further behind is told so and let go.
MOST_WAITING = 256
#: How far back the log is read for verdicts of other workers: longer than a record waits to be written.
LOOK_BACK = dt.timedelta(seconds=6)
_REMEMBERED = 20_000

#: (since) -> what was logged since then, oldest first.
Recent = Callable[[dt.datetime], Sequence[Prediction]]


@dataclass(eq=False)
class Listener:
    """One who listens. `symbols` are those wanted, none for all; `behind` is set once too many verdicts waited."""

    symbols: frozenset[str] = frozenset()
    waiting: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))
    behind: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, symbol: str, told: bytes) -> None:
        """Take one verdict, where it is wanted and there is room."""
        if self.behind.is_set() or (self.symbols and symbol not in self.symbols):
            return
        try:
            self.waiting.put_nowait(told)
        except asyncio.QueueFull:
            self.behind.set()


@dataclass(eq=False)
class Feed:
    """Hands each verdict once to every listener.

    With several workers the log is read every `poll_seconds` while somebody listens; `recent` is None with one.
    """

    now: Callable[[], dt.datetime]
    recent: Recent | None = None
    poll_seconds: float = 0.5
    listeners: set[Listener] = field(default_factory=set, init=False)
    _told: LRUCache[str, bool] = field(default_factory=lambda: LRUCache(_REMEMBERED), init=False)
    _poll: asyncio.Task[None] | None = field(default=None, init=False)

    @contextlib.contextmanager
    def listening(self, listener: Listener) -> Any:
        """Let `listener` hear what is given from now on."""
        self.listeners.add(listener)
        if self.recent is not None and self._poll is None:
            self._poll = asyncio.get_running_loop().create_task(self._read(self.now()))
        try:
            yield listener
        finally:
            self.listeners.discard(listener)
            if not self.listeners and self._poll is not None:
                self._poll.cancel()
                self._poll = None

    def push(self, made: Sequence[Prediction]) -> None:
        """Tell what was given and is on record."""
        if not self.listeners:
            return
        for each in made:
            if each.id in self._told:
                continue
            self._told[each.id] = True
            told = orjson.dumps(verdict_answer(each))
            for listener in self.listeners:
                listener.hear(each.symbol, told)

    async def _read(self, began: dt.datetime) -> None:
        assert self.recent is not None
        read_at = began
        while True:
            await asyncio.sleep(self.poll_seconds)
            since, now = max(began, read_at - LOOK_BACK), self.now()
            # A log that cannot be read delays verdicts: they are read as soon as it can be.
            with contextlib.suppress(OpenbellError):
                self.push(await asyncio.to_thread(self.recent, since))
                read_at = now
