"""Which cell of a trade sheet is what: found by the names in its header, whatever their order; four generations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from openbell.core.errors import BadInput, nearest

#: The sheets of a day folder, in the order in which they speak: what an earlier one says is not overwritten.
SOURCES = ("profit", "trades", "delta")

_CLOCK = {"when": ("when",), "day": ("day", "date"), "hour": ("hour", "time")}
_TEXT = {"symbol": ("symbol",), "name": ("name",), "trade": ("trade",)}
_LEG = ("strike", "direction", "type", "bid", "ask", "mid")


def _same(*names: str) -> dict[str, tuple[str, ...]]:
    return {name: (name.replace("_", ""),) for name in names}


#: Our name of each cell, and what the sheets call it in lower case without blanks and `_`.
NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "profit": {
            **_CLOCK,
            **_TEXT,
            **_same("price", "premium", "actual_premium", "expected_premium", "predicted", "closed", "closing"),
            **_same("expired", "risk", "reward", "ratio", "low", "high", "stop"),
            **_same("profit", "raw", "managed", "total_profit"),
        },
        "trades": {
            **_CLOCK,
            **_TEXT,
            **_same("source", "premium", "risk", "reward", "ratio", "expected_move", "low", "high", "target1"),
            **_same("target2", "closing"),
            "predicted_trades": ("predicted",),
            **_same(*(f"{name}{leg}" for leg in range(1, 5) for name in _LEG)),
        },
        "delta": {
            **_CLOCK,
            "symbol": ("symbol",),
            **_same("price", "call_delta", "put_delta", "short_term", "long_term", "difference"),
            "predicted_delta": ("predicted",),
            "closing_delta": ("closing",),
        },
    }
)

#: What each sheet must have: one of each group.
NEEDED: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "profit": (("symbol",), ("name",), ("premium", "actual_premium", "expected_premium")),
        "trades": (("symbol",), ("name",), ("premium",)),
        "delta": (("symbol",), ("short_term", "long_term")),
    }
)


@dataclass(frozen=True, slots=True)
class Header:
    """Our name of each recognised column by its place, what was not recognised, and the generation of the sheet."""

    places: Mapping[str, int]
    ignored: tuple[str, ...]
    generation: int
    width: int


def plain(name: str) -> str:
    """`name` in lower case, letters and digits only: ``Short Term`` -> ``shortterm``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def header(source: str, cells: Sequence[str], *, where: str) -> Header:
    """The places of the columns of a `source` sheet; a header that is not one is refused, saying `where` it stands."""
    words = [plain(cell) for cell in cells]
    known = {word: ours for ours, theirs in NAMES[source].items() for word in theirs}
    twice = sorted({cell for cell, word in zip(cells, words, strict=True) if word in known and words.count(word) > 1})
    if twice:
        raise BadInput(f"{where}: the header names the column `{twice[0].strip()}` twice. Rename or remove one.")
    places = {known[word]: at for at, word in enumerate(words) if word in known}
    _refuse_foreign(source, places, cells, where)
    ignored = tuple(cell.strip() for cell, word in zip(cells, words, strict=True) if word and word not in known)
    return Header(places, ignored, _generation(source, words), len(cells))


def _refuse_foreign(source: str, places: Mapping[str, int], cells: Sequence[str], where: str) -> None:
    groups = NEEDED[source]
    if "when" not in places and not {"day", "hour"} <= set(places):
        groups = (("when",), *groups)
    lacking = [group for group in groups if not any(name in places for name in group)]
    if not lacking:
        return
    wanted = [" or ".join(f"`{NAMES[source][name][0].capitalize()}`" for name in group) for group in lacking]
    beside = " (or a date beside an hour)" if lacking[0] == ("when",) else ""
    near = nearest(NAMES[source][lacking[-1][0]][0], [cell.strip() for cell in cells])
    raise BadInput(
        f"{where}: this is no {source} sheet, its header has no column {wanted[0]}{beside}"
        + "".join(f", no {each}" for each in wanted[1:])
        + f". It reads `{','.join(cells)[:120]}`. {near}"
    )


def _generation(source: str, words: Sequence[str]) -> int:
    """The year of the header: 2022 to 2025 for profit sheets; trades sheets begin in 2024, delta sheets in 2022."""
    if source != "profit":
        return 2024 if source == "trades" else 2022
    if "date" in words or {"totalprofit", "expectedpremium", "actualpremium"} & set(words):
        return 2025
    if {"raw", "managed", "stop"} & set(words):
        return 2024
    return 2023 if "day" in words else 2022
