"""An open-loop HTTP client in one process: each request has its moment, and its latency counts from that moment.

A request whose moment comes while every connection is busy waits its turn, and the wait is part of its latency, so a
service that stalls cannot slow the questions down and look good (coordinated omission).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import httptools
import numpy as np

#: How long after the last moment answers are waited for.
PATIENCE_SECONDS = 15.0


@dataclass(eq=False)
class Sent:
    """What became of every request: `status` 0 where no answer came, times in seconds from the start of the run."""

    due: np.ndarray
    sent: np.ndarray
    done: np.ndarray
    status: np.ndarray
    content: list[bytes]

    @classmethod
    def of(cls, due: np.ndarray) -> Sent:
        """Nothing yet."""
        nothing = np.full(len(due), np.nan)
        return cls(due, nothing.copy(), nothing.copy(), np.zeros(len(due), dtype=int), [b""] * len(due))

    @property
    def latency_ms(self) -> np.ndarray:
        """From the moment a request was due to the last byte of its answer, of those that were answered."""
        return 1_000.0 * (self.done - self.due)[self.status > 0]

    @property
    def late_ms(self) -> np.ndarray:
        """How late this client itself sent, waits for a connection included."""
        return 1_000.0 * (self.sent - self.due)[self.status > 0]

    @property
    def reached_per_s(self) -> float:
        """Answers per second from the first moment to the last answer."""
        there = self.status > 0
        return float(there.sum() / (self.done[there].max() - self.due[0])) if there.any() else 0.0


@dataclass(eq=False)
class _Connection(asyncio.Protocol):
    """One connection that is kept open; one request at a time."""

    pool: _Pool
    place: int = -1
    content: bytearray = field(default_factory=bytearray)
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, place: int, request: bytes) -> None:
        assert self.transport is not None
        self.place, self.content = place, bytearray()
        self.parser = httptools.HttpResponseParser(self)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.content += body

    def on_message_complete(self) -> None:
        self.pool.answered(self, self.parser.get_status_code(), bytes(self.content))

    def connection_lost(self, failure: Exception | None) -> None:
        self.pool.lost(self)


@dataclass(eq=False)
class _Pool:
    """Connections, and the requests that wait for one."""

    host: str
    port: int
    requests: Sequence[bytes]
    told: Sent
    began: float = 0.0
    idle: deque[_Connection] = field(default_factory=deque)
    waiting: deque[int] = field(default_factory=deque)
    left: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self) -> None:
        _, made = await asyncio.get_running_loop().create_connection(lambda: _Connection(self), self.host, self.port)
        self._free(made)

    def ask(self, place: int) -> None:
        if self.idle:
            self._send(self.idle.popleft(), place)
        else:
            self.waiting.append(place)

    def answered(self, connection: _Connection, status: int, content: bytes) -> None:
        place, connection.place = connection.place, -1
        self.told.done[place] = time.perf_counter() - self.began
        self.told.status[place], self.told.content[place] = status, content
        self._ended()
        self._free(connection)

    def lost(self, connection: _Connection) -> None:
        """A request on it stays without an answer; it is never asked twice."""
        if connection in self.idle:
            self.idle.remove(connection)
        if connection.place >= 0:
            self._ended()
        if self.left > 0:
            task = asyncio.get_running_loop().create_task(self._open_again())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _open_again(self) -> None:
        while self.left > 0:
            try:
                return await self.open()
            except OSError:
                await asyncio.sleep(0.05)
        return None

    def _free(self, connection: _Connection) -> None:
        if self.waiting:
            self._send(connection, self.waiting.popleft())
        else:
            self.idle.append(connection)

    def _send(self, connection: _Connection, place: int) -> None:
        self.told.sent[place] = time.perf_counter() - self.began
        connection.ask(place, self.requests[place])

    def _ended(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.ended.set()


def post(path: str, body: bytes, key: str) -> bytes:
    """A request as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def even(rate: float, count: int) -> np.ndarray:
    """The moments of `count` requests, seconds."""
    return np.arange(count) / rate


async def driven(host: str, port: int, requests: Sequence[bytes], due: np.ndarray, connections: int = 32) -> Sent:
    """Send each of `requests` at its moment `due` (seconds from the start) and wait for the answers."""
    pool = _Pool(host, port, requests, Sent.of(due), left=len(requests))
    for _ in range(connections):
        await pool.open()
        await asyncio.sleep(0.01)  # one by one, so that the workers share them
    pool.began = time.perf_counter() + 0.05
    for place in range(len(due)):
        wait = pool.began + due[place] - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        pool.ask(place)
    try:
        await asyncio.wait_for(pool.ended.wait(), PATIENCE_SECONDS)
    except TimeoutError:
        pool.left = 0
    for each in list(pool.idle):
        assert each.transport is not None
        each.transport.close()
    return pool.told
