"""What the strategy words of order strings mean: which legs, with which signs, at which strikes and days.

Strikes, rights and days are in the order of the text, and the first one named is the one the verb speaks of: a BUY
holds the first leg, but for a back-ratio, whose single option is sold. Where the words of a text contradict each other
it is refused (`Contradiction`), never mended; what was resolved is flagged in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from openbell.core.errors import unknown
from openbell.core.ticket import TicketLeg
from openbell.dialects.order_words import Contradiction, Expiry, Words, said
from openbell.dialects.strategy_shapes import DRAWN

__all__ = ["WORDS", "Contradiction", "Expiry", "Structure", "Words", "strategy_word", "structure"]

#: Words as they are written, blanks made one, to the words of tickets. A vertical roll has no word of its own there.
WORDS: Mapping[str, str] = MappingProxyType(
    {
        "VERTICAL": "VERTICAL",
        "BUTTERFLY": "BUTTERFLY",
        "CONDOR": "CONDOR",
        "IRON CONDOR": "IRON CONDOR",
        "IRONCONDOR": "IRON CONDOR",
        "IRON BUTTERFLY": "IRON BUTTERFLY",
        "IRONBUTTERFLY": "IRON BUTTERFLY",
        "IRON FLY": "IRON BUTTERFLY",
        "IRONFLY": "IRON BUTTERFLY",
        "SONAR": "SONAR",
        "CALENDAR": "CALENDAR",
        "DIAGONAL": "DIAGONAL",
        "DBL DIAG": "DOUBLE DIAGONAL",
        "DBL DIAGONAL": "DOUBLE DIAGONAL",
        "DOUBLE DIAG": "DOUBLE DIAGONAL",
        "DOUBLE DIAGONAL": "DOUBLE DIAGONAL",
        "DBL CAL": "DOUBLE CALENDAR",
        "DBL CALENDAR": "DOUBLE CALENDAR",
        "DOUBLE CAL": "DOUBLE CALENDAR",
        "DOUBLE CALENDAR": "DOUBLE CALENDAR",
        "STRADDLE": "STRADDLE",
        "STRANGLE": "STRANGLE",
        "BACKRATIO": "BACKRATIO",
        "RATIO": "RATIO",
        "COLLAR": "COLLAR",
        "COMBO": "COMBO",
        "CUSTOM": "CUSTOM",
        "VERT ROLL": "VERT ROLL",
    }
)


@dataclass(frozen=True, slots=True)
class Structure:
    """The legs of one unit from the trader's side, the ticket's word for them, and what was resolved."""

    strategy: str
    legs: tuple[TicketLeg, ...]
    flags: tuple[str, ...]


def strategy_word(text: str) -> str:
    """The strategy that `text` names, upper case; one that is not known is refused with the nearest."""
    plain = re.sub(r"\s+", " ", text.strip().lstrip("~").upper())
    if plain == "COVERED":
        raise Contradiction("strategy", "A covered order holds shares, which a ticket of options cannot carry.")
    if plain not in WORDS:
        raise Contradiction("strategy", str(unknown("strategy", text.strip(), WORDS)))
    return WORDS[plain]


def structure(words: Words) -> Structure:
    """The signed legs that `words` name.

    Raises
    ------
    Contradiction
        Where strikes, rights, days, ratios, price, verb and strategy do not fit together.
    """
    if words.unbalanced and words.ratios is None:
        raise Contradiction("ratios", f"`~{words.strategy}` is unbalanced, yet the text names no ratio such as 1/3/2.")
    drawn, flags = DRAWN[words.strategy](words)
    legs = tuple(
        TicketLeg(words.sign * ratio, right, strike, expiry.day, expiry.root) for ratio, right, strike, expiry in drawn
    )
    seen = [(leg.right, leg.strike, leg.expiry, leg.root) for leg in legs]
    if len(set(seen)) < len(seen):
        raise Contradiction("strikes", f"Two legs of this {said(words)} are one and the same option.")
    return Structure("CUSTOM" if words.strategy == "VERT ROLL" else words.strategy, legs, tuple(flags))
