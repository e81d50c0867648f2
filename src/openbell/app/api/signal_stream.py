"""The websocket of signals."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.websockets import WebSocket

from openbell.app.api.listening import Heard, Pushing
from openbell.app.api.problems import Problem
from openbell.app.api.signal_desk import SignalDesk
from openbell.app.api.signal_feed import listener_of
from openbell.app.api.signal_shapes import ListenSignals

router = APIRouter()
MOST_LISTENERS = 200


@router.websocket("/signals/stream")
async def stream(socket: WebSocket) -> None:
    """Push each signal once it is stored, and each step of its life, whichever process wrote it.

    A message is ``{"after": id, "event": {…}, "signal": {…}}``, where `signal` is as it is by now: only an ACTIVE one
    is to be acted on. Who comes again with the last `after` it heard misses nothing, and may hear an event twice.

    The key stands in the header, or in the first message: ``{"key": …, "symbols": […], "after": id}``; with the key
    in the header `symbols` (parted by commas) and `after` stand in the URL. All but the key may be left out. What is
    stored already above the event id `after` comes first. Whoever falls behind by 2,048 events is told and let go.
    """
    await _PUSHING.serve(socket)


def _desk(socket: WebSocket) -> SignalDesk:
    desk: SignalDesk | None = socket.app.state.signals
    if desk is None:
        raise Problem(503, "This service was started without a store of signals.")
    return desk


@contextlib.asynccontextmanager
async def _listening(socket: WebSocket, asked: ListenSignals | None) -> AsyncIterator[Heard]:
    asked = asked or _in_url(socket)
    desk, listener = _desk(socket), listener_of(asked.wanted)
    async with desk.feed.listening(listener) as newest:
        after = desk.feed.settled if asked.after is None else min(asked.after, desk.feed.settled)
        hello = {"listening": sorted(listener.symbols) or "all", "after": after}
        earlier = None if asked.after is None else desk.feed.between(asked.after, newest, listener.symbols)
        yield Heard(listener, hello, earlier)


def _in_url(socket: WebSocket) -> ListenSignals:
    """What the URL asks for, where the key came in the header."""
    told = socket.query_params
    symbols = [each for each in told.get("symbols", "").split(",") if each]
    after = told.get("after")
    if len(symbols) > 100 or any(len(each) > 12 for each in symbols):
        raise Problem(422, "`symbols` are at most 100 of at most 12 characters, parted by commas.")
    if after is not None and not (after.isascii() and after.isdigit() and len(after) <= 18):
        raise Problem(422, "`after` is the id of the last event that was heard, a whole number.")
    return ListenSignals(key="", symbols=symbols, after=None if after is None else int(after))


_PUSHING = Pushing(
    ListenSignals, "events", "signals", lambda: MOST_LISTENERS, lambda at: len(_desk(at).feed.listeners), _listening
)
