"""The websocket of verdicts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.websockets import WebSocket

from openbell.app.api.feed import Feed, Listener
from openbell.app.api.listening import Heard, Pushing
from openbell.app.api.schemas import ListenRequest

router = APIRouter()
MOST_LISTENERS = 200


@router.websocket("/verdicts")
async def verdicts(socket: WebSocket) -> None:
    """Push each verdict as JSON once it is on record.

    The key stands in the header, or in the first message: ``{"key": …, "symbols": […]}``, where `symbols` may be left
    out. Whoever falls behind by 256 verdicts is told so and let go.
    """
    await _PUSHING.serve(socket)


def _feed(socket: WebSocket) -> Feed:
    feed: Feed = socket.app.state.service.feed
    return feed


@contextlib.asynccontextmanager
async def _listening(socket: WebSocket, asked: ListenRequest | None) -> AsyncIterator[Heard]:
    listener = Listener(frozenset() if asked is None else asked.wanted)
    with _feed(socket).listening(listener):
        yield Heard(listener, {"listening": sorted(listener.symbols) or "all"})


_PUSHING = Pushing(
    ListenRequest, "verdicts", "predict", lambda: MOST_LISTENERS, lambda at: len(_feed(at).listeners), _listening
)
