"""The store of signals of a home, opened once for all threads, and again after it could not be."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.store.signals import Signals


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
