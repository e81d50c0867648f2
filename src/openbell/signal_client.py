"""What the clients of `openbell.client` ask about signals; whatever fails is a `ServiceError`, so nothing is acted on.

>>> async with PredictionClient({"api_url": "http://127.0.0.1:8000"}) as service:        # doctest: +SKIP
...     for signal in (await service.active_signals("SPY"))["signals"]:
...         await service.signal_executed(signal["id"])  # before the order: an expired or cancelled one is refused here
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

_Answer = dict[str, Any]


class SignalCalls(ABC):
    """The endpoints under ``/signals``; their answers are the service's own, as `/openapi.json` describes them."""

    @abstractmethod
    async def _told(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, params: Mapping[str, Any] | None = None
    ) -> _Answer:
        """What the service answers, within the client's time."""

    async def signals(self, **filters: Any) -> _Answer:
        """A page of ``signals``, newest first, and the ``cursor`` of the next, None after the last.

        `filters` are ``symbol, type, status, model_version, first, last, min_confidence, limit, cursor``; moments with
        their zone. An unknown one is refused by the service.
        """
        return await self._told("GET", "/signals", params=_written(filters))

    async def signal(self, id: int) -> _Answer:
        """One signal with its features, what it was made of and its audit."""
        return await self._told("GET", f"/signals/{int(id)}")

    async def active_signals(self, symbol: str) -> _Answer:
        """The ``signals`` of a symbol that are active at ``as_of``."""
        return await self._told("GET", f"/signals/active/{quote(symbol, safe='')}")

    async def signal_analytics(self, **filters: Any) -> _Answer:
        """What signals were worth, by ``by``: symbol, band, regime, age, model or call; filters as of `signals`."""
        return await self._told("GET", "/signals/analytics", params=_written(filters))

    async def signal_executed(self, id: int, *, by: str | None = None) -> _Answer:
        """Say that a signal is acted on, before doing so; one that is not active any more is refused by `status` 409.

        Of all who call this for a signal one is answered; tries of this call that were not are repeated as one act.
        """
        body = {"word": uuid.uuid4().hex} | ({} if by is None else {"by": by})
        return await self._told("POST", f"/signals/{int(id)}/executed", body)

    async def cancel_signal(self, id: int, why: str, *, by: str | None = None) -> _Answer:
        """Say that a signal is not to be acted on, and why."""
        return await self._told("POST", f"/signals/{int(id)}/cancel", {"why": why} | ({} if by is None else {"by": by}))


class SyncSignalCalls(ABC):
    """`SignalCalls` for code without an event loop."""

    _client: SignalCalls

    @abstractmethod
    def _wait(self, call: Coroutine[Any, Any, Any]) -> Any:
        """What `call` comes back with."""

    def signals(self, **filters: Any) -> _Answer:
        """`SignalCalls.signals`."""
        return self._answer(self._client.signals(**filters))

    def signal(self, id: int) -> _Answer:
        """`SignalCalls.signal`."""
        return self._answer(self._client.signal(id))

    def active_signals(self, symbol: str) -> _Answer:
        """`SignalCalls.active_signals`."""
        return self._answer(self._client.active_signals(symbol))

    def signal_analytics(self, **filters: Any) -> _Answer:
        """`SignalCalls.signal_analytics`."""
        return self._answer(self._client.signal_analytics(**filters))

    def signal_executed(self, id: int, *, by: str | None = None) -> _Answer:
        """`SignalCalls.signal_executed`."""
        return self._answer(self._client.signal_executed(id, by=by))

    def cancel_signal(self, id: int, why: str, *, by: str | None = None) -> _Answer:
        """`SignalCalls.cancel_signal`."""
        return self._answer(self._client.cancel_signal(id, why, by=by))

    def _answer(self, call: Coroutine[Any, Any, _Answer]) -> _Answer:
        found: _Answer = self._wait(call)
        return found


def _written(filters: Mapping[str, Any]) -> dict[str, Any]:
    """`filters` as a URL has them; those that are None are left out."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in filters.items()
        if value is not None
    }
