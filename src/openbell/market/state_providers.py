"""The sources of market states: the companion's HTTP service, Yahoo's minutes, a Redis channel, the stored bars.

Clients, downloads and tables are handed in, so that each is tested on answers made by hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl

from openbell.core.errors import DataMissing
from openbell.core.ticket import MarketState
from openbell.core.time import Sessions, utc
from openbell.market.state_messages import read
from openbell.market.state_sources import UnknownSymbol

if TYPE_CHECKING:
    from openbell.store.tables import Tables

#: symbol -> the newest one-minute bars as a pandas frame with an aware index and a column `Close`.
Minutes = Callable[[str], Any]

#: What Yahoo calls the indices.
YAHOO_INDICES: Mapping[str, str] = {"SPX": "^SPX", "NDX": "^NDX", "RUT": "^RUT", "XSP": "^XSP", "VIX": "^VIX"}
#: What yfinance raises of a symbol that Yahoo does not know; its names, so that yfinance need not be there.
_NOT_THERE = frozenset({"YFPricesMissingError", "YFTzMissingError", "YFTickerMissingError"})
LARGEST_ANSWER = 262_144


def download_minutes(symbol: str) -> Any:
    """The newest one-minute bars of `symbol` by yfinance: what alone reaches the network."""
    try:
        import yfinance  # type: ignore[import-untyped]
    except ImportError as missing:
        raise DataMissing("yfinance is not installed. Install it with `pip install 'openbell[yahoo]'`.") from missing
    ticker = yfinance.Ticker(YAHOO_INDICES.get(symbol, symbol))
    return ticker.history(period="1d", interval="1m", auto_adjust=False, actions=False, raise_errors=True)


@dataclass(frozen=True, slots=True)
class CompanionSource:
    """The companion: ``GET {url}/market/{symbol}`` tells price, volatility and timestamp. `client` is httpx2's."""

    client: Any
    url: str
    name: str = "companion"

    async def state(self, symbol: str) -> MarketState:
        """What the companion says of `symbol`."""
        try:
            answer = await self.client.get(f"{self.url.rstrip('/')}/market/{quote(symbol, safe='')}")
        except asyncio.CancelledError:
            raise
        except Exception as failure:
            raise DataMissing(f"The companion cannot be reached ({type(failure).__name__}).") from failure
        if answer.status_code == 404:
            raise UnknownSymbol(f"The companion does not know {symbol}.")
        if answer.status_code != 200:
            raise DataMissing(f"The companion answered with status {answer.status_code}.")
        if len(answer.content) > LARGEST_ANSWER:
            raise DataMissing(f"The companion answered with {len(answer.content)} bytes, which is no market state.")
        return read(answer.content, self.name, symbol)


@dataclass(frozen=True, slots=True)
class LiveSource:
    """A live provider's one-minute bars: the price is the newest close, seen at the start of its minute.

    The start of the minute understates how new the price is, never the other way round. `volatility_symbol` tells the
    volatility in percentage points; where it has no answer, there is none.
    """

    minutes: Minutes
    volatility_symbol: str = "VIX"
    name: str = "live"

    async def state(self, symbol: str) -> MarketState:
        """The newest minute of `symbol`."""
        price, seen = await asyncio.to_thread(self._newest, symbol)
        try:
            points: float | None = (await asyncio.to_thread(self._newest, self.volatility_symbol))[0]
        except DataMissing:
            points = None
        return MarketState(symbol, price, seen, self.name, None if points is None else points / 100.0)

    def _newest(self, symbol: str) -> tuple[float, dt.datetime]:
        try:
            bars = self.minutes(symbol)
        except DataMissing:
            raise
        except Exception as failure:
            if type(failure).__name__ in _NOT_THERE:
                raise UnknownSymbol(f"The live provider does not know {symbol}.") from None
            raise DataMissing(f"The live provider failed on {symbol} ({type(failure).__name__}).") from failure
        if bars is None or len(bars) == 0:
            raise DataMissing(f"The live provider has no minute of {symbol}.")
        price, seen = float(bars["Close"].iloc[-1]), bars.index[-1].to_pydatetime()
        if not (math.isfinite(price) and price > 0):
            raise DataMissing(f"The live provider tells the price {price} of {symbol}.")
        return price, utc(seen)


