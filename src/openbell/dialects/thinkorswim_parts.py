"""The parts of one thinkorswim order as the grammar finds them: tokens with their places, no meaning yet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

#: What the grammar calls a terminal, as a sentence calls it.
TERMINALS = {
    "VERB": "BUY, SELL, BOT or SOLD with a whole number of units behind it",
    "QUANTITY": "a whole number of units",
    "STRATEGY": "a strategy",
    "WORD": "a symbol",
    "FUTURE": "a future such as /ESZ26",
    "NUMBER": "a strike",
    "DATED": "an expiry such as 27 MAR 26",
    "RIGHT": "CALL or PUT",
    "AT": "a price such as @1.25",
    "AMOUNT": "a number of points",
    "MONEY": "credit or debit",
    "LEVEL": "AT OR ABOVE or AT OR BELOW",
    "PER_POINT": "a multiplier such as 1/50",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """Tokens of one order, in the order of the text; a token knows its place as ``start_pos``.

    `expiries` are pairs of a day and its settlement or None, `prices` of an amount and its word or None, `stops` of the
    word and a trigger or None; `leading` is a right before the strategy; `conditions` are of symbol, measure, direction
    and level.
    """

    before: tuple[Any, ...]
    verb: Any
    quantity: Any
    ratios: Any
    strategies: tuple[Any, ...]
    words: tuple[Any, ...]
    future: Any
    multiplier: Any
    per_point: Any
    series: tuple[Any, ...]
    expiries: tuple[tuple[Any, Any], ...]
    roots: tuple[Any, ...]
    strikes: tuple[Any, ...]
    leading: Any
    rights: tuple[Any, ...]
    prices: tuple[tuple[Any, Any], ...]
    kinds: tuple[Any, ...]
    stops: tuple[tuple[Any, Any], ...]
    forces: tuple[Any, ...]
    venues: tuple[Any, ...]
    brackets: tuple[Any, ...]
    conditions: tuple[tuple[Any, ...], ...]
    comment: Any


def parts(text: str) -> Parts:
    """The parts of one order; `lark.UnexpectedInput` where the text is none."""
    return _parts(_parser().parse(text))


@cache
def _parser() -> Any:
    from lark import Lark

    return Lark.open(
        "thinkorswim.lark", rel_to=__file__, parser="lalr", lexer="contextual", maybe_placeholders=False,
        g_regex_flags=re.ASCII,
    )  # fmt: skip


def _typed(children: list[Any], *types: str) -> tuple[Any, ...]:
    return tuple(each for each in children if getattr(each, "type", None) in types)


def _only(children: list[Any], *types: str) -> Any:
    found = _typed(children, *types)
    return found[0] if found else None


def _branches(tree: Any) -> dict[str, list[Any]]:
    """The children of each branch of `tree` by its name; a name that comes several times keeps them apart."""
    found: dict[str, list[Any]] = {}
    for each in tree.children:
        if hasattr(each, "data"):
            found.setdefault(str(each.data), []).append(each)
    return found


def _parts(tree: Any) -> Parts:
    top = _branches(tree)
    contract = top["contract"][0]
    inner, terms = _branches(contract), top["terms"][0]
    said = _branches(terms)
    dates = (inner.get("expiries") or inner.get("series_only") or [None])[0]
    days = _branches(dates).get("expiry", []) if dates is not None else []
    series = [] if dates is None else list(_typed(dates.children, "SERIES"))
    for day in days:
        series.extend(_typed(day.children, "SERIES"))
    return Parts(
        before=tuple(top["before"][0].children),
        verb=_only(tree.children, "VERB"),
        quantity=_only(tree.children, "QUANTITY"),
        ratios=_only(tree.children, "RATIOS"),
        strategies=_typed(contract.children, "STRATEGY") + _typed(tree.children, "STRATEGY"),
        words=tuple(inner["words"][0].children) if "words" in inner else (),
        future=_only(contract.children, "FUTURE"),
        multiplier=inner["multiplier"][0].children[0] if "multiplier" in inner else None,
        per_point=_only(contract.children, "PER_POINT"),
        series=tuple(series),
        expiries=tuple((day.children[0], _settlement(day.children)) for day in days),
        roots=tuple(inner["roots"][0].children) if "roots" in inner else (),
        strikes=tuple(inner["strikes"][0].children),
        leading=top["leading"][0].children[0] if "leading" in top else None,
        rights=tuple(top["rights"][0].children) if "rights" in top else (),
        prices=tuple((_only(each.children, "AMOUNT"), _only(each.children, "MONEY")) for each in said.get("price", ())),
        kinds=_first(said, "kind"),
        stops=tuple((_only(each.children, "STOP"), _only(each.children, "AMOUNT")) for each in said.get("stop", ())),
        forces=_first(said, "force"),
        venues=_first(said, "venue"),
        brackets=_first(said, "brackets"),
        conditions=tuple(tuple(each.children[1:]) for each in said.get("condition", ())),
        comment=_only(terms.children, "COMMENT"),
    )


def _settlement(children: list[Any]) -> Any:
    """The settlement of one day; two of them stay a fault, so the second is kept where it differs."""
    found = _typed(children, "SETTLEMENT")
    return found[0] if len({str(each).upper() for each in found}) <= 1 and found else (found[-1] if found else None)


def _first(said: dict[str, list[Any]], name: str) -> tuple[Any, ...]:
    return tuple(each.children[0] for each in said.get(name, ()))
