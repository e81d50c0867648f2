"""Where in a text a grammar stopped, and why, as a sentence; and the grammars themselves, each built once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from openbell.core.ticket import Refusal

LONGEST_SHOWN = 160


@cache
def grammar(name: str) -> Any:
    """The LALR parser of the grammar file `name` in this room; letters of either case, ASCII classes only."""
    from lark import Lark

    return Lark.open(
        name, rel_to=__file__, parser="lalr", propagate_positions=True, maybe_placeholders=False,
        g_regex_flags=re.IGNORECASE | re.ASCII,
    )  # fmt: skip


def shortened(text: str) -> str:
    """`text` on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_SHOWN else line[: LONGEST_SHOWN - 1] + "…"


def stop(text: str, offset: int, error: Any, words: Mapping[str, str]) -> Refusal:
    """The refusal of `text` (at `offset` of the whole) where the grammar stopped; `words` names what was expected."""
    at = getattr(error, "pos_in_stream", None)
    ended = at is None or at < 0 or at >= len(text.rstrip()) or _kind(error) == "$END"
    wanted = sorted({words[name] for name in _expected(error) if name in words})
    cure = f" Here may stand {_or(wanted)}." if wanted else ""
    if ended:
        return Refusal(shortened(text), offset + len(text.rstrip()), f"The order ends too early.{cure}")
    found = text[at:].split()[0] if text[at:].split() else text[at : at + 1]
    return Refusal(shortened(text), offset + at, f"`{shortened(found)}` cannot stand here.{cure}")


def _kind(error: Any) -> str | None:
    return getattr(getattr(error, "token", None), "type", None)


def _expected(error: Any) -> set[str]:
    return set(
        getattr(error, "accepts", None) or getattr(error, "expected", None) or getattr(error, "allowed", ()) or ()
    )


def _or(wanted: list[str]) -> str:
    return wanted[0] if len(wanted) == 1 else f"{', '.join(wanted[:-1])} or {wanted[-1]}"
