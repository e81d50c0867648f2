"""A websocket that pushes: the key in a header or the first message, never in the URL; nobody waits for the slow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from openbell.app.api.door import token_of
from openbell.app.api.feed import Listener
from openbell.app.api.problems import Problem, of_error
from openbell.app.api.schemas import Listening
from openbell.app.api.service import Service
from openbell.core.errors import OpenbellError

#: Close codes of RFC 6455: a policy was broken, the server is going away, try again later.
REFUSED, GOING_AWAY, LATER = 1008, 1001, 1013
FIRST_MESSAGE_SECONDS = 5.0
#: How often a connection that stays open shows its key again.
LOOK_AGAIN_SECONDS = 5.0
_LONGEST_MESSAGE = 4_096
A = TypeVar("A", bound=Listening)
#: A close code, and why.
Goodbye = tuple[int, str]


@dataclass(frozen=True)
class Heard:
    """One who is let in: what it hears from now on, what is told it first, and what was said before it came."""

    listener: Listener
    hello: dict[str, Any]
    earlier: AsyncIterator[bytes] | None = None


@dataclass(frozen=True)
class Pushing(Generic[A]):
    """How one websocket pushes.

    `asked` is the model of the first message and `said` names what is pushed. `kind` is what its request counts as.
    `listeners` counts those who listen to this worker, of whom there are `most`. `listening` lets one hear, given
    its first message, None where the key came in the header.
    """

    asked: type[A]
    said: str
    kind: str
    most: Callable[[], int]
    listeners: Callable[[WebSocket], int]
    listening: Callable[[WebSocket, A | None], AbstractAsyncContextManager[Heard]]

    async def serve(self, socket: WebSocket) -> None:
        """Let the other side in and push until it leaves, falls behind, or its key is revoked."""
        service: Service = socket.app.state.service
        await socket.accept()
        async with contextlib.AsyncExitStack() as until_it_leaves:
            try:
                token, asked = await self._admitted(socket, service)
                heard = await until_it_leaves.enter_async_context(self.listening(socket, asked))
            except (Problem, OpenbellError) as refusal:
                problem = refusal if isinstance(refusal, Problem) else of_error(refusal)
                await _say_goodbye(socket, LATER if problem.status in (429, 503) else REFUSED, problem.detail)
                return
            except (WebSocketDisconnect, TimeoutError):
                await _say_goodbye(socket, REFUSED, "There was no key.")
                return
            await _send(socket, heard.hello)
            said = await _first_end(socket, service, token, heard)
        await self._part(socket, heard.listener, said)

    async def _admitted(self, socket: WebSocket, service: Service) -> tuple[str, A | None]:
        token, asked = token_of(socket.headers), None
        if token is None:
            asked = await self._first_message(socket)
            token = asked.key
        caller = await service.door.caller(token, "read")
        await service.door.count(caller, self.kind)
        if self.listeners(socket) >= self.most():
            raise Problem(503, f"{self.most()} listen already to this worker. Come again later.")
        return token, asked

    async def _first_message(self, socket: WebSocket) -> A:
        async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
            message = await socket.receive()
        if message["type"] != "websocket.receive":
            raise WebSocketDisconnect(message.get("code", 1000))
        text = message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")
        names = " and ".join(f'"{name}"' for name in self.asked.model_fields if name != "key")
        if len(text) > _LONGEST_MESSAGE:
            raise Problem(413, f"The first message has {len(text)} characters; it is the key, {names}.")
        try:
            return self.asked.model_validate_json(text)
        except ValidationError:
            raise Problem(401, f'The first message must be {{"key": …}}, and may name {names}.') from None

    async def _part(self, socket: WebSocket, listener: Listener, said: Goodbye | None) -> None:
        if listener.behind.is_set():
            most = listener.waiting.maxsize
            why = f"More than {most} {self.said} waited for you; those after were not sent. Come again."
            await _say_goodbye(socket, LATER, why)
        elif said is not None:
            await _say_goodbye(socket, *said)


async def _first_end(socket: WebSocket, service: Service, token: str, heard: Heard) -> Goodbye | None:
    """What is to be said at the first of its ends; None where it left or fell behind."""
    ends: tuple[Coroutine[Any, Any, Any], ...] = (
        _push(socket, heard),
        _left(socket),
        _revoked(service, token),
        heard.listener.behind.wait(),
    )
    jobs = {asyncio.ensure_future(job) for job in ends}
    try:
        done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.wait(jobs)  # not gather: it would give a cancellation from outside another name
    said = (job.result() for job in done if not job.cancelled() and job.exception() is None)
    return next((each for each in said if isinstance(each, tuple)), None)


async def _push(socket: WebSocket, heard: Heard) -> Goodbye:
    """Send what was said before, then whatever comes; back only where what was said before cannot be read."""
    if heard.earlier is not None:
        try:
            async for told in heard.earlier:
                await socket.send_text(told.decode())
        except OpenbellError as failure:
            return LATER, str(failure)
    while True:
        told = await heard.listener.waiting.get()
        await socket.send_text(told.decode())


async def _left(socket: WebSocket) -> None:
    """Come back when the other side has left; what it says meanwhile is not read."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        continue


async def _revoked(service: Service, token: str) -> Goodbye:
    """Come back when the key is none any more, with the sentence."""
    while True:
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        try:
            await service.door.caller(token, "read")
        except Problem as refusal:
            return REFUSED, refusal.detail
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
