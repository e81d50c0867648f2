"""Bars from a Redis stream, read on from the last entry whose moment was finished."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openbell.app.stream.bars import Reader
from openbell.app.stream.moments import Batch
from openbell.core.errors import BadInput, DataMissing
from openbell.store.urls import redacted

#: Entries that are read at once.
MOST_ENTRIES = 2_000
#: The field of an entry that holds the JSON of a bar, or of a list of bars.
FIELD = b"bar"
#: How long a Redis that failed is left alone.
PAUSE_SECONDS = 1.0
_BEGINNING = "0-0"


def redis_client(url: str, password: str | None, **options: Any) -> Any:
    """A client of the Redis at `url`; opening does not connect. `password` is never part of a URL."""
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ModuleNotFoundError:
        raise BadInput("Redis needs its client, which is not installed: `pip install openbell[redis]`.") from None
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise BadInput(f"`{redacted(url)}` is no URL of Redis. Write redis://host:6379/0.")
    own = {"retry": Retry(NoBackoff(), 0), **({} if password is None else {"password": password}), **options}
    try:
        return redis.Redis.from_url(url, **own)
    except ValueError as failure:
        raise BadInput(f"`{redacted(url)}` cannot be read as the URL of Redis: {failure}.") from None


def redis_failures() -> tuple[type[Exception], ...]:
    """What a Redis that is gone or slow raises."""
    import redis

    return (redis.RedisError, OSError)


class RedisSource:
    """Entries of a Redis stream whose field ``bar`` holds JSON.

    The place is kept by the reader in its own snapshot, together with what was made of the entries, and not by a
    consumer group of Redis: two places that can disagree would lose or repeat a moment.

    Parameters
    ----------
    stream : key of the stream. start : where a new stream begins: ``0-0`` at the oldest entry, ``$`` at the next one.
    """

    name = "redis"
    ended = False

    def __init__(
        self,
        url: str,
        stream: str,
        reader: Reader,
        *,
        seconds: Callable[[], float],
        pause: Callable[[float], None],
        told: Callable[[str], None],
        password: str | None = None,
        start: str = _BEGINNING,
    ) -> None:
        self._url, self._stream, self._reader, self._told = url, stream, reader, told
        self._seconds, self._pause = seconds, pause
        self._client = redis_client(url, password, socket_timeout=10.0, socket_connect_timeout=5.0)
        self._failures = redis_failures()
        self._position, self._down = start, False

    def resume(self, position: str | None) -> str | None:
        """Go on after the entry `position`; what Redis has trimmed meanwhile is lost, and said to be."""
        if position is None:
            return None
        self._position = position
        try:
            there = self._client.xrange(self._stream, position, position)
        except self._failures as failure:
            raise DataMissing(f"Redis at {redacted(self._url)} cannot be read: {failure}.") from None
        if there or position == _BEGINNING:
            return None
        return (
            f"The entry {position} of {self._stream}, the last one that was finished, is not there any more: entries "
            "after it may have been trimmed before they were read."
        )

    def read(self, seconds: float) -> Batch | None:
        """Everything that was added since, `MOST_ENTRIES` at most; waits where nothing was."""
        try:
            found = self._client.xread({self._stream: self._position}, MOST_ENTRIES, max(1, round(seconds * 1000)))
        except self._failures as failure:
            if not self._down:
                self._told(f"Redis at {redacted(self._url)} cannot be read ({type(failure).__name__}); tried again.")
            self._down = True
            self._pause(min(seconds, PAUSE_SECONDS))
            return None
        if self._down:
            self._told(f"Redis at {redacted(self._url)} is back.")
            self._down = False
        entries = _entries(found)
        if not entries:
            return None
        received, before = self._seconds(), self._position
        self._position = _text(entries[-1][0])
        bars = self._reader.frame(fields.get(FIELD, b"null") for _, fields in entries)
        return Batch(bars, received, before=before, position=self._position)

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()


def _entries(found: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The entries of the one stream that was asked, in both forms in which Redis answers."""
    if not found:
        return []
    if isinstance(found, dict):
        (only,) = found.values()
        return list(only[0]) if only and isinstance(only[0], list) else list(only)
    return list(found[0][1])


def _text(entry: Any) -> str:
    return entry.decode() if isinstance(entry, bytes) else str(entry)
