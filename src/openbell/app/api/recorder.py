"""Group commit: one thread writes whatever waits in one transaction, and tells each caller when its record is kept."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from openbell.core.errors import StorageFailed

#: Records that may wait; where the store cannot keep up, more are refused rather than held for ever.
MOST_WAITING = 10_000
_Kept = tuple[asyncio.AbstractEventLoop, "asyncio.Future[list[Any]]"]


@dataclass
class Recorder:
    """Keeps records by `append`, which returns when they are on disk and keeps all or none.

    `kept` returns only then; where the store fails, it raises and the record is in no log.
    """

    append: Callable[[Sequence[Any]], Sequence[Any]]
    most: int = 256
    commits: int = field(default=0, init=False)
    _queue: queue.Queue[tuple[Sequence[Any], _Kept] | None] = field(init=False)
    _thread: threading.Thread = field(init=False)
    _closed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._queue = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._write, name="prediction-log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Calls whose records wait to be written."""
        return self._queue.qsize()

    async def kept(self, records: Sequence[Any]) -> list[Any]:
        """Come back when `records` are on disk, with what `append` said of each."""
        if self._closed:
            raise StorageFailed("The prediction log is closed: the service is going down. Ask again in a moment.")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[Any]] = loop.create_future()
        try:
            self._queue.put_nowait((records, (loop, done)))
        except queue.Full:
            raise StorageFailed(
                f"{MOST_WAITING:,} predictions wait to be logged; the store does not keep up. Ask again in a moment."
            ) from None
        return await done

    async def close(self) -> None:
        """Write what waits, then end."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._queue.put, None)
        await asyncio.to_thread(self._thread.join)

    def _write(self) -> None:
        while True:
            waiting, last = self._taken()
            if waiting:
                self._commit(waiting)
            if last:
                return

    def _taken(self) -> tuple[list[tuple[Sequence[Any], _Kept]], bool]:
        """Whatever waits, at least one, up to `most` records; and whether it is the end."""
        taken: list[tuple[Sequence[Any], _Kept]] = []
        each = self._queue.get()
        records = 0
        while each is not None:
            taken.append(each)
            records += len(each[0])
            if records >= self.most:
                return taken, False
            try:
                each = self._queue.get_nowait()
            except queue.Empty:
                return taken, False
        return taken, True

    def _commit(self, waiting: Sequence[tuple[Sequence[Any], _Kept]]) -> None:
        try:
            said = list(self.append([record for records, _ in waiting for record in records]))
        except Exception as failure:
            if len(waiting) > 1 and not isinstance(failure, StorageFailed):
                for each in waiting:  # one record that cannot be kept must not cost the others theirs
                    self._commit([each])
                return
            _hand_back([(kept, failure) for _, kept in waiting])
            return
        self.commits += 1
        _hand_back([(kept, [said.pop(0) for _ in records]) for records, kept in waiting])


def _hand_back(told: Sequence[tuple[_Kept, list[Any] | Exception]]) -> None:
    """Tell every caller in its own loop, with one call into each loop."""
    for loop in {kept[0] for kept, _ in told}:
        mine = [(kept[1], what) for kept, what in told if kept[0] is loop]
        # A loop that has ended took everyone who waited with it.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_tell, mine)


def _tell(told: Sequence[tuple[asyncio.Future[list[Any]], list[Any] | Exception]]) -> None:
    for done, what in told:
        if done.done():
            continue
        if isinstance(what, Exception):
            done.set_exception(what)
        else:
            done.set_result(what)
