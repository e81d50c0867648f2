"""The store of signals of a home in a service: opened once for all threads, and tidied beside the answers."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from openbell.core.errors import OpenbellError

if TYPE_CHECKING:
    from openbell.app.api.ports import SignalStore
    from openbell.app.home import Home
    from openbell.research.signal_analytics import Analytics
    from openbell.store.signal_pages import Which
    from openbell.store.signals import Signals

#: How often it is looked for signals whose time is over, and how often the archive is filled.
LOOK_SECONDS, ARCHIVE_SECONDS = 1.0, 3_600.0
_log = structlog.get_logger()


@dataclass(eq=False)
class LiveSignals:
    """`home.signals` for a service: it starts also where the store cannot be reached yet."""

    home: Home
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def store(self) -> Signals:
        """The store; where it cannot be opened the error of the database, and the next call tries anew."""
        if "signals" not in vars(self.home):
            with self._lock:
                return self.home.signals
        return self.home.signals

    def close(self) -> None:
        """Give its connections back, where it was opened."""
        if "signals" in vars(self.home):
            self.home.signals.close()


def worth(store: SignalStore, which: Which, as_of: dt.datetime) -> Analytics:
    """What the signals of `which` came to, as far as it was known by `as_of`, with what happened to them."""
    from openbell.research.signal_analytics import analytics

    return analytics(store.table(which), store.events_table(), as_of=as_of)


def warm() -> None:
    """Load what intervals are resampled with: some seconds that the first who asks for analytics need not wait."""
    import arch.bootstrap  # noqa: F401


@dataclass(eq=False)
class SignalUpkeep:
    """Ends what is past its time and archives what ended `archive_days` ago. `now` and `seconds` are the clocks.

    With the first signals it also makes ready to tell what they are worth.
    """

    store: Callable[[], Signals]
    now: Callable[[], dt.datetime]
    seconds: Callable[[], float]
    archive_days: float
    look_seconds: float = LOOK_SECONDS
    _archived: float | None = field(default=None, init=False)
    _warm: bool = field(default=False, init=False)

    async def keep(self) -> None:
        """Do it until cancelled; a failure is told, and it is tried again."""
        while True:
            await asyncio.sleep(self.look_seconds)
            try:
                await asyncio.to_thread(self.look)
            except OpenbellError as failure:
                _log.error("signals not tidied", why=str(failure))
            except Exception as failure:
                _log.error("signals not tidied", exc_info=failure)

    def look(self) -> None:
        """Do it once; no lock is taken where nothing is over."""
        from openbell.store.signal_tail import any_over, newest_event

        store, at = self.store(), self.now()
        if not self._warm and newest_event(store.database):
            self._warm = True
            warm()
        if any_over(store.database, at):
            store.expire(at)
        if self._archived is None or self.seconds() - self._archived >= ARCHIVE_SECONDS:
            store.archive(at - dt.timedelta(days=self.archive_days))
            self._archived = self.seconds()
