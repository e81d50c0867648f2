"""What the words of one order say of its legs, and the questions that every strategy asks of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal, TypeAlias

from openbell.core.errors import BadInput
from openbell.core.ladders import an
from openbell.core.types import Right, Side

Part: TypeAlias = Literal["strategy", "strikes", "rights", "expiries", "ratios", "premium"]
CALL, PUT = Right.CALL, Right.PUT


class Contradiction(BadInput):
    """Words of an order that cannot stand together; `part` names those at fault."""

    def __init__(self, part: Part, sentence: str) -> None:
        super().__init__(sentence)
        self.part = part


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a leg expires: its day, or None with the month that its `root` names. `order` sorts; None is not known."""

    day: dt.date | None = None
    root: str | None = None
    order: int | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """What an order says of its legs, in the order of the text. `ratios` are as written, None where absent.

    `premium` is points per unit, above 0 paid; None for an order without a price. `unbalanced` is a ``~`` before the
    word. `rights` is empty where the text names none. `expiries` has one entry at least.
    """

    strategy: str
    side: Side
    strikes: tuple[float, ...]
    rights: tuple[Right, ...]
    expiries: tuple[Expiry, ...]
    premium: float | None = None
    ratios: tuple[int, ...] | None = None
    unbalanced: bool = False

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sale."""
        return 1 if self.side is Side.BUY else -1

    @property
    def agrees(self) -> bool | None:
        """Whether a buy pays and a sale receives; None where there is no price, or one of 0."""
        return None if not self.premium else (self.premium > 0) == (self.sign > 0)


def said(words: Words) -> str:
    """The strategy as a sentence says it."""
    return words.strategy.lower()


def shown(strikes: tuple[float, ...]) -> str:
    """Strikes as an order writes them."""
    return "/".join(f"{each:g}" if each < 1e6 else f"{each}" for each in strikes)


def strikes_of(words: Words, *counts: int) -> tuple[float, ...]:
    """The strikes, where there are as many as one of `counts`."""
    if len(words.strikes) not in counts:
        wanted = " or ".join(map(str, counts))
        raise Contradiction(
            "strikes",
            f"{an(words.strategy)} has {wanted} strike{'' if counts == (1,) else 's'}; the text names "
            f"{len(words.strikes)}: {shown(words.strikes)}.",
        )
    return words.strikes


def expiry_of(words: Words) -> Expiry:
    """The one expiry of all legs."""
    if len(words.expiries) != 1:
        raise Contradiction(
            "expiries", f"All legs of a {said(words)} expire together; the text names {len(words.expiries)} expiries."
        )
    return words.expiries[0]


def far_and_near(words: Words) -> tuple[Expiry, Expiry]:
    """Both expiries in the order of the text, which must differ and be known to."""
    if len(words.expiries) != 2:
        raise Contradiction(
            "expiries",
            f"{an(words.strategy)} names two expiries, the far one first; the text names "
            f"{len([each for each in words.expiries if each != Expiry()])}.",
        )
    first, second = words.expiries
    if first.order is None or second.order is None or first.order == second.order:
        raise Contradiction("expiries", f"Which of the two expiries of this {said(words)} is the far one is not said.")
    return first, second


def far_first(words: Words) -> tuple[Expiry, Expiry]:
    """Both expiries, the far one first, as this dialect names them."""
    first, second = far_and_near(words)
    if (first.order or 0) < (second.order or 0):
        raise Contradiction(
            "expiries",
            f"This {said(words)} names its near expiry first, where the far one stands; which of the two is bought "
            "would be a guess.",
        )
    return first, second


def right_of(words: Words) -> Right:
    """The one right of all legs."""
    if not words.rights:
        raise Contradiction("rights", f"{an(words.strategy)} is of calls or of puts; the text names neither.")
    if len(words.rights) != 1:
        raise Contradiction(
            "rights", f"{an(words.strategy)} is all calls or all puts; the text says {'/'.join(words.rights)}."
        )
    return words.rights[0]


def sizes_of(words: Words, usual: tuple[int, ...]) -> tuple[int, ...]:
    """Signed sizes of the legs of a bought unit: `usual`, or those of the text with the signs of `usual`."""
    if words.ratios is None:
        return usual
    if len(words.ratios) != len(usual):
        raise Contradiction(
            "ratios",
            f"{an(words.strategy)} has {len(usual)} legs; its ratio {ratio_of(words)} has {len(words.ratios)} parts.",
        )
    signed = tuple(abs(size) * (1 if way > 0 else -1) for size, way in zip(words.ratios, usual, strict=True))
    if any(size < 0 for size in words.ratios) and signed != words.ratios:
        raise Contradiction("ratios", f"The signs of the ratio {ratio_of(words)} are not those of a {said(words)}.")
    return signed


def ratio_of(words: Words) -> str:
    """The ratio as it is written; empty where there is none."""
    return "/".join(map(str, words.ratios or ()))


def check_worth(words: Words) -> None:
    """Refuse a price whose sign no such position can have: bought for a credit, or sold for a debit."""
    if words.agrees is False:
        verb, way = ("bought", "a credit") if words.side is Side.BUY else ("sold", "a debit")
        raise Contradiction(
            "premium", f"{an(words.strategy)} is never worth less than nothing, yet this one is {verb} for {way}."
        )


def check_unratioed(words: Words) -> None:
    """Refuse a ratio where a strategy has none."""
    if words.ratios is not None:
        raise Contradiction("ratios", f"{an(words.strategy)} has no ratio; the text says {ratio_of(words)}.")
