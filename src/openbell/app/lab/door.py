"""The door of the lab on a server that others reach: a key of the API, once, then a cookie that expires."""

from __future__ import annotations

import asyncio
import datetime as dt
import html
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from openbell.app.api.limiting import RateLimiter
from openbell.app.api.ports import Keys
from openbell.app.api.problems import Problem
from openbell.app.lab.urls import PREFIX
from openbell.store.api_keys import ApiKey
from openbell.store.logins import Logins

COOKIE = "openbell_lab"
SCOPE = "lab"
LOGIN, LOGOUT = f"{PREFIX}login", f"{PREFIX}logout"
HOURS = 12.0
#: Tries of a key that one address may make in a minute.
TRIES_PER_MINUTE = 20
_LONGEST_KEY, _LONGEST_WAY = 200, 8_000


@dataclass(frozen=True)
class Door:
    """Lets people in."""

    keys: Keys
    logins: Logins
    limiter: RateLimiter
    now: Callable[[], dt.datetime]

    async def caller(self, request: Request) -> ApiKey | None:
        """Who asks: by the key in X-API-Key, else by the cookie; None where it is nobody.

        Raises
        ------
        Problem
            429 where an address tries too many keys.
        """
        shown = request.headers.get("x-api-key")
        if shown is not None:
            return await self._verified(request, shown)
        secret = request.cookies.get(COOKIE)
        return await asyncio.to_thread(self._logged_in, secret) if secret else None

    async def answer(self, request: Request) -> Response:
        """The login page, a login, a logout."""
        if request.url.path == LOGOUT:
            return await self._logout(request)
        if request.method == "GET":
            return _form(_way(request.query_params.get("next", "")))
        told = parse_qs((await request.body()).decode("utf-8", "replace"))
        way = _way(told.get("next", [""])[0])
        try:
            key = await self._verified(request, told.get("key", [""])[0].strip())
        except Problem as problem:
            return _form(way, problem.detail, problem.status)
        if key is None:
            return _form(way, f"This is no key with the scope {SCOPE}, or it was revoked.", 401)
        secret = await asyncio.to_thread(self.logins.begin, key.id, at=self.now(), hours=HOURS)
        answer = RedirectResponse(way, status_code=303)
        answer.set_cookie(
            COOKIE,
            secret,
            max_age=int(HOURS * 3_600),
            path=PREFIX.rstrip("/"),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    async def _logout(self, request: Request) -> Response:
        secret = request.cookies.get(COOKIE)
        if request.method == "POST" and secret:
            await asyncio.to_thread(self.logins.end, secret)
        answer = RedirectResponse(LOGIN, status_code=303)
        if request.method == "POST":
            answer.delete_cookie(COOKIE, path=PREFIX.rstrip("/"), httponly=True, samesite="strict")
        return answer

    async def _verified(self, request: Request, shown: str) -> ApiKey | None:
        """Whose key this is, where it may use the lab; tries of keys that are none are counted."""
        if shown and len(shown) <= _LONGEST_KEY and shown.isascii():
            found = await asyncio.to_thread(self.keys.verify, shown)
            if found is not None and found.may(SCOPE):
                return found
        address = request.client.host if request.client else "unknown"
        await self.limiter.hit("lab-login", address, TRIES_PER_MINUTE)
        return None

    def _logged_in(self, secret: str) -> ApiKey | None:
        key_id = self.logins.key_of(secret, at=self.now())
        if key_id is None:
            return None
        key = self.keys.standing(key_id)
        return key if key is not None and key.may(SCOPE) else None


def to_login(request: Request) -> Response:
    """The way to the login page, which leads back here."""
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{LOGIN}?next={quote(_way(back), safe='')}", status_code=303)


def again(request: Request) -> Response:
    """The same page once more, asked for by ourselves: where another site leads, a browser keeps the cookie back."""
    here = html.escape(_way(request.url.path + (f"?{request.url.query}" if request.url.query else "")), quote=True)
    shown = f'<!DOCTYPE html><html lang="en"><head><meta http-equiv="refresh" content="0; url={here}">'
    return HTMLResponse(f'{shown}<title>Openbell lab</title></head><body><a href="{here}">Go on</a></body></html>')


def _way(text: str) -> str:
    """Where a login leads: a page of the lab, whatever was asked for."""
    inside = text.startswith(PREFIX) and len(text) <= _LONGEST_WAY and "\\" not in text and text.isprintable()
    return text if inside and not text.startswith((LOGIN, LOGOUT)) else PREFIX


def _form(way: str, wrong: str = "", status: int = 200) -> Response:
    from jinja2 import Environment, PackageLoader

    page = Environment(loader=PackageLoader("openbell.app.lab", "templates"), autoescape=True).get_template(
        "login.html"
    )
    return HTMLResponse(page.render(way=way, wrong=wrong, login=LOGIN), status_code=status)
