"""What may be forgotten: bytes under a key for some seconds, in memory or in a Redis that all workers share.

A cache never fails a request: a Redis that is gone or slow is a miss, counted, and left alone for a moment. A key must
hold everything that changes the value, which is what `cache_key` is for.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol

from openbell.core.errors import BadInput
from openbell.core.hashing import digest
from openbell.store.urls import redacted
from openbell.store.urls import scheme as scheme_of

CACHES: Mapping[str, str] = MappingProxyType(
    {
        "memory": "memory://",
        "redis": "redis://host:6379/0",
        "rediss": "rediss://host:6379/0",
        "unix": "unix:///run/redis.sock",
    }
)
#: Longest wait for one answer of Redis; a cache that is slower than computing is none.
ANSWER_SECONDS = 0.05
#: How long a Redis that failed is left alone.
PAUSE_SECONDS = 5.0
_PREFIX = "openbell:"


@dataclass(frozen=True, slots=True)
class CacheStats:
    """How often the cache was asked and had it, had it not, failed, and was left alone after a failure."""

    hits: int = 0
    misses: int = 0
    puts: int = 0
    errors: int = 0
    skipped: int = 0


class Cache(Protocol):
    """Bytes by key. Threads may share it; no method raises for the sake of the store behind it."""

    @property
    def stats(self) -> CacheStats:
        """Counts of this process since it was opened; a miss is also counted for an error and while left alone."""
        ...

    def get(self, key: str) -> bytes | None:
        """What was put under `key`, or None."""
        ...

    def put(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """Keep `value` under `key` for `ttl_seconds`; 0 keeps nothing."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


def cache_key(kind: str, **everything: Any) -> str:
    """``kind:`` and the digest of `everything`: name all that changes the value, version of the model included."""
    if not kind or ":" in kind:
        raise BadInput(f"The kind of a cache key must be a word without a colon; was {kind!r}.")
    return f"{kind}:{digest(everything)}"


def open_cache(
    url: str,
    entries: int = 1000,
    *,
    password: str | None = None,
    seconds: Callable[[], float] = time.monotonic,
) -> Cache:
    """The cache at ``memory://`` (at most `entries`, the longest unused leave first) or ``redis://host:port/db``.

    `password` is that of Redis, never part of the URL; `seconds` is a clock that only goes forward. Redis limits its
    own memory. Opening does not connect.
    """
    word = scheme_of(url, CACHES, "cached bytes")
    if word == "memory":
        return MemoryCache(entries, seconds)
    return RedisCache(url, password, seconds)


class _Counted:
    """Counts that threads may add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stats = CacheStats()

    @property
    def stats(self) -> CacheStats:
        with self._lock:
            return self._stats

    def _count(self, *names: str) -> None:
        with self._lock:
            self._stats = replace(self._stats, **{name: getattr(self._stats, name) + 1 for name in names})


class MemoryCache(_Counted):
    """In this process alone."""

    def __init__(self, entries: int, seconds: Callable[[], float]) -> None:
        super().__init__()
        if entries < 1:
            raise BadInput(f"A cache needs room for 1 entry or more; was {entries}.")
        try:
            from cachetools import TLRUCache
        except ModuleNotFoundError:
            raise BadInput(
                "The cache needs cachetools, which is not installed: `pip install openbell[serve]`."
            ) from None
        # An entry is (value, seconds to live); cachetools asks when it ends.
        self._entries: Any = TLRUCache(entries, ttu=lambda _, entry, now: now + entry[1], timer=seconds)
        self._own = threading.Lock()

    def __len__(self) -> int:
        with self._own:
            self._entries.expire()
            return len(self._entries)

    def get(self, key: str) -> bytes | None:
        """What was put under `key`, or None."""
        with self._own:
            found = self._entries.get(key)
        self._count("misses" if found is None else "hits")
        return None if found is None else found[0]

    def put(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """Keep `value` under `key` for `ttl_seconds`; 0 keeps nothing."""
        if _kept(value, ttl_seconds):
            with self._own:
                self._entries[key] = (bytes(value), ttl_seconds)
            self._count("puts")

    def close(self) -> None:
        """Give back what it holds."""
        with self._own:
            self._entries.clear()


class RedisCache(_Counted):
    """In Redis. After a failure it is left alone for `PAUSE_SECONDS`, so that a dead one costs one wait, not many."""

    def __init__(self, url: str, password: str | None, seconds: Callable[[], float]) -> None:
        super().__init__()
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ModuleNotFoundError:
            raise BadInput("Redis needs its client, which is not installed: `pip install openbell[redis]`.") from None
        self._failures = (redis.RedisError, OSError)
        self._seconds = seconds
        self._asleep_until = -math.inf
        try:
            self._client = redis.Redis.from_url(
                url,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 0),  # the client's own ten tries would make a caller wait
                **({} if password is None else {"password": password}),
            )
        except ValueError as failure:
            raise BadInput(
                f"`{redacted(url)}` cannot be read as the URL of Redis: {failure}. Write `{CACHES['redis']}`."
            ) from None

    def get(self, key: str) -> bytes | None:
        """What was put under `key`, or None."""
        found = self._asked(lambda: self._client.get(_PREFIX + key))
        self._count("misses" if found is None else "hits")
        return found if found is None else bytes(found)

    def put(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """Keep `value` under `key` for `ttl_seconds`; 0 keeps nothing."""
        if _kept(value, ttl_seconds):
            lives = max(1, math.floor(ttl_seconds * 1000))
            if self._asked(lambda: self._client.set(_PREFIX + key, value, px=lives)) is not None:
                self._count("puts")

    def close(self) -> None:
        """Give back what it holds."""
        try:
            self._client.close()
        except self._failures:
            self._count("errors")

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """What Redis says; None where it fails, or has failed a moment ago."""
        if self._seconds() < self._asleep_until:
            self._count("skipped")
            return None
        try:
            return ask()
        except self._failures:
            self._asleep_until = self._seconds() + PAUSE_SECONDS
            self._count("errors")
            return None


def _kept(value: bytes, ttl_seconds: float) -> bool:
    """Whether anything is to be kept, of bytes and a time that make sense."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise BadInput(f"A cache keeps bytes; it was given {type(value).__name__}. Encode it, as JSON for example.")
    if not math.isfinite(ttl_seconds) or ttl_seconds < 0:
        raise BadInput(f"`ttl_seconds` must be 0 or more seconds; was {ttl_seconds}.")
    return ttl_seconds > 0
