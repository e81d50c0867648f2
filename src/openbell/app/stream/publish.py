"""Signals for others: entries of a Redis stream, and lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from openbell.app.stream.redis_source import redis_client, redis_failures
from openbell.core.errors import DataMissing
from openbell.core.signal import CALLS, Signal
from openbell.market.circuit_breaker import CircuitBreaker

#: Entries that the stream of signals keeps, about.
MOST_ENTRIES = 10_000
#: Longest wait for Redis: a signal is in the store already, and the next moment comes.
_ANSWER_SECONDS = 0.5
_FAILURES, _PAUSE_SECONDS = 3, 5.0


def signal_json(signal: Signal, **beside: Any) -> dict[str, Any]:
    """A signal for a program; `features` stay in the store."""
    return {
        "key": signal.key,
        "symbol": signal.symbol,
        "call": signal.call.value,
        "confidence": signal.confidence,
        "probabilities": dict(zip((call.value for call in CALLS), signal.probabilities, strict=True)),
        "price": signal.price,
        "target_price": signal.target_price,
        "stop_loss": signal.stop_loss,
        "position_size": signal.position_size,
        "created_at": signal.created_at.isoformat(),
        "expires_at": signal.expires_at.isoformat(),
        "model_version": signal.model_version,
        "missing": list(signal.missing),
        "reasoning": list(signal.reasoning),
        **beside,
    }


class RedisPublisher:
    """Adds signals to a Redis stream that keeps about `most` of them. One that is down costs no signal: it is counted.

    Whoever reads it may see a signal twice after a restart; `key` is the same then.
    """

    def __init__(
        self,
        url: str,
        stream: str,
        *,
        seconds: Callable[[], float],
        password: str | None = None,
        most: int = MOST_ENTRIES,
    ) -> None:
        self._stream, self._most = stream, most
        self._client = redis_client(
            url, password, socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_ANSWER_SECONDS
        )
        self._failures = redis_failures()
        self._breaker = CircuitBreaker("The Redis of the signals", _FAILURES, _PAUSE_SECONDS, seconds)

    def publish(self, told: Sequence[dict[str, Any]]) -> str | None:
        """Add `told`, all or none; a sentence where that failed."""
        try:
            self._breaker.admit()
        except DataMissing as left_alone:
            return str(left_alone)
        pipe = self._client.pipeline(transaction=True)
        for each in told:
            fields = {"key": each["key"], "symbol": each["symbol"], "call": each["call"], "signal": json.dumps(each)}
            pipe.xadd(self._stream, fields, maxlen=self._most, approximate=True)
        try:
            pipe.execute()
        except self._failures as failure:
            self._breaker.failed()
            return f"Redis did not take the signals ({type(failure).__name__}: {failure})."
        self._breaker.succeeded()
        return None

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()
