"""How many requests a key may make per minute: in Redis for all workers together, in memory for each worker alone."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter

from openbell.app.api.problems import Problem

#: How long Redis has to answer before the worker's own count is taken.
REDIS_SECONDS = 0.25


@dataclass
class RateLimiter:
    """A moving window of a minute for each key and kind of request.

    Where Redis does not answer, or there is none, each worker counts by itself: nobody is refused below the limit, and
    a key may make as many requests with each of the `workers`. `fallbacks` counts those that Redis did not count.

    Attributes
    ----------
    shared : whether all workers count together.
    """

    url: str
    workers: int = 1
    password: str | None = field(default=None, repr=False)
    fallbacks: int = field(default=0, init=False)
    _shared: MovingWindowRateLimiter | None = field(default=None, init=False)
    _own: MovingWindowRateLimiter = field(init=False)

    def __post_init__(self) -> None:
        self._own = MovingWindowRateLimiter(MemoryStorage())
        if self.url.startswith(("redis://", "rediss://", "unix://")):
            self._shared = MovingWindowRateLimiter(_redis(self.url, self.password))

    @property
    def shared(self) -> bool:
        """Whether all workers count together."""
        return self._shared is not None

    def told(self) -> str:
        """What the limits hold for, in a sentence."""
        if self.shared:
            return "Rate limits are counted in Redis, for all workers together."
        if self.workers == 1:
            return "Rate limits are counted in memory, by the one worker."
        return (
            f"Rate limits are counted in memory by each of {self.workers} workers alone, so a key may make up to "
            f"{self.workers} times as many requests; set `serve.cache` to a redis:// URL to count together."
        )

    async def hit(self, kind: str, key_id: str, per_minute: int) -> None:
        """Count one request; one too many is a `Problem` 429 that says when to come again."""
        if self._shared is not None:
            try:
                await self._take(self._shared, RateLimitItemPerMinute(per_minute), kind, key_id)
                return
            except Problem:
                raise
            except Exception:
                self.fallbacks += 1
        await self._take(self._own, RateLimitItemPerMinute(per_minute), kind, key_id)

    async def _take(self, limiter: MovingWindowRateLimiter, item: RateLimitItem, kind: str, key_id: str) -> None:
        if await limiter.hit(item, kind, key_id):
            return
        window = await limiter.get_window_stats(item, kind, key_id)
        wait = max(1, math.ceil(window.reset_time - time.time()))
        raise Problem(
            429,
            f"This key may make {item.amount} requests of this kind per minute, and has made them. "
            f"Ask again in {wait} s.",
            headers={"Retry-After": str(wait)},
        )


def _redis(url: str, password: str | None) -> Storage:
    from limits.aio.storage import RedisStorage

    options: dict[str, Any] = {"socket_timeout": REDIS_SECONDS, "socket_connect_timeout": REDIS_SECONDS}
    if password is not None:
        options["password"] = password
    kind = "async+redis+" if url.startswith("unix://") else "async+"
    return RedisStorage(f"{kind}{url}", implementation="redispy", **options)
