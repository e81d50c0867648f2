"""Paths of the lab: where it is mounted, and the link to a page with its state in the query string."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

PREFIX = "/lab/"
#: Component of the shell that a page writes its state to: ``Output(QUERY, "data", allow_duplicate=True)`` takes a
#: mapping of names to text, which becomes the query string of the address without the page being loaded again.
QUERY = "lab-query"
#: Longest query string that is read; a longer one is refused with a sentence.
LONGEST_QUERY = 8_000


def path(page: str, **query: object) -> str:
    """The address of a page within the lab, its state in the query string."""
    told = urlencode({name: str(value) for name, value in query.items() if value is not None})
    return f"{PREFIX}{page}" + (f"?{told}" if told else "")


def query_of(search: str | None) -> Mapping[str, str]:
    """The query string of an address; of a name that stands in it twice, the last value."""
    return dict(parse_qsl((search or "").removeprefix("?"), keep_blank_values=True, errors="replace"))


def page_of(pathname: str | None) -> str:
    """Name of the page at `pathname`; empty for the lab itself."""
    inside = (pathname or "").removeprefix(PREFIX.rstrip("/")).strip("/")
    return inside.partition("/")[0]
