"""The active signals of a symbol, kept for a moment as the bytes of their answer; never past the end of one of them."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from openbell.app.api.metrics import Metrics
from openbell.app.api.ports import Cache
from openbell.store.cache import cache_key
from openbell.store.signal_rows import Stored
from openbell.store.upserts import microseconds

_MARK = 8


@dataclass(frozen=True)
class ActiveSignals:
    """The answer on the active signals of a symbol.

    Attributes
    ----------
    of : names the store, so that two of them may share a cache.
    read : the signals of a symbol that are active at a moment, and the answer that tells them.
    keep_seconds : how long an answer is kept at most; another process may have changed a signal meanwhile.
    """

    of: str
    read: Callable[[str, dt.datetime], tuple[Sequence[Stored], bytes]]
    cache: Cache
    metrics: Metrics
    now: Callable[[], dt.datetime]
    keep_seconds: float
    _changes: Counter[str] = field(default_factory=Counter, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def answer(self, symbol: str) -> bytes:
        """The answer of now; to be called in a thread, since a shared cache and a store are calls over the network."""
        key = cache_key("signals", of=self.of, symbol=symbol)
        kept = self.cache.get(key) if self.keep_seconds > 0 else None
        now = self.now()
        if kept is not None and len(kept) > _MARK and microseconds(now) < int.from_bytes(kept[:_MARK]):
            self.metrics.looked("signals", True)
            return kept[_MARK:]
        self.metrics.looked("signals", False)
        changes = self._changes[symbol]
        found, answer = self.read(symbol, now)
        ends = min([each.signal.expires_at for each in found], default=now + dt.timedelta(days=1))
        lives = min(self.keep_seconds, (ends - now).total_seconds())
        with self._lock:
            if lives > 0 and changes == self._changes[symbol]:  # else it was read before something was changed
                self.cache.put(key, microseconds(ends).to_bytes(_MARK) + answer, lives)
        return answer

    def drop(self, symbol: str) -> None:
        """Forget what is kept of `symbol`, of which something was just changed."""
        with self._lock:
            self._changes[symbol] += 1
            if self.keep_seconds > 0:
                self.cache.put(cache_key("signals", of=self.of, symbol=symbol), b"-", self.keep_seconds)
