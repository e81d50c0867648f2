"""Bars from a websocket: reconnected with growing pauses, read by a thread, handed over as they come."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from openbell.app.stream.bars import Reader
from openbell.app.stream.moments import Batch
from openbell.core.errors import BadInput, DataMissing
from openbell.store.urls import redacted

#: Pauses before the next try to connect, in seconds; the last one is repeated.
PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
#: Messages that wait to be read; a source that is faster than this stream is held back by the socket.
MOST_WAITING = 4_096
_OPEN_SECONDS = 10.0


class WebSocketSource:
    """A client of ``ws://`` or ``wss://`` that sends bars as JSON.

    Parameters
    ----------
    url : address. reader : turns messages into bars. seconds : a clock that only goes forward. told : is handed a
        sentence when the connection is lost and found again.
    """

    name = "ws"
    ended = False

    def __init__(
        self,
        url: str,
        reader: Reader,
        *,
        seconds: Callable[[], float],
        told: Callable[[str], None],
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        if not url.startswith(("ws://", "wss://")):
            raise BadInput(f"The source `ws` needs --url ws://… or wss://…; was {redacted(url)!r}.")
        try:
            from websockets.sync.client import connect
        except ModuleNotFoundError:
            raise DataMissing(
                "The source `ws` needs websockets, which is not installed: `pip install openbell[serve]`."
            ) from None
        self._connect: Any = connect
        self._url, self._reader, self._seconds, self._told, self._pauses = url, reader, seconds, told, pauses
        self._messages: queue.Queue[tuple[float, bytes | str]] = queue.Queue(MOST_WAITING)
        self._over = threading.Event()
        self._socket: Any = None
        self._thread = threading.Thread(target=self._listen, name="websocket bars", daemon=True)
        self._thread.start()

    def resume(self, position: str | None) -> str | None:
        """A websocket tells nothing twice: what came meanwhile is lost, and said to be."""
        if position is None:
            return None
        return f"The bars after {position} that came while the stream was down are lost: a websocket tells them once."

    def read(self, seconds: float) -> Batch | None:
        """Everything that has come; waits where nothing has."""
        try:
            received, message = self._messages.get(timeout=seconds)
        except queue.Empty:
            return None
        messages = [message]
        while len(messages) < MOST_WAITING:
            try:
                received, message = self._messages.get_nowait()
            except queue.Empty:
                break
            messages.append(message)
        bars = self._reader.frame(messages)
        last = bars["at"].max()
        return Batch(bars, received, position=None if last is None else last.isoformat())  # type: ignore[union-attr]

    def close(self) -> None:
        """Leave the server and end the thread."""
        self._over.set()
        socket = self._socket
        if socket is not None:
            socket.close()
        while self._thread.is_alive():
            try:  # whoever waits for room in the queue is let go
                self._messages.get_nowait()
            except queue.Empty:
                self._thread.join(0.05)

    def _listen(self) -> None:
        tries = 0
        while not self._over.is_set():
            try:
                with self._connect(self._url, open_timeout=_OPEN_SECONDS, max_size=2**24) as socket:
                    self._socket = socket
                    if tries:
                        self._told(f"Connected again to {redacted(self._url)} at try {tries}.")
                    tries = 0
                    for message in socket:
                        self._messages.put((self._seconds(), message))
                why = "the server closed it"
            except Exception as failure:  # every way in which a connection can fail ends in another try
                why = f"{type(failure).__name__}: {failure}"
            self._socket = None
            if self._over.is_set():
                return
            pause = self._pauses[min(tries, len(self._pauses) - 1)]
            tries += 1
            self._told(f"The connection to {redacted(self._url)} is lost ({why}); tried again in {pause:g} s.")
            self._over.wait(pause)