@dataclass(slots=True)
class RedisSource:
    """What is published on a Redis channel, and kept under a key: `{channel}` and `{channel}:{symbol}`.

    `listen` keeps the newest message of each symbol; the newer of it and the key speaks. `client` is redis.asyncio's.
    """

    client: Any
    channel: str = "openbell:market"
    name: str = "redis"
    most_symbols: int = 1_000
    _heard: dict[str, MarketState] = field(default_factory=dict, init=False)

    async def state(self, symbol: str) -> MarketState:
        """The newest of what was heard and what is kept."""
        try:
            kept = await self.client.get(f"{self.channel}:{symbol}")
        except asyncio.CancelledError:
            raise
        except Exception as failure:
            raise DataMissing(f"Redis cannot be reached ({type(failure).__name__}).") from failure
        states = [read(kept, self.name, symbol)] if kept is not None else []
        states += [self._heard[symbol]] if symbol in self._heard else []
        if not states:
            raise UnknownSymbol(f"Nothing was published about {symbol} on the Redis channel {self.channel}.")
        return max(states, key=lambda each: each.observed_at)

    async def listen(self, pause_seconds: float = 1.0) -> None:
        """Hear the channel until cancelled; a lost connection is made again after a pause."""
        while True:
            with contextlib.suppress(OSError, _redis_error()):
                async with self.client.pubsub() as heard:
                    await heard.subscribe(self.channel)
                    async for message in heard.listen():
                        if message["type"] == "message":
                            self.hear(message["data"])
            await asyncio.sleep(pause_seconds)

    def hear(self, content: bytes) -> None:
        """Keep one message, where it can be read and is newer than what was heard before."""
        try:
            state = read(content, self.name)
        except DataMissing:
            return  # whoever asks is told that nothing was published; a broken message is nothing
        before = self._heard.get(state.symbol)
        if before is None and len(self._heard) >= self.most_symbols:
            return
        if before is None or state.observed_at > before.observed_at:
            self._heard[state.symbol] = state


def _redis_error() -> type[Exception]:
    from redis.exceptions import RedisError

    return RedisError


@dataclass(frozen=True, slots=True)
class StoredSource:
    """The last stored daily bar: its close, seen at the close of its session, so fresh only until the next open."""

    tables: Tables
    sessions: Sessions
    volatility_symbol: str = "VIX"
    name: str = "stored"

    async def state(self, symbol: str) -> MarketState:
        """The last stored close of `symbol`."""
        return await asyncio.to_thread(
            stored_state, self.tables, self.sessions, symbol, self.volatility_symbol, name=self.name
        )


def stored_state(
    tables: Tables,
    sessions: Sessions,
    symbol: str,
    volatility_symbol: str = "VIX",
    *,
    known_by: dt.datetime | None = None,
    name: str = "stored",
) -> MarketState:
    """The last stored close of `symbol` (known at `known_by`), seen when its session closed.

    Raises
    ------
    UnknownSymbol
        Where there are no bars of it.
    """
    if not tables.exists("bars"):
        raise UnknownSymbol("There are no stored bars.")
    wanted = pl.col("symbol").is_in([symbol, volatility_symbol]) & pl.col("close").is_not_null()
    known = pl.lit(value=True) if known_by is None else pl.col("known_at") <= known_by
    rows = (
        tables.scan("bars")
        .filter(wanted & known)
        .select("symbol", "session", "close", "known_at")
        .sort("session", "known_at")
        .group_by("symbol", maintain_order=True)
        .last()
        .collect()
    )
    last = {each: (session, close) for each, session, close, _ in rows.iter_rows()}
    if symbol not in last:
        raise UnknownSymbol(f"There are no stored bars of {symbol}.")
    session, close = last[symbol]
    points = last.get(volatility_symbol)
    same = points is not None and points[0] == session and symbol != volatility_symbol
    return MarketState(symbol, close, sessions.close(session), name, points[1] / 100.0 if same and points else None)
