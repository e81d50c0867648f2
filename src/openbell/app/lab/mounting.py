"""The lab as an ASGI application: what is let in, how much of it, and what every answer says to the browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import structlog
from a2wsgi import WSGIMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openbell.app.clock import seconds
from openbell.app.lab.urls import PREFIX, page_of
from openbell.app.lab.who import HEADER, written

if TYPE_CHECKING:
    from dash import Dash

    from openbell.app.lab.door import Door

#: What a request carries beside an uploaded file: the states of a page.
STATES_BYTES = 2_000_000
#: Threads in which pages compute: what they do is Polars and databases, which let each other run.
THREADS = 8
_SAFE = ("GET", "HEAD", "OPTIONS")
_log = structlog.get_logger()


@dataclass(frozen=True)
class LabServer:
    """ASGI application of everything below ``/lab``.

    Attributes
    ----------
    pages : the Dash application. most_bytes : largest body of a request. door : None where only this machine comes in.
    hosts : names that the header ``Host`` may say; empty for any. Another one is a page elsewhere whose name was
        pointed at this machine.
    """

    pages: Dash
    most_bytes: int
    door: Door | None = None
    hosts: Sequence[str] = ()
    _inner: list[Any] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        inner: ASGIApp = WSGIMiddleware(self.pages.server, workers=THREADS)  # type: ignore[arg-type]
        # On this machine packing takes longer than sending.
        self._inner.append(inner if self.door is None else GZipMiddleware(inner, minimum_size=2_000, compresslevel=5))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        started, status = seconds(), 0

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *self._headers(scope, message)]
            await send(message)

        await self._answer(Request(scope, receive), answered)
        # The page, not the address: what stands behind the question mark is the person's own.
        shown = f"{PREFIX}{page_of(scope['path'])[:60]}"
        took = round((seconds() - started) * 1_000.0, 3)
        _log.info(
            "lab", method=scope["method"], path=shown, status=status, ms=took, key_id=scope.get("openbell.key_id")
        )

    async def _answer(self, request: Request, send: Send) -> None:
        refusal = self._refusal(request)
        if refusal is not None:
            await refusal(request.scope, request.receive, send)
            return
        body = await self._body(request)
        if body is None:
            told = f"A request to the lab has at most {self.most_bytes:,} bytes. Choose a smaller file."
            await _said(413, told, {"Connection": "close"})(request.scope, request.receive, send)
            return
        receive = _replayed(body, request.receive)
        heard = Request(request.scope, receive)
        answer = await self._at_the_door(heard) if self.door is not None else None
        if answer is not None:
            await answer(heard.scope, receive, send)
        else:
            await self._inner[0](_cleaned(heard.scope), receive, send)

    def _refusal(self, request: Request) -> Response | None:
        """What is refused before anything is read: another name of this machine, a form of another site."""
        host = request.headers.get("host", "")
        if self.hosts and host not in self.hosts:
            return _said(403, f"This lab is open on this machine only, as {' or '.join(self.hosts[:2])}.")
        if request.method not in _SAFE:
            origin = request.headers.get("origin")
            foreign = origin is not None and urlsplit(origin).netloc != host
            if foreign or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return _said(403, "This request comes from another site, and is not answered.")
        path = request.url.path
        if path in ("/", PREFIX.rstrip("/")):
            return RedirectResponse(PREFIX, status_code=307 if request.method in _SAFE else 303)
        return None if path.startswith(PREFIX) else _said(404, f"There is nothing here; the lab is at {PREFIX}.")

    async def _body(self, request: Request) -> bytes | None:
        """What was sent; None where it is too much, which is known before it is read wherever its length is said."""
        told = request.headers.get("content-length", "")
        if told.isdecimal() and int(told) > self.most_bytes:
            return None
        read = bytearray()
        async for piece in request.stream():
            read += piece
            if len(read) > self.most_bytes:
                return None
        return bytes(read)

    async def _at_the_door(self, request: Request) -> Response | None:
        """An answer of the door; None where who asks may go on."""
        from openbell.app.api.problems import Problem
        from openbell.app.lab import door as of_door
        from openbell.core.errors import OpenbellError

        assert self.door is not None
        try:
            if request.url.path in (of_door.LOGIN, of_door.LOGOUT):
                return await self.door.answer(request)
            caller = await self.door.caller(request)
        except Problem as problem:
            return _said(problem.status, problem.detail, problem.headers)
        except OpenbellError as failure:  # who cannot be checked is not let in
            _log.error("the door of the lab cannot look up keys", exc_info=failure)
            return _said(503, "Keys cannot be looked up at the moment; nobody is let in. Try again.")
        if caller is not None:
            request.scope["openbell.key_id"] = caller.id
            request.scope["openbell.who"] = caller.name
            return None
        wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if not wants_page:
            return _said(401, f"Log in at {of_door.LOGIN}, or send a key with the scope {of_door.SCOPE} in X-API-Key.")
        return (
            of_door.again(request)
            if request.headers.get("sec-fetch-site") == "cross-site"
            else of_door.to_login(request)
        )

    def _headers(self, scope: Scope, message: Message) -> list[tuple[bytes, bytes]]:
        told = {name: value for name, value in message.get("headers", [])}
        found = [
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"same-origin"),
        ]
        if b"cache-control" not in told:
            found.append((b"cache-control", b"no-store" if "/assets/" not in scope["path"] else b"no-cache"))
        if told.get(b"content-type", b"").startswith(b"text/html"):
            found.append((b"content-security-policy", self._policy(scope["path"]).encode()))
        return found

    def _policy(self, path: str) -> str:
        """Nothing from elsewhere: not a script, not an image, not a form that leads there."""
        scripts = ["'self'", *_quoted(self.pages.csp_hashes())]
        parts = {
            "default-src": "'self'",
            "script-src": " ".join(scripts),
            "style-src": "'self' 'unsafe-inline'",
            "img-src": "'self' data: blob:",
            "font-src": "'self' data:",
            "worker-src": "'self' blob:",
            "object-src": "'none'",
            "base-uri": "'none'",
            "form-action": "'self'",
            "frame-ancestors": "'none'",
        }
        return "; ".join(f"{name} {value}" for name, value in parts.items())


@dataclass(frozen=True)
class Beside:
    """Two applications on one server: the lab below its prefix, the API everywhere else."""

    api: ASGIApp
    lab: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on; start and stop are the API's."""
        path = scope.get("path", "")
        of_lab = scope["type"] == "http" and (path == PREFIX.rstrip("/") or path.startswith(PREFIX))
        await (self.lab if of_lab else self.api)(scope, receive, send)


def _said(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"status": status, "detail": detail}, status, headers)


def _quoted(hashes: Sequence[str]) -> list[str]:
    return [each if each.startswith("'") else f"'{each}'" for each in hashes]


def _cleaned(scope: Scope) -> Scope:
    """`scope` as a WSGI application may have it: who asks in a header that nobody else can write."""
    # WSGI reads `-` and `_` in names of headers as one.
    told = [each for each in scope["headers"] if each[0].lower().replace(b"_", b"-") != HEADER.encode()]
    if "openbell.who" in scope:
        told.append((HEADER.encode(), written(scope["openbell.who"])))
    query = quote(scope["query_string"], safe="=&%+/?:@!$'()*,;~-._")  # bytes that are no ASCII
    return {**scope, "headers": told, "query_string": query.encode()}


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`body` as one message, then what comes after it."""
    waiting = [body]

    async def replayed() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replayed


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
