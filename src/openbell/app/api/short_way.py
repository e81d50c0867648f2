"""The endpoints that are asked most, without the framework's way to them: that takes as long as their own work.

What they do, what they document and what they refuse is that of their routes; `Edge` tells their refusals.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from openbell.app.api.door import admitted
from openbell.app.api.routes import calculate_risk_reward, predict
from openbell.store.api_keys import ApiKey


@dataclass(frozen=True, slots=True)
class Way:
    """A POST endpoint: who is let in, and what answers. `path` is read by whoever counts requests by route."""

    path: str
    let_in: Callable[[Request], Awaitable[ApiKey]]
    answer: Callable[[Request, ApiKey], Awaitable[Response]]


#: As their routes declare them.
WAYS: Mapping[str, Way] = {
    way.path: way
    for way in (
        Way("/predict", admitted("predict"), predict),
        Way("/calculate_risk_reward", admitted("predict"), calculate_risk_reward),
    )
}


@dataclass(frozen=True)
class ShortWay:
    """ASGI middleware inside `Edge`."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what has a short way; everything else passes."""
        way = WAYS.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if way is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = way
        request = Request(scope, receive, send)
        response = await way.answer(request, await way.let_in(request))
        await response(scope, receive, send)
