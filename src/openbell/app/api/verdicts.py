"""The websocket of verdicts: the key in a header or the first message, never in the URL; nobody waits for the slow."""

from __future__ import annotations

import asyncio
import contextlib

import orjson
from fastapi import APIRouter
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from openbell.app.api.door import token_of
from openbell.app.api.feed import MOST_WAITING, Listener
from openbell.app.api.problems import Problem, of_error
from openbell.app.api.schemas import ListenRequest
from openbell.app.api.service import Service
from openbell.core.errors import OpenbellError

router = APIRouter()
#: Close codes of RFC 6455: a policy was broken, the server is going away, try again later.
REFUSED, GOING_AWAY, LATER = 1008, 1001, 1013
FIRST_MESSAGE_SECONDS = 5.0
#: How often a connection that stays open shows its key again.
LOOK_AGAIN_SECONDS = 5.0
MOST_LISTENERS = 200
_LONGEST_MESSAGE = 4_096


@router.websocket("/verdicts")
async def verdicts(socket: WebSocket) -> None:
    """Push each verdict as JSON once it is on record.

    The key stands in the header, or in the first message: ``{"key": …, "symbols": […]}``, where `symbols` may be left
    out. Whoever falls behind by 256 verdicts is told so and let go.
    """
    service: Service = socket.app.state.service
    await socket.accept()
    token = token_of(socket.headers)
    try:
        symbols: frozenset[str] = frozenset()
        if token is None:
            token, symbols = await _first_message(socket)
        caller = await service.door.caller(token, "read")
        await service.door.count(caller, "predict")
        if len(service.feed.listeners) >= MOST_LISTENERS:
            raise Problem(503, f"{MOST_LISTENERS} listen already to this worker. Come again later.")
    except (Problem, OpenbellError) as refusal:
        problem = refusal if isinstance(refusal, Problem) else of_error(refusal)
        await _say_goodbye(socket, LATER if problem.status in (429, 503) else REFUSED, problem.detail)
        return
    except (WebSocketDisconnect, TimeoutError):
        await _say_goodbye(socket, REFUSED, "There was no key.")
        return
    assert token is not None
    await _serve(socket, service, token, Listener(symbols))


async def _first_message(socket: WebSocket) -> tuple[str | None, frozenset[str]]:
    async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
        message = await socket.receive()
    if message["type"] != "websocket.receive":
        raise WebSocketDisconnect(message.get("code", 1000))
    text = message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")
    if len(text) > _LONGEST_MESSAGE:
        raise Problem(413, f"The first message has {len(text)} characters; it is the key, and symbols.")
    try:
        asked = ListenRequest.model_validate_json(text)
    except ValidationError:
        raise Problem(401, 'The first message must be {"key": …}, and may name "symbols".') from None
    return asked.key, frozenset(symbol.upper() for symbol in asked.symbols)


async def _serve(socket: WebSocket, service: Service, token: str, listener: Listener) -> None:
    """Push until the listener leaves, falls behind, or its key is revoked."""
    with service.feed.listening(listener):
        await _send(socket, {"listening": sorted(listener.symbols) or "all"})
        jobs = {
            asyncio.ensure_future(job)
            for job in (_push(socket, listener), _left(socket), _revoked(service, token), listener.behind.wait())
        }
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.wait(jobs)  # not gather: it would give a cancellation from outside another name
    if listener.behind.is_set():
        await _say_goodbye(
            socket, LATER, f"More than {MOST_WAITING} verdicts waited for you; those after were not sent. Come again."
        )
        return
    said = next((job.result() for job in done if not job.cancelled() and job.exception() is None), None)
    if isinstance(said, str):
        await _say_goodbye(socket, REFUSED, said)


async def _push(socket: WebSocket, listener: Listener) -> None:
    while True:
        told = await listener.waiting.get()
        await socket.send_text(told.decode())


async def _left(socket: WebSocket) -> None:
    """Come back when the other side has left; what it says meanwhile is not read."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        continue


async def _revoked(service: Service, token: str) -> str:
    """Come back when the key is none any more, with the sentence."""
    while True:
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        try:
            await service.door.caller(token, "read")
        except Problem as refusal:
            return refusal.detail
        except OpenbellError:
            continue  # whose key cannot be looked up now was let in before


async def _send(socket: WebSocket, told: object) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_text(orjson.dumps(told).decode())


async def _say_goodbye(socket: WebSocket, code: int, why: str) -> None:
    """Say why, then close; a close frame alone holds 123 bytes."""
    await _send(socket, {"closed": why})
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.close(code, why.encode()[:120].decode("utf-8", "ignore"))
