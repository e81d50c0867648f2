"""How many requests a key may make per minute: in Redis for all workers together, in memory for each worker alone."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from limits import RateLimitItemPerMinute
from limits.aio.storage import Storage
from limits.aio.strategies import MovingWindowRateLimiter

from openbell.app.api.problems import Problem
from openbell.app.clock import seconds

#: How long Redis has to answer before the worker's own count is taken.
REDIS_SECONDS = 0.25
WINDOW_SECONDS = 60.0


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
    seconds: Callable[[], float] = seconds
    fallbacks: int = field(default=0, init=False)
    _shared: MovingWindowRateLimiter | None = field(default=None, init=False)
    _own: dict[tuple[str, str], deque[float]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
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
                wait = await self._wait_of_redis(self._shared, kind, key_id, per_minute)
            except Exception:
                self.fallbacks += 1
                wait = self._own_wait(kind, key_id, per_minute)
        else:
            wait = self._own_wait(kind, key_id, per_minute)
        if wait is not None:
            told = max(1, math.ceil(wait))
            raise Problem(
                429,
                f"This key may make {per_minute} requests of this kind per minute, and has made them. "
                f"Ask again in {told} s.",
                headers={"Retry-After": str(told)},
            )

    async def _wait_of_redis(
        self, limiter: MovingWindowRateLimiter, kind: str, key_id: str, per_minute: int
    ) -> float | None:
        """Seconds until the next request would pass; None where this one does."""
        item = RateLimitItemPerMinute(per_minute)
        if await limiter.hit(item, kind, key_id):
            return None
        return float((await limiter.get_window_stats(item, kind, key_id)).reset_time - time.time())

    def _own_wait(self, kind: str, key_id: str, per_minute: int) -> float | None:
        """As `_wait_of_redis`, of this worker alone.

        Not by the library: its storage in memory starts a thread at every request and looks at every key (0.6 ms).
        """
        now = self.seconds()
        made = self._own.setdefault((kind, key_id), deque())
        while made and made[0] <= now - WINDOW_SECONDS:
            made.popleft()
        if len(made) >= per_minute:
            return made[0] + WINDOW_SECONDS - now
        made.append(now)
        return None


def _redis(url: str, password: str | None) -> Storage:
    from limits.aio.storage import RedisStorage

    options: dict[str, Any] = {"socket_timeout": REDIS_SECONDS, "socket_connect_timeout": REDIS_SECONDS}
    if password is not None:
        options["password"] = password
    kind = "async+redis+" if url.startswith("unix://") else "async+"
    return RedisStorage(f"{kind}{url}", implementation="redispy", **options)
