"""Who is at the page: what the door wrote beside the request, which no caller can write."""

from __future__ import annotations

from urllib.parse import quote, unquote

#: Header that the door sets, and takes off whatever comes from outside.
HEADER = "x-openbell-who"
LOCAL = "this machine"


def who() -> str:
    """Name of the key that the person logged in with; at `openbell lab`, that it is this machine."""
    from flask import has_request_context, request

    return unquote(request.headers.get(HEADER, "")) or LOCAL if has_request_context() else LOCAL


def written(name: str) -> bytes:
    """`name` as the value of the header."""
    return quote(name).encode()
