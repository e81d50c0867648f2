"""Around every request: its id, its time limit, its line in the log, its metrics, and the last refusal of all."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openbell.app.api.metrics import Metrics
from openbell.app.api.problems import STATUSES, Problem, problem_of

REQUEST_ID = "openbell.request_id"
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")  # without an underscore, which every key has
_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
_log = structlog.get_logger()


@dataclass
class Edge:
    """ASGI middleware. `seconds` is a clock that only goes forward."""

    app: ASGIApp
    timeout_seconds: float
    metrics: Metrics
    seconds: Callable[[], float]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other traffic passes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope[REQUEST_ID] = request_id
        started, status = self.seconds(), 0

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).extend([(b"x-request-id", request_id.encode()), *_HEADERS])
            await send(message)

        problem = await self._run(scope, receive, answered, request_id)
        if problem is not None and status == 0:
            await problem.response(request_id)(scope, receive, answered)
        self._tell(scope, status, self.seconds() - started)

    async def _run(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> Problem | None:
        """Let the application answer; what it fails at is a refusal."""
        limit = asyncio.timeout(self.timeout_seconds)
        try:
            async with limit:
                await self.app(scope, receive, send)
        except TimeoutError as failure:
            if limit.expired():
                return Problem(504, f"There was no answer within {self.timeout_seconds:g} s. {STATUSES[504][1]}")
            return self._fault(failure, request_id)
        except Exception as failure:
            return self._fault(failure, request_id)
        return None

    def _fault(self, failure: Exception, request_id: str) -> Problem:
        problem = problem_of(failure)
        if problem.status == 500:
            _log.error("fault", request_id=request_id, exc_info=failure)
        return problem

    def _tell(self, scope: Scope, status: int, took: float) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path", None) or "unknown"  # the template: what callers write would be endless series
        self.metrics.request(path, status)
        _log.info(
            "request",
            request_id=scope[REQUEST_ID],
            method=scope["method"],
            path=path,
            status=status,
            ms=round(took * 1_000.0, 3),
            key_id=scope.get("openbell.key_id"),
        )


def _request_id(scope: Scope) -> str:
    """The caller's own id where it is one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            if _ID.fullmatch(text):
                return text
    return uuid.uuid4().hex
