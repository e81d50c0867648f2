"""A circuit breaker: a source that keeps failing is left alone for a while, then tried once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from openbell.core.errors import BadInput, DataMissing


class CircuitOpen(DataMissing):
    """The source is left alone for now."""


@dataclass
class CircuitBreaker:
    """Closed while calls succeed; open for `open_seconds` after `failures` in a row; then one probe decides.

    pybreaker holds a lock around a call and keeps its state in a clock of its own; this one is told the time, so that
    it is tested without waiting, and lets exactly one probe through at once, however many callers wait.

    Parameters
    ----------
    name : of what it guards, for the sentence. failures : in a row that open it. open_seconds : how long it stays open.
    seconds : a clock that only goes forward.
    """

    name: str
    failures: int
    open_seconds: float
    seconds: Callable[[], float]
    _failed: int = field(default=0, init=False)
    _opened: float | None = field(default=None, init=False)
    _probing: bool = field(default=False, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.failures < 1 or not self.open_seconds > 0:
            raise BadInput(
                "A circuit breaker needs 1 failure or more and some seconds above 0; "
                f"was {self.failures} and {self.open_seconds}."
            )

    @property
    def state(self) -> str:
        """``closed``, ``open``, or ``half-open`` when the next call is the probe."""
        with self._lock:
            if self._opened is None:
                return "closed"
            return "open" if self._left() > 0 or self._probing else "half-open"

    def admit(self) -> None:
        """Let a call through, or say for how long none is; every admitted call must end in one of the three below."""
        with self._lock:
            if self._opened is None:
                return
            if self._left() > 0:
                raise CircuitOpen(
                    f"{self.name} failed {self._failed} times in a row and is left alone for another "
                    f"{self._left():.0f} s."
                )
            if self._probing:
                raise CircuitOpen(f"{self.name} is being tried again; until that has an answer it is left alone.")
            self._probing = True

    def succeeded(self) -> None:
        """The call answered: all is forgiven."""
        with self._lock:
            self._failed, self._opened, self._probing = 0, None, False

    def failed(self) -> None:
        """The call failed; a failed probe opens it for the whole time again."""
        with self._lock:
            self._failed += 1
            if self._failed >= self.failures:
                self._opened = self.seconds()
            self._probing = False

    def abandoned(self) -> None:
        """The caller went away before there was an answer: it says nothing about the source."""
        with self._lock:
            self._probing = False

    def _left(self) -> float:
        return 0.0 if self._opened is None else self._opened + self.open_seconds - self.seconds()
