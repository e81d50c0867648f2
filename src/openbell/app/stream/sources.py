"""Where bars come from: what every source can do, and the one that plays stored bars again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Protocol

import polars as pl

from openbell.app.stream.bars import schema_of
from openbell.app.stream.moments import Batch
from openbell.core.errors import BadInput


class Source(Protocol):
    """Bars, in the order in which they come."""

    @property
    def name(self) -> str:
        """``replay``, ``ws`` or ``redis``."""
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more."""
        ...

    def read(self, seconds: float) -> Batch | None:
        """What has come, waiting `seconds` at most; None where nothing came."""
        ...

    def resume(self, position: str | None) -> str | None:
        """Go on after `position`, where the stream stood; a sentence where bars in between are lost."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class Replay:
    """Stored bars in the order of their moments.

    Parameters
    ----------
    bars : columns of `bars.schema_of`, any order. speed : so many times faster than they were; 0 as fast as possible.
    seconds : a clock that only goes forward. pause : waits so many seconds.
    """

    name = "replay"

    def __init__(
        self,
        bars: pl.DataFrame,
        base: str,
        speed: float,
        *,
        seconds: Callable[[], float],
        pause: Callable[[float], None],
    ) -> None:
        if not speed >= 0:
            raise BadInput(f"The speed of a replay is 0 (as fast as possible) or more; was {speed}.")
        self._bars = (
            bars.select(list(schema_of(base))).cast(dict(schema_of(base))).sort("at", "symbol", maintain_order=True)
        )
        self._speed, self._seconds, self._pause = speed, seconds, pause
        self._began: tuple[dt.datetime, float] | None = None
        self._rest = self._moments(None)
        self._next = next(self._rest, None)

    @property
    def ended(self) -> bool:
        """Whether the last moment was handed over."""
        return self._next is None

    def resume(self, position: str | None) -> str | None:
        """Go on after the moment `position`; nothing is lost."""
        self._rest = self._moments(None if position is None else dt.datetime.fromisoformat(position))
        self._next = next(self._rest, None)
        return None

    def read(self, seconds: float) -> Batch | None:
        """The next moment, once its time has come."""
        if self._next is None:
            return None
        at, bars = self._next
        left = self._left(at)
        if left > seconds:
            self._pause(seconds)
            return None
        if left > 0:
            self._pause(left)
        self._next = next(self._rest, None)
        return Batch(bars, self._seconds(), position=at.isoformat(), whole=True)

    def close(self) -> None:
        """Nothing is held."""

    def _left(self, at: dt.datetime) -> float:
        """Seconds until it is the turn of the moment `at`."""
        if self._speed == 0:
            return 0.0
        if self._began is None:
            self._began = (at, self._seconds())
        first, since = self._began
        return (at - first).total_seconds() / self._speed - (self._seconds() - since)

    def _moments(self, after: dt.datetime | None) -> Iterator[tuple[dt.datetime, pl.DataFrame]]:
        rows = self._bars if after is None else self._bars.filter(pl.col("at") > after)
        ends = rows["at"].rle_id()
        starts = ends.arg_unique().to_list()
        for start, end in zip(starts, [*starts[1:], rows.height], strict=True):
            bars = rows[start:end]
            yield bars["at"][0], bars
