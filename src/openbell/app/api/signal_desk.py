"""Signals as the service tells them: out of the store, the active ones of a symbol through a cache."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from openbell.app.api.metrics import Metrics
from openbell.app.api.ports import Cache, SignalStore
from openbell.app.api.problems import Problem
from openbell.app.api.signal_answers import active_answer, analytics_answer, one_group
from openbell.app.api.signal_cache import ActiveSignals
from openbell.app.api.signal_feed import SignalFeed
from openbell.app.signals_store import worth
from openbell.core.errors import DataMissing, OpenbellError, Refused, nearest
from openbell.store.cache import cache_key
from openbell.store.signal_pages import Which
from openbell.store.signal_rows import Stored
from openbell.store.signal_tail import events_after, known_symbols, newest_event

T = TypeVar("T")
#: How long analytics are kept: they take a second or more, and outcomes come with bars.
ANALYTICS_SECONDS = 30.0


@dataclass(frozen=True)
class SignalDesk:
    """What `/signals` stands on.

    `opened` gives the store, opening it where it is not yet; it raises while that cannot be done, and is asked again.
    `of` names the store. Analytics run one at a time, so that they never keep the gate waiting for a thread.
    """

    opened: Callable[[], SignalStore]
    of: str
    cache: Cache
    metrics: Metrics
    now: Callable[[], dt.datetime]
    seconds: Callable[[], float]
    keep_seconds: float
    active: ActiveSignals = field(init=False)
    feed: SignalFeed = field(init=False)
    _aside: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        active = ActiveSignals(self.of, self._active, self.cache, self.metrics, self.now, self.keep_seconds)
        feed = SignalFeed(
            lambda id, most: events_after(self.opened().database, id, most),
            lambda: newest_event(self.opened().database),
            self.metrics,
            self.now,
            self.seconds,
        )
        for name, part in (("active", active), ("feed", feed), ("_aside", ThreadPoolExecutor(1, "signal-analytics"))):
            object.__setattr__(self, name, part)

    async def asked(self, ask: Callable[[SignalStore], T]) -> T:
        """What the store says, asked in a thread; what is not there is a `Problem` 404."""
        try:
            return await asyncio.to_thread(lambda: ask(self.opened()))
        except DataMissing as missing:
            raise Problem(404, str(missing)) from None

    async def analytics(self, which: Which, by: str) -> dict[str, Any]:
        """What the signals of `which` were worth, told apart by `by`; some seconds old at most, as ``as_of`` says."""
        told = await asyncio.get_running_loop().run_in_executor(self._aside, self._analytics, which)
        return one_group(orjson.loads(told), by)

    async def acted(self, action: str, act: Callable[[SignalStore, dt.datetime], Stored]) -> Stored:
        """What became of a signal by `act`; `Refused` where the rules of its life are against it."""
        try:
            became = await self.asked(lambda store: act(store, self.now()))
        except Refused:
            self.metrics.signal_actions.labels(action, "refused").inc()
            raise
        self.metrics.signal_actions.labels(action, "done").inc()
        await asyncio.to_thread(self.active.drop, became.signal.symbol)
        return became

    def lack(self) -> str:
        """``ok``, or what is missing for signals to be told."""
        try:
            newest = newest_event(self.opened().database)
        except OpenbellError as failure:
            return f"cannot be reached: {failure}"
        return "ok" if newest else "There are no signals yet; `openbell run signals` or `openbell stream` begins them."

    def close(self) -> None:
        """Begin nothing more."""
        self._aside.shutdown(wait=False, cancel_futures=True)

    def _analytics(self, which: Which) -> bytes:
        """All groups at once; kept also for who was answered by 504 and asks again."""
        key = cache_key("signal-analytics", of=self.of, which=which.mark)
        told = self.cache.get(key) if self.keep_seconds > 0 else None
        if told is None:
            at = self.now()
            told = orjson.dumps(analytics_answer(worth(self.opened(), which, at), at))
            if self.keep_seconds > 0:
                self.cache.put(key, told, ANALYTICS_SECONDS)
        return told

    def _active(self, symbol: str, at: dt.datetime) -> tuple[Sequence[Stored], bytes]:
        """The active signals of a symbol and their answer; a symbol that never had one is a `Problem` 404."""
        store = self.opened()
        found = store.active(symbol, at)
        if not found:
            known = known_symbols(store.database)
            if symbol not in known:
                raise Problem(404, f"There was never a signal of `{symbol}`. {nearest(symbol, known)}")
        return found, orjson.dumps(active_answer(symbol, at, found))
