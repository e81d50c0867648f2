"""Who may ask what: the header X-API-Key, or a bearer token, its scope and its limit per minute."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request

from openbell.app.api.limiting import RateLimiter
from openbell.app.api.ports import Keys
from openbell.app.api.problems import Problem
from openbell.store.api_keys import ApiKey

_LONGEST_KEY = 200
_CHALLENGE = {"WWW-Authenticate": 'ApiKey realm="openbell"'}


@dataclass(frozen=True, slots=True)
class Door:
    """Lets callers in."""

    keys: Keys
    limiter: RateLimiter
    predict_per_minute: int
    batch_per_minute: int

    async def caller(self, token: str | None, scope: str) -> ApiKey:
        """Whose key `token` is; a `Problem` 401 where it is none, 403 where it may not do `scope`."""
        if not token:
            raise Problem(401, "There is no key: send it in the header X-API-Key.", headers=_CHALLENGE)
        if len(token) > _LONGEST_KEY or not token.isascii():
            raise Problem(401, "This is no key of this service.", headers=_CHALLENGE)
        verify = self.keys.verify
        found = verify(token) if self.keys.ready(token) else await asyncio.to_thread(verify, token)
        if found is None:
            raise Problem(401, "This key is unknown or was revoked.", headers=_CHALLENGE)
        if not found.may(scope):
            raise Problem(
                403, f"The key `{found.id}` has the scopes {', '.join(found.scopes)}; this needs the scope {scope}."
            )
        return found

    async def count(self, caller: ApiKey, kind: str) -> None:
        """Count one request of the caller; one too many is a `Problem` 429."""
        if kind == "batch":
            limit = caller.batch_per_minute or self.batch_per_minute
        else:
            limit = caller.predict_per_minute or self.predict_per_minute
        await self.limiter.hit(kind, caller.id, limit)


def token_of(headers: Headers) -> str | None:
    """The key in X-API-Key, else the bearer token: what Prometheus and others can send."""
    told = headers.get("x-api-key")
    if told is not None:
        return told
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def admitted(scope: str, kind: str = "predict") -> Callable[[Request], Awaitable[ApiKey]]:
    """A dependency that lets in who may do `scope`, and counts the request as one of `kind`."""

    async def dependency(request: Request) -> ApiKey:
        door: Door = request.app.state.service.door
        caller = await door.caller(token_of(request.headers), scope)
        request.scope["openbell.key_id"] = caller.id
        await door.count(caller, kind)
        return caller

    return dependency
