"""The market of a symbol as the service knows it: looked up once for all who ask, kept for a while, never too old."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

from cachetools import TTLCache

from openbell.app.api.metrics import Metrics
from openbell.app.api.ports import Cache, Markets
from openbell.core.errors import DataMissing
from openbell.core.ticket import MarketState
from openbell.market import state_messages
from openbell.market.state_sources import Freshness


@dataclass
class MarketDesk:
    """Market states by symbol.

    A state is kept for `keep_seconds` by each worker and in the shared cache, and looked up again before that where it
    grows too old to decide on. However many ask for one symbol at once, its sources are asked once.
    """

    sources: Markets
    freshness: Freshness
    cache: Cache
    metrics: Metrics
    now: Callable[[], dt.datetime]
    seconds: Callable[[], float]
    keep_seconds: float
    entries: int
    _kept: TTLCache[str, MarketState] = field(init=False)
    _asked: dict[str, asyncio.Task[MarketState]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._kept = TTLCache(self.entries, self.keep_seconds, self.seconds)

    async def state(self, symbol: str) -> MarketState:
        """A fresh state of `symbol`, or `NoMarket` with the reason of every source."""
        kept = self._kept.get(symbol)
        if kept is not None and self._fresh(kept):
            self.metrics.looked("market", True)
            return kept
        task = self._asked.get(symbol)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._found(symbol))
            self._asked[symbol] = task
            task.add_done_callback(lambda _: self._asked.pop(symbol, None))
        # Shielded: one caller who leaves must not take the answer from the others.
        return await asyncio.shield(task)

    def breakers(self) -> dict[str, str]:
        """Each source's circuit breaker."""
        return self.sources.breakers()

    async def _found(self, symbol: str) -> MarketState:
        state = await asyncio.to_thread(self._shared, symbol)
        self.metrics.looked("market", state is not None)
        if state is None:
            state = await self.sources.state(symbol)
            if self.keep_seconds > 0:
                content = state_messages.written(state)
                await asyncio.to_thread(self.cache.put, f"market:{symbol}", content, self.keep_seconds)
        self._kept[symbol] = state
        return state

    def _shared(self, symbol: str) -> MarketState | None:
        content = self.cache.get(f"market:{symbol}")
        if content is None:
            return None
        try:
            state = state_messages.read(content, "cache", symbol, own=True)
        except DataMissing:
            return None
        return state if state.symbol == symbol and self._fresh(state) else None

    def _fresh(self, state: MarketState) -> bool:
        now = self.now()
        return state.observed_at <= now and self.freshness.stale(state, now) is None
