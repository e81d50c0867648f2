"""Whether each part can do its work, and the figures that only the log can tell."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openbell.app.api.metrics import Metrics
from openbell.core.errors import OpenbellError

#: The log is asked for its figures once in so many seconds, however often the metrics are read.
FIGURES_SECONDS = 60.0


@dataclass
class Checks:
    """`log_reached` and `gate` raise where these cannot be reached; `figures` bring the log's metrics up to date.

    `lacks` tell of each desk ``ok``, or what it lacks: one that lacks something does not keep the other from answering.
    """

    metrics: Metrics
    log_reached: Callable[[], object]
    caches: Mapping[str, Any]
    seconds: Callable[[], float]
    gate: Callable[[], object]
    figures: Sequence[Callable[[Metrics], None]] = ()
    lacks: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    stopping: bool = False
    _started: float = field(init=False)
    _figured: float | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._started = self.seconds()

    async def needed(self) -> dict[str, str]:
        """What an answer needs: each part with ``ok``, or what is wrong with it."""
        return {
            "models": _state(self.gate),
            "log": await asyncio.to_thread(_state, self.log_reached),
            "service": "going down" if self.stopping else "ok",
        }

    async def parts(self) -> dict[str, str]:
        """Each desk with ``ok``, or what it lacks."""
        return {name: await asyncio.to_thread(_said, lack) for name, lack in self.lacks.items()}

    def cache(self) -> dict[str, Any]:
        """How often each cache was asked and had it."""
        return {name: dataclasses.asdict(each.stats) for name, each in self.caches.items() if hasattr(each, "stats")}

    def uptime_seconds(self) -> float:
        """Since it was made."""
        return self.seconds() - self._started

    def metrics_text(self) -> bytes:
        """Every metric, those of the log included where it can be read."""
        with self._lock:
            now = self.seconds()
            if self._figured is None or now - self._figured >= FIGURES_SECONDS:
                self._figured = now
                for figure in self.figures:
                    self._figure(figure)
        return self.metrics.text()

    def _figure(self, figure: Callable[[Metrics], None]) -> None:
        try:
            figure(self.metrics)
        except OpenbellError:
            self.metrics.unread.inc()  # the other metrics are told all the same


def _state(reach: Callable[[], object]) -> str:
    try:
        reach()
    except OpenbellError as failure:
        return f"cannot be reached: {failure}"
    return "ok"


def _said(lack: Callable[[], str]) -> str:
    try:
        return lack()
    except OpenbellError as failure:
        return f"cannot be reached: {failure}"
